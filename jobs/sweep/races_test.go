package sweep

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
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
		// While the answer is under way, member 0 is demoted and member 1 removed. Both happen at
		// the same millisecond of a clock that is behind ours.
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
	s := simulate(t, 2)
	s.sweep(Options{})
	s.faults.BeforeAnswer(func(clerksim.Call) {
		s.member()
		s.webhooks()
	}, clerksim.Times(1, clerksim.OnRoute(listInvitations)))
	require.Zero(t, countsOf(s.sweep(Options{})))
	require.Zero(t, s.lookUps())
	s.requireEqual()
}

// TestSweep_OldNewsThatComesMeanwhile: before the sweep began, somebody joined and was removed. The
// webhook of the removal is lost, and that of the joining is applied at any point of the sweep.
func TestSweep_OldNewsThatComesMeanwhile(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]clerksim.Match{
		"before the listing of members": clerksim.OnRoute("GET /organizations"),
		"before that of invitations":    clerksim.OnRoute(listInvitations),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 2)
			s.sweep(Options{})
			m := s.member()
			joined := s.clerk.Deliveries()
			s.remove(m)
			s.clerk.Deliveries() // lost
			s.faults.BeforeAnswer(func(clerksim.Call) {
				for _, d := range joined {
					s.Deliver(t, d)
				}
			}, clerksim.Times(1, at))
			require.Equal(t, 1, s.sweep(Options{}).Removed)
			s.requireEqual()
		})
	}
}

// TestSweep_OldNewsThatWaits: the same, but the webhook of the joining waits in the ledger until
// the sweep has confirmed everything, as one does that a killed process was applying.
func TestSweep_OldNewsThatWaits(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2)
	s.sweep(Options{})
	gone := s.clerk.Members()[1]
	m := s.member()
	joined := s.clerk.Deliveries()
	s.remove(gone, m)
	s.clerk.Deliveries() // lost
	s.Insert(t, joined...)
	sweeper, err := New(Config{Pool: s.Pool, Clerk: s.clerk.Client, Logger: s.Logs.Logger(), Settle: 50 * time.Millisecond, ApplyWait: time.Minute})
	require.NoError(t, err)
	ended := make(chan Report, 1)
	go func() {
		report, _ := sweeper.Run(t.Context(), Options{})
		ended <- report
	}()
	mirrortest.Eventually(t, func() bool {
		return s.Count(t, `SELECT count(*) FROM rolecall.sweeps WHERE state = 'running' AND progress::jsonb @> '{"resource": "domain", "lifting": true}'`) == 1
	}, "everything is confirmed")
	require.NotContains(t, s.Roles(t), gone.ID, "the wait holds nothing up")
	_, err = s.Apply(t.Context(), mirrortest.IDs(joined)...)
	require.NoError(t, err)
	report := <-ended
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 2, report.Removed)
	s.requireEqual()
}

// TestConfirm_AwaitsEarlierDeliveriesOnce, however often the sweep is interrupted meanwhile: an
// ordered sweep is worked in slices that are shorter than the wait, and a delivery may be held up
// for hours.
func TestConfirm_AwaitsEarlierDeliveriesOnce(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2)
	s.sweep(Options{})
	s.member()
	s.Insert(t, s.clerk.Deliveries()...) // they wait for good
	sweeper, err := New(Config{Pool: s.Pool, Clerk: s.clerk.Client, Logger: s.Logs.Logger(), Settle: 50 * time.Millisecond, ApplyWait: time.Hour})
	require.NoError(t, err)
	ended := make(chan error, 1)
	run := func(ctx context.Context) {
		_, err := sweeper.Run(ctx, Options{})
		ended <- err
	}
	slice, cancel := context.WithCancel(t.Context())
	go run(slice)
	const awaits = `FROM rolecall.sweeps WHERE state = 'running' AND progress::jsonb ? 'awaits'`
	mirrortest.Eventually(t, func() bool { return s.Count(t, "SELECT count(*) "+awaits) == 1 }, "the wait has begun")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)

	s.Exec(t, `UPDATE rolecall.sweeps SET progress = jsonb_set(progress::jsonb, '{awaits}', to_jsonb(now())) WHERE state = 'running'`)
	patient, giveUp := context.WithTimeout(t.Context(), 3*mirrortest.Patience)
	defer giveUp()
	for err = ErrRunning; errors.Is(err, ErrRunning); err = <-ended { // the session of the first slice may still hold the lock
		go run(patient)
	}
	require.NoError(t, err, "the wait is over")
	require.Equal(t, 2, s.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean'"))
}

