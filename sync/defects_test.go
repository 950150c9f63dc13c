package sync_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// The tests of this file hold Rolecall against defects that other mirrors of Clerk have. Three more
// (an unknown event, a repeat, a changed byte) are tested where they would happen, over HTTP.

func membershipMessage(id, event, membership, role string, updated, occurred int64) message {
	pair := pairs[membership]
	return message{ID: id, Type: "organizationMembership." + event, Timestamp: t0 + occurred, Data: map[string]any{
		"id": membership, "role": role, "created_at": t0, "updated_at": t0 + updated,
		"organization": map[string]any{"id": pair[0]}, "public_user_data": map[string]any{"user_id": pair[1]},
	}}
}

func TestPeerDefects_SecondUpdateInOneMillisecondCounts(t *testing.T) {
	t.Parallel()
	first := membershipMessage("msg_9", "updated", "orgmem_a1", "org:admin", 1, 2)
	second := membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 1, 3)
	for _, order := range [][]message{{first, second}, {second, first}} {
		require.Equal(t, "org:member", play(t, order...).Memberships["orgmem_a1"].Role.Value)
	}
}

func TestPeerDefects_UpdateInMillisecondOfCreationCounts(t *testing.T) {
	t.Parallel()
	created := membershipMessage("msg_9", "created", "orgmem_a1", "org:admin", 1, 3)
	updated := membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 1, 2)
	for _, order := range [][]message{{created, updated}, {updated, created}} {
		require.Equal(t, "org:member", play(t, order...).Memberships["orgmem_a1"].Role.Value)
	}
}

func TestPeerDefects_UpdateAfterDeletionDoesNotResurrect(t *testing.T) {
	t.Parallel()
	mirror := play(t, membershipMessage("msg_1", "deleted", "orgmem_a1", "org:member", 1, 2))
	state, _, _ := apply(t, mirror, membershipMessage("msg_2", "updated", "orgmem_a1", "org:admin", 9, 9))
	require.Equal(t, clerksync.StateSuperseded, state)
	require.True(t, mirror.Memberships["orgmem_a1"].Tombstone.Dead())
}

func TestPeerDefects_LateDeletionSparesRejoinedMember(t *testing.T) {
	t.Parallel()
	mirror := play(t,
		membershipMessage("msg_1", "created", "orgmem_a1", "org:member", 1, 1),
		membershipMessage("msg_3", "created", "orgmem_a1again", "org:member", 5, 5),
		membershipMessage("msg_2", "deleted", "orgmem_a1", "org:member", 1, 3),
	)
	require.True(t, mirror.Memberships["orgmem_a1"].Tombstone.Dead())
	require.False(t, mirror.Memberships["orgmem_a1again"].Tombstone.Dead())
}

func TestPeerDefects_MembershipBeforeItsParentsCounts(t *testing.T) {
	t.Parallel()
	stub := membershipMessage("msg_1", "created", "orgmem_a1", "org:member", 1, 1)
	stub.Data["organization"].(map[string]any)["name"] = "Nested"
	stub.Data["public_user_data"].(map[string]any)["first_name"] = "Kim"
	mirror := play(t, stub)
	require.Equal(t, "Nested", mirror.Organizations["org_a"].Name.Value, "a stub where nothing is known")
	require.Contains(t, mirror.Users, "user_1")
	own := message{ID: "msg_2", Type: "organization.created", Timestamp: t0, Data: map[string]any{"id": "org_a", "name": "Own", "updated_at": t0}}
	apply(t, mirror, own)
	apply(t, mirror, membershipMessage("msg_3", "updated", "orgmem_a1", "org:admin", 100, 100))
	require.Equal(t, "Own", mirror.Organizations["org_a"].Name.Value, "a stub never overwrites")
}

func TestPeerDefects_StubOfBannedUserRevokes(t *testing.T) {
	t.Parallel()
	m := membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 1, 1)
	m.Data["public_user_data"].(map[string]any)["banned"] = true
	require.True(t, play(t, m).Users["user_1"].Banned.Value, "as long as nothing better is known")
}

func TestPeerDefects_NestedCopyIsAsOfItsEvent(t *testing.T) {
	t.Parallel()
	older := membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 9, 1)
	newer := membershipMessage("msg_2", "deleted", "orgmem_a1", "org:member", 1, 9) // with its old updated_at
	newer.Data["public_user_data"].(map[string]any)["banned"] = true
	older.Data["public_user_data"].(map[string]any)["banned"] = false
	for _, order := range [][]message{{older, newer}, {newer, older}} {
		require.True(t, play(t, order...).Users["user_1"].Banned.Value)
	}
}

func TestPeerDefects_DeletionNeedsTheIDOnly(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{
		``, `,"public_user_data":null`, `,"updated_at":"now"`, `,"permissions":[{}]`, `,"role":7`, `,"organization":[]`,
	} {
		facts := decode(t, `{"type":"organizationMembership.deleted","data":{"id":"orgmem_a1"`+rest+`}}`)
		require.True(t, facts.Memberships[0].Tombstone.Dead(), rest)
		require.Equal(t, "orgmem_a1", facts.Subject)
	}
}

func TestPeerDefects_OddFieldKeepsNothingElseOut(t *testing.T) {
	t.Parallel()
	for _, strange := range []string{`"name":{}`, `"slug":7`, `"image_url":[]`, `"created_at":"now"`, `"updated_at":1.5`, `"created_by":{}`} {
		org := decode(t, organizationBody(`,"slug":"kept",`+strange)).Organizations[0]
		require.Equal(t, "org_a", org.ID, strange)
	}
}
