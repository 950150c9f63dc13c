package sweep

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestSweep_WebhookMeanwhileWins: a delivery that came after the page was asked for is newer than
// the page.
func TestSweep_WebhookMeanwhileWins(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	stale, occurred := mirrortest.Membership(0, "org:owner", 0), time.Now().UnixMilli()-mirrortest.T0
	d.Tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
		if r != clerksync.ResourceMembership {
			return
		}
		d.Tamper = nil
		page.Objects[0] = mirrortest.JSON(t, stale)
		// While the answer is under way: member 0 is demoted within the same millisecond by a clock
		// that is behind ours, member 1 goes.
		b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.updated", occurred, mirrortest.Membership(0, "org:guest", 0)))
		b.Deliver(t, mirrortest.Event(t, "msg_2", "organizationMembership.deleted", occurred, mirrortest.Membership(1, "org:member", 0)))
	}
	report := b.sweep(t, d, Options{})
	require.Equal(t, map[string]string{"orgmem_00000": "org:guest", "orgmem_00002": "org:member"}, b.Roles(t))
	require.Zero(t, report.Repaired)
	require.Empty(t, d.Finds)
}

// TestSweep_MemberWhoJoinsMeanwhileStays: the membership isn't in the pages, and its webhook came
// after the sweep began.
func TestSweep_MemberWhoJoinsMeanwhileStays(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(2)
	b.sweep(t, d, Options{})
	d.Tamper = func(r clerksync.Resource, _ clerksync.PageRequest, _ *clerksync.Page) {
		if r == clerksync.ResourceInvitation {
			d.Tamper = nil
			b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.created", 1, mirrortest.Membership(7, "org:member", 1)))
		}
	}
	report := b.sweep(t, d, Options{})
	require.Zero(t, report.Extra)
	require.Empty(t, d.Finds)
	require.Len(t, b.Roles(t), 3)
}

// TestConfirm_OnlyLookUpLiftsTombstone: sweeps found a member and an organization gone, because
// Clerk erred for a while.
func TestConfirm_OnlyLookUpLiftsTombstone(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(2)
	b.sweep(t, d, Options{})
	member, organization := mirrortest.Membership(0, "org:member", 0), mirrortest.Organization("org_1")
	d.Remove(clerksync.ResourceMembership, "orgmem_00000")
	require.Equal(t, 1, b.sweep(t, d, Options{}).Removed)
	d.Remove(clerksync.ResourceOrganization, "org_1")
	require.Positive(t, b.sweep(t, d, Options{}).Removed)
	require.Empty(t, b.Roles(t))

	d.Set(clerksync.ResourceMembership, member)
	d.Set(clerksync.ResourceOrganization, organization)
	d.Finds = nil
	report := b.sweep(t, d, Options{})
	require.Equal(t, []string{"org_1", "orgmem_00000"}, slices.Compact(d.Finds))
	require.Equal(t, 2, report.Added)
	require.Zero(t, report.Behind)
	require.Len(t, b.Roles(t), 2)
	require.Contains(t, b.Audit(t), mirrortest.AuditRow{Organization: "org_1", Action: "member.joined", Target: "user_00000", Cause: report.SweepID})
	require.Zero(t, b.sweep(t, d, Options{}).Repaired)
}

func TestConfirm_TombstoneStaysIfLookUpFindsNothing(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(2)
	b.sweep(t, d, Options{})
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.deleted", 1, mirrortest.Membership(0, "org:member", 0)))
	d.Finding = func(r clerksync.Resource, _ clerksync.Reference) { d.Remove(r, "orgmem_00000") }
	report := b.sweep(t, d, Options{})
	require.Equal(t, []string{"orgmem_00000"}, slices.Compact(d.Finds))
	require.Zero(t, report.Repaired)
	require.Len(t, b.Roles(t), 1)
}

// TestSweep_ShiftingListSkipsNoMember: deletions move later objects into pages that were read
// already.
func TestSweep_ShiftingListSkipsNoMember(t *testing.T) {
	t.Parallel()
	for _, deleted := range []int{1, 9, 40, 700} {
		t.Run(fmt.Sprint(deleted), func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), mirrortest.Populated(2000)
			d.Tamper = func(r clerksync.Resource, p clerksync.PageRequest, _ *clerksync.Page) {
				if r == clerksync.ResourceMembership && p.Offset > 600 {
					d.Tamper = nil
					d.Objects[r] = d.Objects[r][deleted:]
				}
			}
			report := b.sweep(t, d, Options{})
			require.False(t, report.Aborted, report.Detail)
			roles := b.Roles(t)
			for n := deleted; n < 2000; n++ {
				require.Contains(t, roles, fmt.Sprintf("orgmem_%05d", n))
			}
		})
	}
}