// TestConfirm_LooksOnlyChangesUpAgain once it has waited for earlier deliveries: what it has
// confirmed isn't counted twice.
func TestConfirm_LooksOnlyChangesUpAgain(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2)
	s.sweep(Options{})
	s.member()
	s.webhooks()
	for _, kind := range []string{"users", "memberships"} {
		s.Exec(t, "UPDATE rolecall."+kind+" SET changed_at = now() - interval '1 hour'")
	}
	hidden := s.clerk.Members()[2]
	s.faults.Omit(clerksim.Listings, hidden.ID)
	s.member()
	s.Insert(t, s.clerk.Deliveries()...) // they wait for good
	report := s.sweep(Options{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 1, report.Vindicated)
}

// TestConfirm_OnlyLookUpLiftsTombstone: sweeps found a member and an organization gone, because
// Clerk erred for a while.
func TestConfirm_OnlyLookUpLiftsTombstone(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2)
	s.sweep(Options{})
	member := s.clerk.Members()[1]
	showMember := s.faults.Omit(nil, member.ID)
	require.Equal(t, 1, s.sweep(Options{}).Removed)
	showOrganization := s.faults.Omit(nil, s.organization)
	require.Positive(t, s.sweep(Options{}).Removed)
	require.Empty(t, s.Roles(t))

	showMember()
	showOrganization()
	s.forgetCalls()
	report := s.sweep(Options{})
	require.Equal(t, 2, s.lookUps())
	require.Equal(t, counts{Missing: 2, Repaired: 2, Added: 2}, countsOf(report))
	s.requireEqual()
	require.Contains(t, s.Audit(t), mirrortest.AuditRow{
		Organization: s.organization, Action: "member.joined", Target: member.UserID, Cause: report.SweepID,
	})
	require.Zero(t, countsOf(s.sweep(Options{})))
}

func TestConfirm_TombstoneStaysIfLookUpFindsNothing(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2)
	s.sweep(Options{})
	earlier := s.world.Snapshot()
	s.remove(s.clerk.Members()[1])
	s.webhooks()
	s.faults.AnswerFrom(earlier, clerksim.Listings)
	report := s.sweep(Options{})
	require.Equal(t, 1, s.lookUps())
	require.Zero(t, countsOf(report))
	s.requireEqual()
}

// TestSweep_ShiftingListSkipsNoMember: deletions move later objects into pages that were read
// already.
func TestSweep_ShiftingListSkipsNoMember(t *testing.T) {
	t.Parallel()
	for _, deleted := range []int{1, 9, 40, 700} {
		t.Run(fmt.Sprint(deleted), func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 2000)
			s.faults.AfterAnswer(func(clerksim.Call) { s.remove(s.clerk.Members()[1 : deleted+1]...) },
				clerksim.Times(1, clerksim.OnPage(listMemberships, "980")))
			report := s.sweep(Options{})
			require.False(t, report.Aborted, report.Detail)
			require.Subset(t, s.Roles(t), s.rolesAtClerk())
		})
	}
}

// TestSweep_RoleIsAsOfWhenClerkWasAsked: two roles exchanged their keys. No event reported this,
// neither of the roles nor of their members.
func TestSweep_RoleIsAsOfWhenClerkWasAsked(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	reader, writer := s.role("org:clerk", "org:invoices:read"), s.role("org:lead", "org:invoices:write")
	members := s.clerk.Members()
	s.setRole(members[1], "org:clerk")
	s.setRole(members[2], "org:lead")
	s.sweep(Options{})
	s.renameRole(reader, "org:between")
	s.renameRole(writer, "org:clerk")
	s.renameRole(reader, "org:lead")
	s.sweep(Options{})
	s.requireEqual()
	standings, err := store.Standings(t.Context(), s.Pool,
		store.Pair{UserID: members[1].UserID, OrganizationID: s.organization}, store.Pair{UserID: members[2].UserID, OrganizationID: s.organization})
	require.NoError(t, err)
	require.Equal(t, []string{"org:invoices:read"}, standings[0].Permissions)
	require.Equal(t, []string{"org:invoices:write"}, standings[1].Permissions)
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
	s := simulate(t, 2)
	user, err := s.world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	s.sweep(Options{})
	earlier := s.world.Snapshot()
	_, err = s.world.AddMember(s.organization, user.ID, "")
	require.NoError(t, err)
	s.webhooks()
	s.faults.AnswerFrom(earlier, clerksim.Listings)
	s.faults.AnswerFrom(earlier, clerksim.Times(1, clerksim.Lookups))
	patient, err := New(Config{Pool: s.Pool, Clerk: s.clerk.Client, Logger: s.Logs.Logger(), Settle: 3 * time.Second})
	require.NoError(t, err)
	report, err := patient.Run(t.Context(), Options{})
	require.NoError(t, err)
	require.Equal(t, 1, report.Vindicated)
	require.Zero(t, countsOf(report))
	s.requireEqual()
}
