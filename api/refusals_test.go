package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// userRoutes are the routes about a workspace for its members.
func userRoutes(workspaceID string) []string {
	return []string{
		"/v1/workspaces/" + workspaceID, "/v1/workspaces/" + workspaceID + "/me", "/v1/workspaces/" + workspaceID + "/members",
		"/v1/authorize?permission=members:read&workspace_id=" + workspaceID,
	}
}

// TestRefusal_StrangersLearnNothing: strangers get the same answer to every request.
func TestRefusal_StrangersLearnNothing(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_real", "Real", nil)
	b.world.member("org_real", "user_member", "org:admin", nil)
	b.world.member("org_real", "user_1", "org:admin", nil)
	b.world.remove("org_real", "user_1")
	b.world.member("org_left", "user_1", "org:admin", nil)
	b.world.deleteOrganization("org_left")
	b.world.organization("org_gone", "Gone", nil)
	b.world.deleteOrganization("org_gone")
	b.world.member("org_mine", "user_1", "org:admin", nil)
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/workspaces/org_mine/members").status)

	ids := []string{
		"org_real",    // a former member
		"org_left",    // a member of a deleted workspace
		"org_gone",    // never a member of a deleted workspace
		"org_unknown", // nothing is known
		"%00", "org_%00", "%ff", "org_%ff", "..", "%2e%2e", "%2F", "a%2Fb", "%0d%0aX-Injected:%201", "%F0%9F%8E%A9", "org_real%20", "ORG_REAL",
		"'%20OR%201=1--", strings.Repeat("x", 255), strings.Repeat("x", 256), "org_" + strings.Repeat("%C3%A9", 2000),
	}
	want := b.get("user_1", "/v1/workspaces/org_nothing")
	require.Equal(t, http.StatusNotFound, want.status)
	want.header.Del("Date")
	for _, id := range ids {
		for _, target := range userRoutes(id) {
			x := b.get("user_1", target)
			x.header.Del("Date")
			require.Equal(t, want.status, x.status, target)
			require.Equal(t, string(want.body), string(x.body), target)
			require.Equal(t, want.header, x.header, target)
		}
	}
}

// TestRefusal_RefusedAccountLearnsTheReasonAlone: banned, deprovisioned and deleted users get the
// same refusal on every route, whether they are members or not.
func TestRefusal_RefusedAccountLearnsTheReasonAlone(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	refuse := map[string]struct {
		reason clerksync.Reason
		apply  func(user string)
	}{
		"user_banned":        {clerksync.ReasonUserBanned, func(u string) { b.world.account(u, map[string]any{"banned": true}) }},
		"user_deprovisioned": {clerksync.ReasonUserDeprovisioned, func(u string) { b.world.account(u, map[string]any{"deprovisioned": true}) }},
		"user_both": {clerksync.ReasonUserBanned, func(u string) {
			b.world.account(u, map[string]any{"deprovisioned": true, "banned": true})
		}},
		"user_deleted": {clerksync.ReasonUserDeleted, b.world.deleteUser},
	}
	for user := range refuse {
		b.world.member("org_1", user, "org:admin", nil)
	}
	b.world.member("org_1", "user_ok", "org:admin", nil)
	b.world.member("org_2", "user_ok", "org:admin", nil)
	b.world.member("org_gone", "user_banned", "org:admin", nil)
	b.world.deleteOrganization("org_gone")
	for user, r := range refuse {
		require.Equal(t, http.StatusOK, b.get(user, "/v1/workspaces/org_1").status)
		r.apply(user)
		var want exchange
		for i, organization := range []string{"org_1", "org_2", "org_unknown", "org_gone", "%00"} {
			for _, target := range append(userRoutes(organization), "/v1/me") {
				for _, x := range []exchange{b.get(user, target), b.get(serviceToken, target, headerOnBehalfOf, user)} {
					requireProblem(t, x, http.StatusForbidden, r.reason)
					x.header.Del("Date")
					if i == 0 && want.status == 0 {
						want = x
					}
					require.Equal(t, string(want.body), string(x.body), target)
					require.Equal(t, want.header, x.header, "%s tells members from strangers", target)
				}
			}
		}
	}
	members := answerOf[page[memberBody]](t, b.get("user_ok", "/v1/workspaces/org_1/members"))
	require.Len(t, members.Data, 1)
	require.Equal(t, "user_ok", members.Data[0].UserID)

	b.world.account("user_banned", map[string]any{"banned": false})
	require.Equal(t, http.StatusOK, b.get("user_banned", "/v1/workspaces/org_1").status, "unbanned")
}

func TestRefusal_UnknownRole(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:guest", nil)
	requireProblem(t, b.get("user_1", "/v1/workspaces/org_1/members"), http.StatusForbidden, clerksync.ReasonUnknownRole)
	requireProblem(t, b.get("user_1", "/v1/authorize?workspace_id=org_1&permission=members:read"), http.StatusForbidden, clerksync.ReasonUnknownRole)
	require.Empty(t, answerOf[workspaceMeBody](t, b.get("user_1", "/v1/workspaces/org_1/me")).Permissions)
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/workspaces/org_1").status)
}

func TestRefusal_NoUsableTokenIs401(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for _, target := range append(userRoutes("org_1"), "/v1/me") {
		for _, token := range []string{"", "nonsense"} {
			x := b.get(token, target)
			requireProblem(t, x, http.StatusUnauthorized, "")
			require.Len(t, x.header.Values("WWW-Authenticate"), 1)
			require.Equal(t, token == "", x.header.Get("WWW-Authenticate") == "Bearer")
		}
	}
	requireProblem(t, b.post("", `{}`), http.StatusUnauthorized, "")
}

func TestOnBehalfOf_ServicesActForUsers(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, target := range append(userRoutes("org_1"), "/v1/me") {
		x := b.get(serviceToken, target, headerOnBehalfOf, "user_1")
		require.Equal(t, http.StatusOK, x.status, target)
		require.Equal(t, string(b.get("user_1", target).body), string(x.body), target)

		for name, headers := range map[string][]string{
			"missing": nil, "empty": {headerOnBehalfOf, ""}, "two": {headerOnBehalfOf, "user_1", headerOnBehalfOf, "user_2"},
			"same twice": {headerOnBehalfOf, "user_1", headerOnBehalfOf, "user_1"}, "no prefix": {headerOnBehalfOf, "org_1"},
			"prefix alone": {headerOnBehalfOf, "user_"}, "case": {headerOnBehalfOf, "USER_1"},
			"too long": {headerOnBehalfOf, "user_" + strings.Repeat("x", 256)}, "not UTF-8": {headerOnBehalfOf, "user_\xff"},
		} {
			x := b.get(serviceToken, target, headers...)
			require.Equal(t, http.StatusBadRequest, x.status, "%s: %s", target, name)
		}
	}
	requireProblem(t, b.get(serviceToken, "/v1/workspaces/org_1", headerOnBehalfOf, "user_2"), http.StatusNotFound, "")
}

// TestOnBehalfOf_UsersActForThemselvesOnly: only services may use the header.
func TestOnBehalfOf_UsersActForThemselvesOnly(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	requireProblem(t, b.get("user_2", "/v1/workspaces/org_1", headerOnBehalfOf, "user_1"), http.StatusNotFound, "")
	require.Equal(t, "user_2", answerOf[meBody](t, b.get("user_2", "/v1/me", headerOnBehalfOf, "user_1")).UserID)
}