// TestSweep_RoleIsAsOfWhenClerkWasAsked: two roles exchanged their keys, and no event reported it,
// nor their members.
func TestSweep_RoleIsAsOfWhenClerkWasAsked(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(2)
	role := func(id, key, permission string, after int64) map[string]any {
		return map[string]any{
			"id": id, "key": key, "name": id, "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + after,
			"permissions": []any{map[string]any{"id": "perm_" + permission, "key": "org:" + permission, "name": permission}},
		}
	}
	for _, name := range []string{"read", "write"} {
		d.Set(clerksync.ResourcePermission, map[string]any{"id": "perm_" + name, "key": "org:" + name, "name": name, "updated_at": mirrortest.T0})
	}
	d.Set(clerksync.ResourceRole, role("role_1", "org:clerk", "read", 0))
	d.Set(clerksync.ResourceRole, role("role_2", "org:lead", "write", 0))
	d.Set(clerksync.ResourceMembership, mirrortest.Membership(0, "org:clerk", 1))
	d.Set(clerksync.ResourceMembership, mirrortest.Membership(1, "org:lead", 1))
	b.sweep(t, d, Options{})
	d.Set(clerksync.ResourceRole, role("role_1", "org:lead", "read", 7))
	d.Set(clerksync.ResourceRole, role("role_2", "org:clerk", "write", 7))
	d.Set(clerksync.ResourceMembership, mirrortest.Membership(0, "org:lead", 1))
	d.Set(clerksync.ResourceMembership, mirrortest.Membership(1, "org:clerk", 1))
	b.sweep(t, d, Options{})
	standings, err := store.Standings(t.Context(), b.Pool,
		store.Pair{UserID: "user_00000", OrganizationID: "org_1"}, store.Pair{UserID: "user_00001", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.Equal(t, []string{"org:read"}, standings[0].Permissions)
	require.Equal(t, []string{"org:write"}, standings[1].Permissions)
}

// TestSweep_ClerkOverrulesVersionsFromTheFuture: a delivery from the future wins against every
// later one, but not against Clerk's answer.
func TestSweep_ClerkOverrulesVersionsFromTheFuture(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	const century = 100 * 365 * 24 * 3600 * 1000
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.updated", 1, mirrortest.Membership(0, "org:admin", century)))
	b.Deliver(t, mirrortest.Event(t, "msg_2", "user.updated", 1, map[string]any{"id": "user_00001", "banned": true, "created_at": mirrortest.T0, "updated_at": mirrortest.T0 + century}))
	moved := mirrortest.Membership(2, "org:member", 0)
	moved["organization"] = map[string]any{"id": "org_zzz"}
	b.Deliver(t, mirrortest.Event(t, "msg_3", "organizationMembership.updated", 1, moved))
	require.Equal(t, "org:admin", b.Roles(t)["orgmem_00000"])
	require.NotContains(t, b.Roles(t), "orgmem_00001")

	report := b.sweep(t, d, Options{})
	require.Equal(t, 3, report.Stale)
	require.Equal(t, map[string]string{"orgmem_00000": "org:member", "orgmem_00001": "org:member", "orgmem_00002": "org:member"}, b.Roles(t))
	standings, err := store.Standings(t.Context(), b.Pool, store.Pair{UserID: "user_00002", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.True(t, standings[0].Member)
	require.Zero(t, b.sweep(t, d, Options{}).Stale)

	b.Deliver(t, mirrortest.Event(t, "msg_4", "organizationMembership.updated", 9, mirrortest.Membership(0, "org:admin", 9)))
	require.Equal(t, "org:admin", b.Roles(t)["orgmem_00000"], "real deliveries count again")
}

// TestConfirm_WaitsForClerkBeforeRemovingNewMember: Clerk's lists and look-ups may lag behind its
// webhooks.
func TestConfirm_WaitsForClerkBeforeRemovingNewMember(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(2)
	b.sweep(t, d, Options{})
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.created", 1, mirrortest.Membership(7, "org:member", 1)))
	looked := 0
	slow, err := New(Config{Pool: b.Pool, Clerk: lagging{d, &looked}, Logger: b.Logs.Logger(), Settle: 3 * time.Second})
	require.NoError(t, err)
	report, err := slow.Run(t.Context(), Options{})
	require.NoError(t, err)
	require.Equal(t, 1, report.Vindicated)
	require.Zero(t, report.Removed)
	require.Len(t, b.Roles(t), 3)
}
