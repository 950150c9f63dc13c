package sync_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	clerksync "github.com/callmine/rolecall/sync"
)

// observed reads an object as Clerk's API shows it when asked so many milliseconds after t0.
func observed(t require.TestingT, r clerksync.Resource, after int64, object map[string]any) clerksync.Facts {
	raw, err := json.Marshal(object)
	require.NoError(t, err)
	facts, err := clerksync.DecodeObservation(clerksync.Observation{Resource: r, Object: raw, AskedAt: t0 + after, Cause: "sweep_1"})
	require.NoError(t, err)
	return facts
}

// observe merges one observation.
func observe(mirror clerksync.Mirror, f clerksync.Facts, after int64) clerksync.Changes {
	return mirror.ObserveAll([]clerksync.Facts{f}, t0+after, "sweep_1")
}

func membershipShown(role string, updatedAt int64) map[string]any {
	return map[string]any{
		"id": "orgmem_a1", "role": role, "created_at": t0, "updated_at": t0 + updatedAt,
		"organization": map[string]any{"id": "org_a"}, "public_user_data": map[string]any{"user_id": "user_1"},
	}
}

// TestObserveAll_AnswersAndEventsHaveOneOrder: by updated_at, then by the time of the event or the
// question. An event of the very millisecond of the question is later.
func TestObserveAll_AnswersAndEventsHaveOneOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		eventUpdated, eventOccurred int64
		shownUpdated, asked         int64
		want                        string
	}{
		"updated later at Clerk":              {1, 1, 2, 5, "answer"},
		"a stale answer":                      {2, 3, 1, 9, "event"},
		"asked after the event":               {1, 3, 1, 4, "answer"},
		"asked before the event":              {1, 4, 1, 3, "event"},
		"asked in the event's millisecond":    {1, 4, 1, 4, "event"},
		"an event that says nothing of when":  {0, 4, 1, 9, "answer"},
		"an event older in every way, though": {1, 1, 1, 1, "event"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := membershipMessage("msg_1", "updated", "orgmem_a1", "org:event", c.eventUpdated, c.eventOccurred)
			answer := observed(t, clerksync.ResourceMembership, c.asked, membershipShown("org:answer", c.shownUpdated))
			one := play(t, event)
			observe(one, answer, c.asked)
			other := clerksync.NewMirror()
			observe(other, answer, c.asked)
			apply(t, other, event)
			require.Equal(t, "org:"+c.want, one.Memberships["orgmem_a1"].Role.Value)
			require.Equal(t, one.Memberships["orgmem_a1"].Role, other.Memberships["orgmem_a1"].Role, "in either order")
		})
	}
}

func TestObserveAll_KnownAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	mirror := play(t, membershipMessage("msg_1", "updated", "orgmem_a1", "org:member", 1, 1))
	before := mirror.Memberships["orgmem_a1"]
	changes := observe(mirror, observed(t, clerksync.ResourceMembership, 9, membershipShown("org:member", 1)), 9)
	require.Empty(t, changes.Memberships)
	require.Empty(t, changes.Drift)
	require.Equal(t, before, mirror.Memberships["orgmem_a1"])

	// The object was updated again since, to the same values. That is no drift, but an event lost
	// in between must not count later.
	changes = observe(mirror, observed(t, clerksync.ResourceMembership, 9, membershipShown("org:member", 5)), 9)
	require.Len(t, changes.Memberships, 1)
	require.Empty(t, changes.Drift)
	apply(t, mirror, membershipMessage("msg_2", "updated", "orgmem_a1", "org:admin", 3, 3))
	require.Equal(t, "org:member", mirror.Memberships["orgmem_a1"].Role.Value)
}

func TestObserveAll_TellsKindsOfDriftApart(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	asked := int64(9)
	drift := func(f clerksync.Facts) (found []clerksync.Difference) {
		asked++
		for _, d := range observe(mirror, f, asked).Drift {
			found = append(found, d.Difference)
		}
		return found
	}
	member := func(role string, updated int64) clerksync.Facts {
		return observed(t, clerksync.ResourceMembership, asked+1, membershipShown(role, updated))
	}
	organization := observed(t, clerksync.ResourceOrganization, 9, map[string]any{"id": "org_a", "name": "North", "updated_at": t0})
	require.Equal(t, []clerksync.Difference{clerksync.Missing}, drift(member("org:member", 1)))
	require.Empty(t, drift(member("org:member", 1)))
	require.Equal(t, []clerksync.Difference{clerksync.Stale}, drift(member("org:admin", 1)))
	apply(t, mirror, message{ID: "msg_1", Type: "organizationInvitation.created", Timestamp: t0, Data: map[string]any{
		"id": "orginv_1", "organization_id": "org_a", "status": "pending", "role": "org:member", "email_address": "kim@callmine.test",
		"public_organization_data": map[string]any{"id": "org_a", "name": "North"},
	}})
	require.Equal(t, []clerksync.Difference{clerksync.Missing}, drift(organization), "known only from a nested copy")
	require.Empty(t, drift(organization))
}

