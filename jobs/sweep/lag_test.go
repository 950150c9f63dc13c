package sweep

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/lookup"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestLag_OldAnswerAdmitsNoOne: signed events removed, demoted, banned and deleted four admins. In
// lists and look-ups, Clerk still shows the state before. Once Clerk has caught up, one sweep makes
// the mirror equal.
func TestLag_OldAnswerAdmitsNoOne(t *testing.T) {
	t.Parallel()
	s := simulate(t, 5)
	members := s.clerk.Members()
	for _, m := range members[1:] {
		s.setRole(m, clerksim.RoleAdmin)
	}
	s.clerk.Deliveries() // lost
	s.sweep(Options{})
	s.requireEqual()
	earlier := s.world.Snapshot()
	s.remove(members[1])
	s.setRole(members[2], clerksim.RoleMember)
	_, err := s.world.BanUser(members[3].UserID)
	require.NoError(t, err)
	require.NoError(t, s.world.DeleteUser(members[4].UserID))
	s.webhooks()
	require.Len(t, s.Roles(t), 2)
	s.requireEqual()
	entries := len(s.Audit(t))

	catchUp := s.faults.AnswerFrom(earlier, nil)
	for range 2 {
		report := s.sweep(Options{})
		s.requireEqual()
		require.Equal(t, counts{Behind: 4}, countsOf(report), "two memberships and two users")
		require.True(t, report.Aborted)
		require.Equal(t, ReasonReadsBehind, report.Reason)
		require.Equal(t, 2, report.ByKind[clerksync.ResourceMembership].Behind)
	}
	require.Len(t, s.Audit(t), entries, "nothing changed")
	totals, err := store.DriftTotals(t.Context(), s.Pool)
	require.NoError(t, err)
	require.Contains(t, totals, store.DriftTotal{Resource: clerksync.ResourceMembership, Difference: clerksync.Behind, Cause: store.CauseLag, Count: 4})
	last, err := store.LastSweep(t.Context(), s.Pool)
	require.NoError(t, err)
	require.Equal(t, store.SweepAborted, last.State)

	catchUp()
	report := s.sweep(Options{Confirm: true})
	require.False(t, report.Aborted, report.Detail)
	require.Zero(t, report.Behind)
	s.requireEqual()
	last, err = store.LastSweep(t.Context(), s.Pool)
	require.NoError(t, err)
	require.Equal(t, store.SweepClean, last.State)
}

// TestLag_DryRunReportsOldAnswer, and counts nothing.
func TestLag_DryRunReportsOldAnswer(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	earlier, members := s.world.Snapshot(), s.clerk.Members()
	s.remove(members[1])
	s.setRole(members[2], clerksim.RoleAdmin)
	s.webhooks()
	s.faults.AnswerFrom(earlier, nil)
	var found []store.FoundDrift
	report := s.sweep(Options{DryRun: true, Found: func(f store.FoundDrift) { found = append(found, f) }})
	require.Equal(t, counts{Behind: 2}, countsOf(report))
	require.Len(t, found, 2)
	require.Equal(t, store.CauseLag, found[0].Cause)
	totals, err := store.DriftTotals(t.Context(), s.Pool)
	require.NoError(t, err)
	for _, total := range totals {
		require.NotEqual(t, clerksync.Behind, total.Difference)
	}
}

// TestLag_OperatorMayTrustClerk: Clerk itself was restored to an earlier state, and an operator
// says so with TrustClerk. A signed deletion stays.
func TestLag_OperatorMayTrustClerk(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	restored, before, members := s.world.Snapshot(), s.Roles(t), s.clerk.Members()
	s.setRole(members[1], clerksim.RoleAdmin)
	s.remove(members[2])
	s.webhooks()
	s.faults.AnswerFrom(restored, nil)
	require.Equal(t, counts{Stale: 1, Behind: 1, Repaired: 1, Updated: 1}, countsOf(s.sweep(Options{TrustClerk: true})))
	delete(before, members[2].ID)
	require.Equal(t, before, s.Roles(t))
}

// TestLag_LiftsNoTombstone: the read that shows a member again may be older than the read that
// didn't show the member.
func TestLag_LiftsNoTombstone(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	earlier, members := s.world.Snapshot(), s.clerk.Members()
	show := s.faults.Omit(nil, members[1].ID)
	require.Equal(t, 1, s.sweep(Options{}).Removed)
	s.setRole(members[2], clerksim.RoleAdmin)
	s.webhooks()
	show()
	catchUp := s.faults.AnswerFrom(earlier, nil)
	require.Equal(t, counts{Behind: 2}, countsOf(s.sweep(Options{})))
	require.NotContains(t, s.Roles(t), members[1].ID)

	catchUp()
	require.Equal(t, 1, s.sweep(Options{}).Added, "the read that didn't show the member erred")
	s.requireEqual()
}

