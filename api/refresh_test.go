package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/lookup"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestRefresh_AdmitsANewcomerAtTheFirstRequest: the user has just accepted an invitation, and no
// webhook has arrived.
func TestRefresh_AdmitsANewcomerAtTheFirstRequest(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.world.organization("org_1", "One", nil)
	b.joins()
	for i, target := range userRoutes("org_1") {
		user := "user_" + strings.Repeat("n", i+1)
		x := b.get(user, target)
		require.Equal(t, http.StatusOK, x.status, target)
		require.NotEmpty(t, x.header.Get(headerRevision), target)
		x = b.get(serviceToken, target, headerOnBehalfOf, user+"s")
		require.Equal(t, http.StatusOK, x.status, target)
		require.Equal(t, []store.Pair{{UserID: user, OrganizationID: "org_1"}, {UserID: user + "s", OrganizationID: "org_1"}}, b.directory.takeAsked())
		require.Equal(t, []lookup.Result{lookup.Admitted, lookup.Admitted}, b.directory.takeResults())

		require.Equal(t, http.StatusOK, b.get(user, target).status)
		require.Empty(t, b.directory.takeAsked(), "members aren't looked up")
	}
}

// TestRefresh_MirrorDecidesAboutANewcomer: the decision is made on the mirror after the look-up,
// and counted once.
func TestRefresh_MirrorDecidesAboutANewcomer(t *testing.T) {
	t.Parallel()
	var reasons []clerksync.Reason
	b := &refreshBundle{directory: &directory{}}
	b.serverBundle = setupServer(t, func(c *Config) {
		c.Refresher, c.Decided = b.directory.lookUps(t, *c, leisure), func(r clerksync.Reason) { reasons = append(reasons, r) }
	})
	b.directory.answers(func(_ context.Context, p store.Pair) error {
		b.world.member(p.OrganizationID, p.UserID, "org:member", nil)
		return nil
	})
	requireProblem(t, b.get("user_new", "/v1/workspaces/org_1/members"), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	require.Equal(t, []clerksync.Reason{clerksync.ReasonPermissionMissing}, reasons)
}

// TestMe_LooksUpANewcomer: a product's first screen lists the workspace.
func TestMe_LooksUpANewcomer(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.joins()
	me := answerOf[meBody](t, b.get("user_new", "/v1/me"))
	require.Len(t, me.Workspaces, 1)
	require.Equal(t, "org_1", me.Workspaces[0].WorkspaceID)
	require.Equal(t, []store.Pair{{UserID: "user_new"}}, b.directory.takeAsked())
	require.Equal(t, []lookup.Result{lookup.Admitted}, b.directory.takeResults())

	require.Len(t, answerOf[meBody](t, b.get("user_new", "/v1/me")).Workspaces, 1)
	require.Empty(t, b.directory.takeAsked(), "a user with a workspace isn't looked up")

	b.directory.answers(nil)
	for range 2 {
		require.Empty(t, answerOf[meBody](t, b.get("user_alone", "/v1/me")).Workspaces)
	}
	require.Equal(t, []lookup.Result{lookup.Refused, lookup.Remembered}, b.directory.takeResults())
	require.Len(t, b.directory.takeAsked(), 1)

	b.directory.answers(func(context.Context, store.Pair) error { return errClerkAway })
	require.Empty(t, answerOf[meBody](t, b.get("user_unlucky", "/v1/me")).Workspaces)
	require.Contains(t, b.logs.take(), "500")

	b.world.account("user_banned", map[string]any{"banned": true})
	b.directory.takeAsked()
	requireProblem(t, b.get("user_banned", "/v1/me"), http.StatusForbidden, clerksync.ReasonUserBanned)
	require.Empty(t, b.directory.takeAsked())
}

// TestMe_RefusesANewcomerFoundBanned: everything that the look-up brought into the mirror counts.
func TestMe_RefusesANewcomerFoundBanned(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.directory.answers(func(_ context.Context, p store.Pair) error {
		b.world.account(p.UserID, map[string]any{"banned": true})
		return nil
	})
	requireProblem(t, b.get("user_new", "/v1/me"), http.StatusForbidden, clerksync.ReasonUserBanned)
	requireProblem(t, b.get("user_other", "/v1/workspaces/org_1"), http.StatusForbidden, clerksync.ReasonUserBanned)
	require.Equal(t, []lookup.Result{lookup.Refused, lookup.Refused}, b.directory.takeResults())
}

// TestRefresh_RemembersARefusalForTenSeconds: after ten seconds, Clerk is asked again.
func TestRefresh_RemembersARefusalForTenSeconds(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	refused := func() {
		t.Helper()
		requireProblem(t, b.get("user_new", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	}
	refused()
	b.clock.advance(10*time.Second - time.Nanosecond)
	refused()
	require.Len(t, b.directory.takeAsked(), 1)
	require.Equal(t, []lookup.Result{lookup.Refused, lookup.Remembered}, b.directory.takeResults())

	b.joins()
	b.clock.advance(time.Nanosecond)
	require.Equal(t, http.StatusOK, b.get("user_new", "/v1/workspaces/org_1").status)
	require.Len(t, b.directory.takeAsked(), 1)
}

// TestRefresh_WebhookOverridesARememberedRefusal: both a joining and a removal count at once.
func TestRefresh_WebhookOverridesARememberedRefusal(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	requireProblem(t, b.get("user_new", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	b.world.member("org_1", "user_new", "org:member", nil)
	require.Equal(t, http.StatusOK, b.get("user_new", "/v1/workspaces/org_1").status)
	b.world.remove("org_1", "user_new")
	requireProblem(t, b.get("user_new", "/v1/workspaces/org_1"), http.StatusNotFound, "")
	require.Len(t, b.directory.takeAsked(), 1)
}

// TestRefresh_DoesNotRestoreARemovedMember: Clerk may still list a membership whose tombstone the
// mirror has.
func TestRefresh_DoesNotRestoreARemovedMember(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.remove("org_1", "user_1")
	b.joins() // with the same membership id
	for _, target := range userRoutes("org_1") {
		requireProblem(t, b.get("user_1", target), http.StatusNotFound, "")
	}
	require.Len(t, b.directory.takeAsked(), 1)
	require.Equal(t, lookup.Refused, b.directory.takeResults()[0])

	b.clock.advance(10 * time.Second)
	b.directory.answers(func(context.Context, store.Pair) error { // a new membership has another id
		b.world.member("org_1", "user_1", "org:member", map[string]any{"id": "orgmem_again"})
		return nil
	})
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/workspaces/org_1").status)
}

// TestRefresh_LooksUpStrangersOnly: Clerk can't change any other refusal.
func TestRefresh_LooksUpStrangersOnly(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.joins()
	for _, user := range []string{"user_banned", "user_off", "user_dead", "user_left", "user_guest"} {
		b.world.member("org_1", user, "org:guest", nil)
	}
	b.world.member("org_gone", "user_left", "org:admin", nil)
	b.world.member("org_gone", "user_removed", "org:admin", nil)
	b.world.remove("org_gone", "user_removed")
	b.world.deleteOrganization("org_gone")
	b.world.account("user_banned", map[string]any{"banned": true})
	b.world.account("user_off", map[string]any{"deprovisioned": true})
	b.world.deleteUser("user_dead")
	var checks []checkBody
	for _, test := range []struct {
		user, workspace string
		status          int
	}{
		{"user_banned", "org_1", http.StatusForbidden},
		{"user_banned", "org_2", http.StatusForbidden},
		{"user_off", "org_2", http.StatusForbidden},
		{"user_dead", "org_2", http.StatusForbidden},
		{"user_left", "org_gone", http.StatusNotFound},
		{"user_removed", "org_gone", http.StatusNotFound},
		{"user_guest", "org_1", http.StatusForbidden},
	} {
		require.Equal(t, test.status, b.get(test.user, authorizeTarget(test.workspace, "members:read")).status)
		checks = append(checks, checkBody{test.user, test.workspace, "members:read"})
	}
	b.post(serviceToken, refreshJSON(t, checks...))
	require.Empty(t, b.directory.takeAsked())
	require.Empty(t, b.directory.takeResults())
}

// TestRefresh_LooksUpOnlyIDsOfClerksForm: other ids are refused without a look-up.
func TestRefresh_LooksUpOnlyIDsOfClerksForm(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.joins()
	long := strings.Repeat("x", 65)
	for _, id := range []string{
		"org_", "org_1%2F..", "org_1%3Fa=b", "org_%00", "org_%C3%A9", "ORG_1", "user_1", "x", "org_1%20", "org_a_b", "org_a-b", "org_" + long, "%00",
	} {
		for _, target := range userRoutes(id) {
			require.Equal(t, http.StatusNotFound, b.get("user_1", target).status, target)
		}
	}
	for _, user := range []string{"user_a_b", "user_../x", "user_1 x", "user_" + long, "user_é"} {
		for _, target := range append(userRoutes("org_1"), "/v1/me") {
			b.get(serviceToken, target, headerOnBehalfOf, user)
		}
	}
	b.post(serviceToken, refreshJSON(t, checkBody{"user_1", "🎩", "p"}, checkBody{"nobody", "org_1", "p"}, checkBody{"user_\u007f", "org_1", "p"}))
	require.Empty(t, b.directory.takeAsked())

	require.Equal(t, http.StatusOK, b.get("user_"+long[1:], "/v1/workspaces/org_"+long[1:]).status)
}

// TestRefresh_TellsStrangersNothing: strangers always get the same answer, whether Clerk was asked
// or not.
func TestRefresh_TellsStrangersNothing(t *testing.T) {
	t.Parallel()
	b := setupRefresh(t)
	b.world.member("org_real", "user_member", "org:admin", nil)
	b.world.member("org_gone", "user_member", "org:admin", nil)
	b.world.deleteOrganization("org_gone")
	want := b.get("user_2", "/v1/workspaces/org_nothing")
	want.header.Del("Date")
	b.directory.takeAsked()
	for _, fails := range []bool{false, true} {
		if fails {
			b.directory.answers(func(context.Context, store.Pair) error { return errClerkAway })
			b.clock.advance(time.Minute)
		}
		for _, id := range []string{"org_real", "org_gone", "org_unknown", "%00"} {
			for _, target := range userRoutes(id) {
				x := b.get("user_1", target)
				x.header.Del("Date")
				require.Equal(t, want.status, x.status, target)
				require.Equal(t, string(want.body), string(x.body), target)
				require.Equal(t, want.header, x.header, target)
			}
		}
		require.Len(t, b.directory.takeAsked(), 3, "a deleted workspace is looked up, too: a quicker answer would reveal it")
	}
	b.logs.take()
}