// TestTombstone_OnlyALaterLookUpLiftsIt, if a read set the tombstone. Only a later deletion sets it
// again.
func TestTombstone_OnlyALaterLookUpLiftsIt(t *testing.T) {
	t.Parallel()
	gone := func(asked int64) clerksync.Facts {
		ref := clerksync.Reference{ID: "orgmem_a1", OrganizationID: "org_a", UserID: "user_1"}
		return clerksync.Gone(clerksync.ResourceMembership, ref, t0+asked, clerksync.SweepCause(asked))
	}
	mirror := clerksync.NewMirror()
	observe(mirror, gone(20), 20)
	require.True(t, tombstoneOf(mirror).Dead())
	observe(mirror, shownAlive(t, 100_000), 100_000)
	require.True(t, tombstoneOf(mirror).Dead(), "a listing doesn't lift it")
	observe(mirror, shownAlive(t, 20).Alive(t0+20), 20)
	require.True(t, tombstoneOf(mirror).Dead(), "an answer asked for before the deletion was known doesn't lift it")
	changes := observe(mirror, shownAlive(t, 100_000).Alive(t0+100_000), 100_000)
	require.False(t, tombstoneOf(mirror).Dead())
	require.Equal(t, clerksync.ActionMemberJoined, changes.Entries[0].Action)
	require.Equal(t, t0+100_000, changes.Entries[0].At)

	observe(mirror, gone(20), 20)
	require.False(t, tombstoneOf(mirror).Dead(), "the lifted deletion again")
	observe(mirror, gone(200_000), 200_000)
	require.True(t, tombstoneOf(mirror).Dead(), "another one")
}

// TestTombstone_SignedDeletionIsFinal, in any order of the deletion and the answers.
func TestTombstone_SignedDeletionIsFinal(t *testing.T) {
	t.Parallel()
	deletion, known, err := clerksync.Decode(membershipMessage("msg_1", "deleted", "orgmem_a1", "org:member", 1, 10).delivery(t))
	require.NoError(t, err)
	require.True(t, known)
	ref := clerksync.Reference{ID: "orgmem_a1", OrganizationID: "org_a", UserID: "user_1"}
	rapid.Check(t, func(rt *rapid.T) {
		facts := []clerksync.Facts{deletion}
		for range rapid.IntRange(1, 5).Draw(rt, "answers") {
			asked := rapid.Int64Range(0, 10_000_000).Draw(rt, "asked")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				facts = append(facts, shownAlive(t, asked).Alive(t0+asked))
			case 1:
				facts = append(facts, clerksync.Gone(clerksync.ResourceMembership, ref, t0+asked, clerksync.SweepCause(asked)))
			case 2:
				facts = append(facts, clerksync.Gone(clerksync.ResourceMembership, ref, t0+asked, clerksync.LookupCause("A")))
			default:
				facts = append(facts, shownAlive(t, asked))
			}
		}
		mirror := clerksync.NewMirror()
		for _, f := range rapid.Permutation(facts).Draw(rt, "order") {
			mirror.OverruleAll([]clerksync.Facts{f}, t0, "sweep_1")
		}
		require.True(rt, tombstoneOf(mirror).Dead())
		require.True(rt, tombstoneOf(mirror).Final())
		require.Equal(rt, "msg_1", tombstoneOf(mirror).DeliveryID)
	})
}

// TestTombstone_AnswerToACommandIsFinal, as a signed deletion is: Clerk carried it out.
func TestTombstone_AnswerToACommandIsFinal(t *testing.T) {
	t.Parallel()
	require.True(t, clerksync.Tombstone{OccurredAt: t0, DeliveryID: "cmd_A", ReceivedAt: t0, LiftedAt: t0 + 1}.Dead())
	require.False(t, clerksync.Tombstone{OccurredAt: t0, DeliveryID: "lookup_A", ReceivedAt: t0, LiftedAt: t0 + 1}.Dead())
	require.False(t, clerksync.Tombstone{LiftedAt: t0}.Final())
}

func tombstoneOf(m clerksync.Mirror) clerksync.Tombstone { return m.Memberships["orgmem_a1"].Tombstone }

// shownAlive is an answer that shows a membership, asked for some milliseconds after t0.
func shownAlive(t require.TestingT, after int64) clerksync.Facts {
	return observed(t, clerksync.ResourceMembership, after, membershipShown("org:member", 1))
}

// TestLaw_TombstonesAndLiftsHaveNoOrder: deletions, and look-ups clearly before or after them, give
// one result in any order.
func TestLaw_TombstonesAndLiftsHaveNoOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all []clerksync.Membership
		for range rapid.IntRange(1, 6).Draw(t, "length") {
			at := t0 + rapid.Int64Range(0, 5).Draw(t, "at")*1_000_000
			tombstone := clerksync.Tombstone{OccurredAt: at, ReceivedAt: at + 100, DeliveryID: rapid.SampledFrom([]string{"sweep_1", "lookup_A", "msg_1"}).Draw(t, "id")}
			if rapid.Bool().Draw(t, "alive") {
				tombstone = clerksync.Tombstone{LiftedAt: at + 500_000}
			}
			all = append(all, clerksync.Membership{Reference: clerksync.Reference{ID: "orgmem_a1"}, Tombstone: tombstone})
		}
		merged := func(order []clerksync.Membership) clerksync.Tombstone {
			m := clerksync.Membership{Reference: clerksync.Reference{ID: "orgmem_a1"}}
			for _, in := range order {
				m = m.Merge(in)
			}
			return m.Tombstone
		}
		require.Equal(t, merged(all), merged(rapid.Permutation(all).Draw(t, "order")))
	})
}