// TestLag_LookUpProvesItselfBehind: a sweep found an organization gone. The look-up that shows the
// organization again is older than a delivery that was applied before, and nothing else is behind.
func TestLag_LookUpProvesItselfBehind(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	earlier, name := s.world.Snapshot(), "Renamed"
	_, err := s.world.UpdateOrganization(s.organization, clerksim.OrganizationUpdate{Name: &name})
	require.NoError(t, err)
	s.webhooks()
	show := s.faults.Omit(nil, s.organization)
	require.Positive(t, s.sweep(Options{Confirm: true}).Removed)
	show()
	catchUp := s.faults.AnswerFrom(earlier, nil)
	require.Equal(t, counts{Behind: 1}, countsOf(s.sweep(Options{})))
	require.Empty(t, s.Roles(t))

	catchUp()
	require.Equal(t, counts{Missing: 1, Repaired: 1, Added: 1}, countsOf(s.sweep(Options{})))
	s.requireEqual()
}

// TestLag_OldAnswerRemovesNoNewMember: a read from before the membership doesn't show it.
func TestLag_OldAnswerRemovesNoNewMember(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	user, err := s.world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	s.sweep(Options{})
	earlier := s.world.Snapshot()
	s.setRole(s.clerk.Members()[1], clerksim.RoleAdmin)
	_, err = s.world.AddMember(s.organization, user.ID, "")
	require.NoError(t, err)
	s.webhooks()
	s.faults.AnswerFrom(earlier, nil)
	require.Equal(t, counts{Behind: 2}, countsOf(s.sweep(Options{})))
	s.requireEqual()
}

// TestLag_MembershipDatedBeforeTheEndedOne: the membership counts if only a slow clock of one of
// Clerk's machines explains its date.
func TestLag_MembershipDatedBeforeTheEndedOne(t *testing.T) {
	t.Parallel()
	again := func(created, updated int64) map[string]any {
		m := mirrortest.Membership(0, "org:member", updated)
		m["id"], m["created_at"] = "orgmem_again", mirrortest.T0+created
		return m
	}
	first := func() map[string]any {
		m := mirrortest.Membership(0, "org:admin", 100_000)
		m["created_at"] = mirrortest.T0 + 100_000
		return m
	}
	for name, c := range map[string]struct {
		created, updated int64
		event            bool          // only a webhook shows it
		readLag          time.Duration // that is assumed
		counts           bool
	}{
		"by its own event":              {created: 50_000, updated: 50_000, event: true, counts: true},
		"listed, 50 ms apart":           {created: 99_950, updated: 99_950, counts: true},
		"listed, updated since":         {created: 50_000, updated: 200_000, counts: true},
		"listed, as before the other":   {created: 50_000, updated: 50_000},
		"listed, long after the other":  {created: 50_000, updated: 50_000, readLag: time.Nanosecond, counts: true},
		"listed, before a longer life?": {created: 98_000, updated: 98_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), mirrortest.NewDirectory()
			d.Member(0, "org:admin")
			d.Remove(clerksync.ResourceMembership, "orgmem_00000")
			b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.created", 100_001, first()))
			b.Deliver(t, mirrortest.Event(t, "msg_2", "organizationMembership.deleted", 150_000, first()))
			shown := again(c.created, c.updated)
			if c.event {
				b.Deliver(t, mirrortest.Event(t, "msg_3", "organizationMembership.created", 160_000, shown))
				require.Equal(t, map[string]string{"orgmem_again": "org:member"}, b.Roles(t))
				return
			}
			d.Set(clerksync.ResourceMembership, shown)
			s := b.sweeper(t, d)
			if c.readLag > 0 {
				s.cfg.ReadLag = c.readLag
			}
			report, err := s.Run(t.Context(), Options{})
			require.NoError(t, err)
			require.Equal(t, c.counts, len(b.Roles(t)) == 1, "%+v", report)
			require.Equal(t, c.counts, report.Behind == 0)
			if c.counts { // it still counts after the next sweep, which finds nothing
				require.Zero(t, countsOf(b.sweep(t, d, Options{})))
				standings, err := store.Standings(t.Context(), b.Pool, store.Pair{UserID: "user_00000", OrganizationID: "org_1"})
				require.NoError(t, err)
				require.True(t, standings[0].Member)
			}
		})
	}
}

// TestLag_OldAnswerRevivesNoEarlierMembership: a member left, came back and left again; the first
// deletion was lost, and Clerk's reads show the first membership.
func TestLag_OldAnswerRevivesNoEarlierMembership(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.NewDirectory()
	d.Member(0, "org:admin")
	b.sweep(t, d, Options{})
	again := mirrortest.Membership(0, "org:member", 60_000)
	again["id"], again["created_at"] = "orgmem_again", mirrortest.T0+60_000
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.created", 60_001, again))
	b.Deliver(t, mirrortest.Event(t, "msg_2", "organizationMembership.deleted", 70_000, again))
	require.Empty(t, b.Roles(t))
	require.Equal(t, 1, b.sweep(t, d, Options{}).Behind)
	require.Empty(t, b.Roles(t))
	refresher, err := lookup.NewRefresher(lookup.RefresherConfig{
		Pool: b.Pool, Clerk: d, Allowed: func() error { return nil },
	})
	require.NoError(t, err)
	require.NoError(t, refresher.Refresh(t.Context(), "user_00000", "org_1"))
	require.Empty(t, b.Roles(t), "a look-up shows the same")
}

