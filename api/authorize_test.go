package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

func authorizeTarget(workspaceID, permission string) string {
	return "/v1/authorize?" + url.Values{"workspace_id": {workspaceID}, "permission": {permission}}.Encode()
}

func TestAuthorize_DecidesByMembershipAndRole(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_admin", "admin", nil)
	b.world.member("org_1", "user_member", "org:member", map[string]any{"permissions": []string{"org:invoices:create"}})
	b.world.swept()
	asOf := b.world.now()

	require.Equal(t, decisionBody{
		Allowed: true, Reason: clerksync.ReasonAllowed, Role: new("org:admin"), Permission: "members:manage",
		WorkspaceID: "org_1", UserID: "user_admin", Revision: 2, AsOf: &asOf,
	}, answerOf[decisionBody](t, b.get("user_admin", authorizeTarget("org_1", "members:manage"))))
	require.True(t, answerOf[decisionBody](t, b.get("user_member", authorizeTarget("org_1", "org:invoices:create"))).Allowed)

	for _, permission := range []string{"members:manage", "MEMBERS:READ", "workspace:read ", "org:", "\x00", "\xff", "x' OR 1=1--", strings.Repeat("x", 5000)} {
		requireProblem(t, b.get("user_member", authorizeTarget("org_1", permission)), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	}
	requireProblem(t, b.get("user_stranger", authorizeTarget("org_1", "members:manage")), http.StatusNotFound, "")
	requireProblem(t, b.get("user_admin", authorizeTarget("org_unknown", "members:manage")), http.StatusNotFound, "")

	b.world.remove("org_1", "user_admin")
	requireProblem(t, b.get("user_admin", authorizeTarget("org_1", "members:manage")), http.StatusNotFound, "")
}

func TestAuthorize_RefusesBadParameters(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, query := range []string{
		"", "?workspace_id=org_1", "?workspace_id=&permission=members:read", "?workspace_id=org_1&permission=",
		"?workspace_id=org_1&workspace_id=org_1&permission=members:read", "?workspace_id=org_1&permission=members:read&permission=members:read",
		"?workspace_id=org_1&permission=members:read&permission=%zz", "?workspace_id=org_1;permission=members:read", "?Workspace_id=org_1&permission=members:read",
	} {
		requireProblem(t, b.get("user_1/active=org_1", "/v1/authorize"+query), http.StatusBadRequest, "")
		require.Equal(t, http.StatusUnauthorized, b.get("", "/v1/authorize"+query).status, "before anything is said about the query")
	}
}

// TestAuthorize_MeansTheActiveOrganizationOfASession if no workspace is named. The mirror decides
// about it as about any other.
func TestAuthorize_MeansTheActiveOrganizationOfASession(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_2", "user_1", "org:member", nil)
	const unnamed = "/v1/authorize?permission=members:manage"
	x := b.get("user_1/active=org_1", unnamed)
	require.Equal(t, "org_1", answerOf[decisionBody](t, x).WorkspaceID)
	require.Equal(t, "org_1", x.header.Get(headerWorkspace))
	requireProblem(t, b.get("user_1/active=org_2", unnamed), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	requireProblem(t, b.get("user_1/active=org_3", unnamed), http.StatusNotFound, "")
	require.True(t, answerOf[decisionBody](t, b.get("user_1/active=org_2", unnamed+"&workspace_id=org_1")).Allowed)
	x = b.get("user_1", unnamed)
	require.Equal(t, http.StatusForbidden, x.status)
	require.Contains(t, string(x.body), `"type":"urn:rolecall:problem:no-active-workspace"`)
	requireProblem(t, b.get(serviceToken, unnamed, headerOnBehalfOf, "user_1"), http.StatusBadRequest, "")
}

// checksJSON is the body that asks about each (user, workspace, permission).
func checksJSON(tb testing.TB, checks ...checkBody) string {
	tb.Helper()
	body, err := json.Marshal(checksBody{Checks: checks})
	require.NoError(tb, err)
	return string(body)
}

func TestAuthorizeMany_AnswersInOrder(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	told := map[clerksync.Reason]int{}
	b := setupServer(t, func(c *Config) {
		c.Decided = func(r clerksync.Reason) { mu.Lock(); defer mu.Unlock(); told[r]++ }
	})
	b.world.member("org_1", "user_admin", "org:admin", nil)
	b.world.member("org_1", "user_member", "basic_member", nil)
	b.world.member("org_1", "user_guest", "org:guest", nil)
	b.world.member("org_1", "user_banned", "org:admin", nil)
	b.world.account("user_banned", map[string]any{"banned": true})
	b.world.member("org_1", "user_off", "org:admin", nil)
	b.world.account("user_off", map[string]any{"deprovisioned": true})
	b.world.member("org_1", "user_dead", "org:admin", nil)
	b.world.deleteUser("user_dead")
	b.world.member("org_1", "user_left", "org:admin", nil)
	b.world.remove("org_1", "user_left")
	b.world.member("org_gone", "user_admin", "org:admin", nil)
	b.world.deleteOrganization("org_gone")
	b.world.swept()

	const read = "members:read"
	tests := []struct {
		check  checkBody
		reason clerksync.Reason
		role   string // "" for null
	}{
		{checkBody{"user_member", "org_1", read}, clerksync.ReasonPermissionMissing, "org:member"},
		{checkBody{"user_admin", "org_1", read}, clerksync.ReasonAllowed, "org:admin"},
		{checkBody{"user_admin", "org_1", "no:such"}, clerksync.ReasonUnknownPermission, "org:admin"},
		{checkBody{"user_admin", "org_1", read}, clerksync.ReasonAllowed, "org:admin"}, // once more
		{checkBody{"user_guest", "org_1", read}, clerksync.ReasonUnknownRole, "org:guest"},
		{checkBody{"user_banned", "org_1", read}, clerksync.ReasonUserBanned, ""},
		{checkBody{"user_off", "org_1", read}, clerksync.ReasonUserDeprovisioned, ""},
		{checkBody{"user_dead", "org_1", read}, clerksync.ReasonUserDeleted, ""},
		{checkBody{"user_left", "org_1", read}, clerksync.ReasonNotAMember, ""},
		{checkBody{"user_admin", "org_gone", read}, clerksync.ReasonWorkspaceDeleted, ""},
		{checkBody{"user_stranger", "org_gone", read}, clerksync.ReasonNotAMember, ""},
		{checkBody{"user_admin", "org_unknown", read}, clerksync.ReasonNotAMember, ""},
		{checkBody{"nobody's id", "🎩", "'; DROP TABLE"}, clerksync.ReasonNotAMember, ""},
		{checkBody{"user_member", "org_1", "workspace:read"}, clerksync.ReasonAllowed, "org:member"},
	}
	checks := make([]checkBody, len(tests))
	wantTold := map[clerksync.Reason]int{}
	for i, test := range tests {
		checks[i] = test.check
		wantTold[test.reason]++
	}
	decisions := answerOf[decisionsBody](t, b.post(serviceToken, checksJSON(t, checks...))).Decisions
	require.Len(t, decisions, len(tests))
	for i, test := range tests {
		d := decisions[i]
		require.Equal(t, checkBody{d.UserID, d.WorkspaceID, d.Permission}, test.check, "%d", i)
		require.Equal(t, test.reason, d.Reason, "%+v", test.check)
		require.Equal(t, test.reason == clerksync.ReasonAllowed, d.Allowed, "%+v", test.check)
		if test.role == "" {
			require.Nil(t, d.Role, "%+v", test.check)
		} else {
			require.Equal(t, test.role, *d.Role, "%+v", test.check)
		}
		known := strings.HasPrefix(d.WorkspaceID, "org_") && d.WorkspaceID != "org_unknown"
		require.Equal(t, known, d.AsOf != nil && d.Revision > 0, "%+v", d)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, wantTold, told)
}

func TestAuthorizeMany_TakesUpTo100Checks(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_7", "org:admin", nil)
	checks := make([]checkBody, 101)
	for i := range checks {
		checks[i] = checkBody{fmt.Sprintf("user_%d", i), "org_1", "members:read"}
	}
	for _, n := range []int{1, 8, 100} {
		decisions := answerOf[decisionsBody](t, b.post(serviceToken, checksJSON(t, checks[:n]...))).Decisions
		require.Len(t, decisions, n)
		for i, d := range decisions {
			require.Equal(t, checks[i].UserID, d.UserID)
			require.Equal(t, i == 7, d.Allowed)
		}
	}
	for _, body := range []string{checksJSON(t, checks...), checksJSON(t)} {
		requireProblem(t, b.post(serviceToken, body), http.StatusBadRequest, "")
	}
	same := make([]checkBody, 100)
	for i := range same {
		same[i] = checkBody{"user_7", "org_1", "members:read"}
	}
	for _, d := range answerOf[decisionsBody](t, b.post(serviceToken, checksJSON(t, same...))).Decisions {
		require.True(t, d.Allowed)
	}
}

func TestAuthorizeMany_RefusesBadBodies(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	const good = `{"user_id":"user_1","workspace_id":"org_1","permission":"p"}`
	long := strings.Repeat("x", clerksync.MaxID+1)
	for name, body := range map[string]string{
		"empty": "", "space": " ", "null": "null", "list": "[" + good + "]", "text": `"checks"`, "broken": `{"checks":[` + good,
		"no checks": `{}`, "null checks": `{"checks":null}`, "none": `{"checks":[]}`, "null check": `{"checks":[null]}`,
		"list of text": `{"checks":["user_1"]}`, "unknown field": `{"checks":[` + good + `],"min_revison":3}`,
		"unknown field of a check": `{"checks":[{"user_id":"user_1","workspace_id":"org_1","permission":"p","x":1}]}`,
		"trailing garbage":         `{"checks":[` + good + `]}x`, "two objects": `{"checks":[` + good + `]}{}`,
		"trailing bracket": `{"checks":[` + good + `]}]`,
		"no user":          `{"checks":[{"workspace_id":"org_1","permission":"p"}]}`, "no workspace": `{"checks":[{"user_id":"user_1","permission":"p"}]}`,
		"no permission": `{"checks":[{"user_id":"user_1","workspace_id":"org_1"}]}`, "empty user": strings.Replace(`{"checks":[`+good+`]}`, "user_1", "", 1),
		"number": strings.Replace(`{"checks":[`+good+`]}`, `"user_1"`, "1", 1), "NUL": strings.Replace(`{"checks":[`+good+`]}`, "org_1", `org_\u0000`, 1),
		"raw NUL": strings.Replace(`{"checks":[`+good+`]}`, "org_1", "org_\x00", 1), "long user": strings.Replace(`{"checks":[`+good+`]}`, "user_1", long, 1),
		"long permission": strings.Replace(`{"checks":[`+good+`]}`, `"p"`, `"`+long+`"`, 1),
		"the second":      `{"checks":[` + good + `,{}]}`,
	} {
		t.Log(name)
		requireProblem(t, b.post(serviceToken, body), http.StatusBadRequest, "")
	}
	x := b.post(serviceToken, `{"checks":[`+good+`,{}]}`)
	require.Contains(t, string(x.body), "checks[1]")
	exact := strings.Repeat("é", clerksync.MaxID/2) + "x"
	require.Equal(t, http.StatusOK, b.post(serviceToken, checksJSON(t, checkBody{exact, exact, exact})).status)
}

func TestAuthorizeMany_BoundsTheBody(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	good := checksJSON(t, checkBody{"user_1", "org_1", "p"})
	padding := strings.Repeat(" ", maxChecksBody-len(good))
	require.Equal(t, http.StatusOK, b.post(serviceToken, padding+good).status)
	require.Equal(t, http.StatusOK, b.post(serviceToken, good+padding).status)
	requireProblem(t, b.post(serviceToken, padding+" "+good), http.StatusRequestEntityTooLarge, "")
	requireProblem(t, b.post(serviceToken, good+padding+" "), http.StatusRequestEntityTooLarge, "")
}

func TestAuthorizeMany_IsForServices(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, body := range []string{checksJSON(t, checkBody{"user_1", "org_1", "members:read"}), "nonsense", ""} {
		requireProblem(t, b.post("user_1", body), http.StatusForbidden, "")
	}
	x := b.send("user_1", http.MethodPost, "/v1/authorize", `{}`, headerOnBehalfOf, "user_1")
	requireProblem(t, x, http.StatusForbidden, "")
}