// TestObserveAll_NestedObjectsAreStubs: a nested copy never outranks the object's own answer.
func TestObserveAll_NestedObjectsAreStubs(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	observe(mirror, observed(t, clerksync.ResourceUser, 1, map[string]any{"id": "user_1", "first_name": "Kim", "updated_at": t0}), 1)
	shown := membershipShown("org:member", 1)
	shown["public_user_data"] = map[string]any{"user_id": "user_1", "first_name": "Somebody else"}
	observe(mirror, observed(t, clerksync.ResourceMembership, 9, shown), 9)
	require.Equal(t, "Kim", *mirror.Users["user_1"].FirstName.Value)
}

func TestObserveAll_ReportsMovedRoles(t *testing.T) {
	t.Parallel()
	mirror := clerksync.NewMirror()
	moved := func(r clerksync.Resource, after int64, object map[string]any) bool {
		return observe(mirror, observed(t, r, after, object), after).RolesMoved
	}
	role := func(key string, updated int64, permissions ...any) map[string]any {
		return map[string]any{"id": "role_1", "key": key, "name": "Clerk", "permissions": append([]any{}, permissions...), "updated_at": t0 + updated}
	}
	set := func(key any, updated int64) map[string]any {
		return map[string]any{"id": "org_a", "name": "North", "role_set_key": key, "updated_at": t0 + updated}
	}
	permission := map[string]any{"id": "perm_1", "key": "org:a:b", "name": "A"}
	require.False(t, moved(clerksync.ResourceRole, 1, role("org:clerk", 1)), "a new one moves nobody")
	require.True(t, moved(clerksync.ResourceRole, 2, role("org:clerk", 2, permission)))
	require.True(t, moved(clerksync.ResourceRole, 3, role("org:guest", 3, permission)))
	require.False(t, moved(clerksync.ResourceOrganization, 4, set("role_set:default", 1)))
	require.True(t, moved(clerksync.ResourceOrganization, 5, set("role_set:other", 2)))
	require.False(t, moved(clerksync.ResourceOrganization, 6, set("role_set:other", 3)))
}

func TestObserveAll_RefusesUnreadableAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		resource clerksync.Resource
		object   string
	}{
		{clerksync.ResourceMembership, `[]`},
		{clerksync.ResourceMembership, `{"id":"orgmem_1"}`},
		{clerksync.ResourceOrganization, `{"id":"user_1"}`},
		{clerksync.ResourceUser, `{"id":7}`},
		{"session", `{"id":"sess_1"}`},
	} {
		_, err := clerksync.DecodeObservation(clerksync.Observation{Resource: c.resource, Object: json.RawMessage(c.object)})
		require.ErrorIs(t, err, clerksync.ErrUndecodable, c.object)
	}
	for _, text := range []string{`{}`, `{"id":""}`, `{"id":7}`, `null`, `[`} {
		_, err := clerksync.ObservedID(json.RawMessage(text))
		require.ErrorIs(t, err, clerksync.ErrUndecodable, text)
	}
}

// TestObserveAll_FillingInIsNoDrift: after an upgrade, an answer brings fields that nothing had
// written. The mirror takes them, and Clerk's object is no other one.
func TestObserveAll_FillingInIsNoDrift(t *testing.T) {
	t.Parallel()
	shown := func(asked, updated int64, more map[string]any) clerksync.Facts {
		object := map[string]any{"id": "org_a", "name": "North", "updated_at": t0 + updated}
		maps.Copy(object, more)
		return observed(t, clerksync.ResourceOrganization, asked, object)
	}
	for name, c := range map[string]struct {
		updated int64
		more    map[string]any
		drift   []clerksync.Drift
	}{
		"a field that was never written":                     {1, map[string]any{"max_allowed_memberships": 5}, nil},
		"such a field of an object that has changed since":   {2, map[string]any{"max_allowed_memberships": 5}, []clerksync.Drift{{ID: "org_a", Difference: clerksync.Stale}}},
		"such a field, and another value of one that was":    {1, map[string]any{"max_allowed_memberships": 5, "name": "South"}, []clerksync.Drift{{ID: "org_a", Difference: clerksync.Stale}}},
		"another value of a field that was written, without": {1, map[string]any{"name": "South"}, []clerksync.Drift{{ID: "org_a", Difference: clerksync.Stale}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mirror := clerksync.NewMirror()
			observe(mirror, shown(1, 1, nil), 1)
			changes := observe(mirror, shown(9, c.updated, c.more), 9)
			require.Equal(t, c.drift, changes.Drift)
			if limit, told := c.more["max_allowed_memberships"]; told {
				require.EqualValues(t, limit, mirror.Organizations["org_a"].MaxMemberships.Value)
			}
		})
	}
}