// TestLag_ManyOldAnswersCostBoundedLookUps, while Clerk's reads are behind as a whole.
func TestLag_ManyOldAnswersCostBoundedLookUps(t *testing.T) {
	t.Parallel()
	const changed = maxBehind + 20
	s := simulate(t, changed+1)
	s.sweep(Options{})
	earlier := s.world.Snapshot()
	for _, m := range s.clerk.Members()[1:] {
		s.setRole(m, clerksim.RoleAdmin)
	}
	s.webhooks()
	s.faults.AnswerFrom(earlier, nil)
	s.forgetCalls()
	require.Equal(t, counts{Behind: changed}, countsOf(s.sweep(Options{})))
	require.Equal(t, maxBehind, s.lookUps())
}

// TestDoubt_MembershipBehindOneWhoseEndWasLost: two memberships of a pair seem to live, and Clerk
// shows the one that it dates earlier.
func TestDoubt_MembershipBehindOneWhoseEndWasLost(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.NewDirectory()
	d.Member(0, "org:admin")
	d.Remove(clerksync.ResourceMembership, "orgmem_00000")
	last, ended := mirrortest.Membership(0, "org:member", 8), mirrortest.Membership(0, "org:admin", 48)
	last["id"], last["created_at"], ended["created_at"] = "orgmem_last", mirrortest.T0+8, mirrortest.T0+48
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.created", 56, ended))
	b.Deliver(t, mirrortest.Event(t, "msg_2", "organizationMembership.created", 22, last))
	require.Equal(t, map[string]string{"orgmem_00000": "org:admin"}, b.Roles(t))
	d.Set(clerksync.ResourceMembership, last)
	report := b.sweep(t, d, Options{})
	require.Equal(t, map[string]string{"orgmem_last": "org:member"}, b.Roles(t), "%+v", report)
	require.Zero(t, report.Behind)
}

// TestDoubt_OutlivesInterruptedSweep: a sweep is interrupted while it looks up doubtful objects,
// and the next one settles them.
func TestDoubt_OutlivesInterruptedSweep(t *testing.T) {
	t.Parallel()
	s := simulate(t, 4)
	s.sweep(Options{})
	earlier := s.world.Snapshot()
	for _, m := range s.clerk.Members()[1:] {
		s.setRole(m, clerksim.RoleAdmin)
	}
	s.webhooks()
	s.faults.AnswerFrom(earlier, nil)
	s.interrupt(clerksim.Lookups)
	report := s.sweep(Options{})
	require.Equal(t, counts{Behind: 3}, countsOf(report))
	require.Equal(t, ReasonReadsBehind, report.Reason)
}

// TestLag_TrustBeginsANewSweep: a sweep that trusts Clerk continues no interrupted one, because
// that has judged its pages without trust.
func TestLag_TrustBeginsANewSweep(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	earlier, before := s.world.Snapshot(), s.Roles(t)
	s.setRole(s.clerk.Members()[1], clerksim.RoleAdmin)
	s.webhooks()
	s.faults.AnswerFrom(earlier, nil)
	s.interrupt(clerksim.OnRoute(listInvitations))
	require.Zero(t, s.sweep(Options{TrustClerk: true}).Behind)
	require.Equal(t, before, s.Roles(t))
}

// TestLag_AnswerDoesNotOutrankNewerMembership: an old answer shows the first of three memberships
// of a pair, of which the last one lives.
func TestLag_AnswerDoesNotOutrankNewerMembership(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.NewDirectory()
	d.Member(0, "org:admin")
	b.sweep(t, d, Options{})
	second, third := mirrortest.Membership(0, "org:member", 50), mirrortest.Membership(0, "org:guest", 60_000)
	second["id"], second["created_at"] = "orgmem_second", mirrortest.T0+50
	third["id"], third["created_at"] = "orgmem_third", mirrortest.T0+60_000
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.created", 51, second))
	b.Deliver(t, mirrortest.Event(t, "msg_2", "organizationMembership.deleted", 55, second))
	b.Deliver(t, mirrortest.Event(t, "msg_3", "organizationMembership.created", 60_001, third))
	require.Equal(t, map[string]string{"orgmem_third": "org:guest"}, b.Roles(t))
	b.sweep(t, d, Options{}) // still shows the first
	require.NotContains(t, b.Roles(t), "orgmem_00000")
	b.Deliver(t, mirrortest.Event(t, "msg_4", "organizationMembership.deleted", 70_000, third))
	require.Empty(t, b.Roles(t))
}
