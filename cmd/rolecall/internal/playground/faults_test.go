package playground_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireProductHolds plays the whole story in the product: each change holds at the next click,
// whatever becomes of webhooks. Ben ends as he began.
func requireProductHolds(t *testing.T, s *stage) {
	t.Helper()
	s.requireBen(member)
	s.setRole("admin")
	s.requireBen(admin)
	s.setRole("member")
	s.requireBen(member)
	s.remove()
	s.requireBen(stranger)
	s.rename("Northwind Group")
	s.create("Ben's own")
	s.invite("nora@example.test")
	s.requireNewMember()
	s.invite("ben@callmine.test")
	s.accept()
	s.requireBen(member)
	s.requireName("Northwind Group")
	s.leave()
	s.invite("ben@callmine.test")
	s.accept()
	s.requireBen(member)
}

// requireSweepRepairs plays the story at Clerk, whose webhooks come as far as the panel says: what
// is done there holds only after a sweep.
func requireSweepRepairs(t *testing.T, s *stage, until string) {
	t.Helper()
	for _, change := range []struct {
		do            string
		before, after standing
	}{{"promote", member, admin}, {"demote", admin, member}, {"remove", member, stranger}} {
		s.atClerk(change.do, until)
		s.requireBen(change.before)
		require.Contains(t, s.sweep(), "repaired")
		s.requireBen(change.after)
		require.Contains(t, s.sweep(), "nothing differed")
	}
	s.atClerk("add", until) // whom nobody knows, Rolecall looks up; not again for some seconds after a refusal
	for s.ben.Status() == http.StatusNotFound {
		s.ben.Go("/right/audit")
	}
	s.requireBen(member)
	name := s.renamedAtClerk(until)
	s.requireOtherName(name)
	require.Contains(t, s.sweep(), "is now called "+name)
	s.requireName(name)
	s.atClerk("invite", until)
	guest := s.guest()
	s.requireInvited(guest, false)
	require.Contains(t, s.sweep(), "repaired")
	s.requireInvited(guest, true)
	s.requireNewMember() // the guest comes in at once
}

// requireHoldsAtOnce plays the story at Clerk: what is done there holds once its webhook came.
func requireHoldsAtOnce(t *testing.T, s *stage) {
	t.Helper()
	for _, change := range []struct {
		do    string
		after standing
	}{{"promote", admin}, {"demote", member}, {"remove", stranger}, {"add", member}} {
		s.atClerk(change.do, "applied")
		s.requireBen(change.after)
	}
	s.requireName(s.renamedAtClerk("applied"))
	s.atClerk("invite", "applied")
	s.requireInvited(s.guest(), true)
	require.Contains(t, s.sweep(), "nothing differed")
}

func TestWithoutFaultsEverythingHoldsAtOnce(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	requireProductHolds(t, s)
	requireHoldsAtOnce(t, s)
}

func TestWithLostWebhooksAChangeAtClerkHoldsAfterASweep(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	s.turn("drop on")
	requireProductHolds(t, s)
	requireSweepRepairs(t, s, "dropped")
}

func TestWithDelayedWebhooksAChangeAtClerkHoldsWhenTheyComeOrAfterASweep(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	s.panel.Set("document.querySelector('input[name=seconds]').value=600")
	s.turn("delay on")
	requireProductHolds(t, s)
	requireSweepRepairs(t, s, "waiting")
	s.atClerk("promote", "waiting")
	s.requireBen(member)
	s.turn("delay off")
	require.Eventually(t, func() bool { // the rows come after the page, so they can't tell that nothing waits
		s.ben.Go("/right/audit")
		return s.ben.Status() == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "Ben is an admin once the webhook comes")
	require.Contains(t, s.sweep(), "nothing differed")
}

func TestWithRepeatedWebhooksEverythingHoldsAtOnce(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	s.turn("repeat on")
	requireProductHolds(t, s)
	requireHoldsAtOnce(t, s)
	s.panel.Await("[...document.querySelectorAll('#rows article')].some(a => a.innerText.split('organizationMembership.deleted').length === 4)")
}

func TestWithShuffledWebhooksTheNewestChangeWins(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	s.turn("reorder on")
	requireProductHolds(t, s)
	s.atClerk("promote", "waiting", "applied") // a busy machine may show it only when it no longer waits
	s.atClerk("demote", "applied")             // it came first
	s.panel.Await("!document.querySelector('#rows').innerText.includes('waiting')")
	s.requireBen(member)
	requireHoldsAtOnce(t, s)
}

func TestWithADisabledEndpointAChangeAtClerkHoldsAfterASweep(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	s.turn("disabled on")
	requireProductHolds(t, s)
	requireSweepRepairs(t, s, "disabled")
	s.atClerk("promote", "disabled")
	s.turn("disabled off")
	s.requireBen(member) // what came meanwhile stays missed
	require.Contains(t, s.sweep(), "repaired")
	s.requireBen(admin)
	s.atClerk("demote", "applied")
	s.requireBen(member)
}

func TestWithClerkDownReadingGoesOnAndChangesFail(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	s.turn("down on")
	s.requireBen(member)
	s.setRole("admin")
	require.Equal(t, http.StatusBadGateway, s.ada.Status())
	require.Contains(t, s.ada.Text("main"), "Clerk")
	s.requireBen(member)
	s.remove()
	require.Equal(t, http.StatusBadGateway, s.ada.Status())
	require.Contains(t, s.ada.Text("main"), "Clerk")
	s.requireBen(member)
	s.invite("nora@example.test")
	require.Equal(t, http.StatusBadGateway, s.ada.Status())
	require.Contains(t, s.sweep(), "Clerk doesn't answer")
	s.atClerk("promote", "applied") // its webhooks come
	s.requireBen(admin)
	s.turn("normal")
	requireHoldsAtOnce(t, s)
}
