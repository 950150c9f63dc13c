package api

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestAuthZEN_AnswersAsCertified runs the whole table.
func TestAuthZEN_AnswersAsCertified(t *testing.T) {
	t.Parallel()
	b := setupAuthZEN(t, nil)
	for _, c := range slices.Concat(evaluationCases(), evaluationsCases(), searchCases()) {
		x := b.send(serviceToken, http.MethodPost, "/access/v1/"+c.path, c.body, "Content-Type", cmp.Or(c.media, "application/json"))
		require.Equal(t, cmp.Or(c.status, http.StatusOK), x.status, "%s: %s: %s", c.name, c.body, x.body)
		if x.status == http.StatusOK {
			require.JSONEq(t, c.want, common(t, x.body), "%s: %s", c.name, c.body)
		}
	}
}

// ask sends a body to a path of AuthZEN.
func (b *serverBundle) ask(token, path, body string, headers ...string) exchange {
	b.tb.Helper()
	return b.send(token, http.MethodPost, "/access/v1/"+path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

func TestAuthZEN_Evaluation_SaysWhy(t *testing.T) {
	t.Parallel()
	told := make(chan clerksync.Reason, 100)
	b := setupServer(t, func(c *Config) { c.Decided = func(r clerksync.Reason) { told <- r } })
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.swept()
	ask := func(user, permission, workspace string) string {
		return string(b.ask(serviceToken, "evaluation", asked(entityOf("user", user), named(permission), entityOf("workspace", workspace))).body)
	}
	asOf := b.world.now().Format(time.RFC3339Nano)
	for _, c := range []struct {
		answer, want string
		reason       clerksync.Reason
	}{
		{ask("user_1", "members:read", "org_1"), `{"decision":true,"context":{"reason":"allowed","role":"org:admin","revision":1,"as_of":"` + asOf + `"}}`, clerksync.ReasonAllowed},
		{ask("user_1", "no:such", "org_1"), `{"decision":false,"context":{"reason":"unknown_permission","role":"org:admin","revision":1,"as_of":"` + asOf + `"}}`, clerksync.ReasonUnknownPermission},
		{ask("user_2", "members:read", "org_1"), `{"decision":false,"context":{"reason":"not_a_member","revision":1,"as_of":"` + asOf + `"}}`, clerksync.ReasonNotAMember},
		{ask("user_1", "members:read", "org_2"), `{"decision":false,"context":{"reason":"not_a_member","revision":0}}`, clerksync.ReasonNotAMember},
	} {
		require.JSONEq(t, c.want, c.answer)
		require.Equal(t, c.reason, <-told)
	}
	first := ask("user_1", "members:read", "org_1")
	require.Equal(t, first, ask("user_1", "members:read", "org_1"), "nothing in an answer belongs to one request")
}

// TestAuthZEN_Evaluations_CountOnlyWhatTheyAnswer: a list that ends early has decided no more.
func TestAuthZEN_Evaluations_CountOnlyWhatTheyAnswer(t *testing.T) {
	t.Parallel()
	told := make(chan clerksync.Reason, 100)
	b := setupAuthZEN(t, func(c *Config) { c.Decided = func(r clerksync.Reason) { told <- r } })
	x := b.ask(serviceToken, "evaluations", asked(alice, write1, "", `"options":{"evaluations_semantic":"deny_on_first_deny"}`,
		`"evaluations":[{"resource":`+record1+`},{},{"resource":`+record2+`}]`))
	body := answerOf[evaluationsBody](t, x)
	require.Len(t, body.Evaluations, 2)
	require.JSONEq(t, `{"decision":false,"context":{"error":{"status":400,"message":"resource is missing."}}}`, asJSON(t, body.Evaluations[1]))
	require.Equal(t, clerksync.ReasonAllowed, <-told)
	require.Empty(t, told)
	x = b.ask(serviceToken, "evaluations", asked(alice, write1, record1, `"evaluations":[]`))
	require.Equal(t, b.ask(serviceToken, "evaluation", asked(alice, write1, record1)).body, x.body, "without a list, the answer has its single form")
}

// TestAuthZEN_MinRevision_IsAwaited: an answer waits until its workspace has the revision that the
// question demands. In a list, each question has its own demand.
func TestAuthZEN_MinRevision_IsAwaited(t *testing.T) {
	t.Parallel()
	reads := make(chan struct{})
	b := setupServer(t, func(c *Config) { c.DB, c.RevisionWait = readDB{DBTX: c.DB, reads: reads}, patient })
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_2", "user_1", "org:admin", nil)
	user, manage, workspace := entityOf("user", "user_1"), named("members:manage"), entityOf("workspace", "org_1")
	for _, c := range []struct{ path, body, want string }{
		{"evaluation", asked(user, manage, workspace, "CONTEXT"), `"decision":true`},
		{"evaluations", asked(user, manage, entityOf("workspace", "org_2"), `"evaluations":[{},{"resource":`+workspace+`,CONTEXT}]`), `"reason":"allowed","role":"org:admin","revision":2`},
		{"search/subject", asked(`{"type":"user"}`, manage, workspace, "CONTEXT"), `user_1`},
		{"search/resource", asked(user, manage, `{"type":"workspace"}`, "CONTEXT"), `org_1`},
		{"search/action", asked(user, "", workspace, "CONTEXT"), `members:manage`},
	} {
		revision := answerOf[evaluationBody](t, b.ask(serviceToken, "evaluation", asked(user, manage, workspace))).Context.Revision
		next := strconv.FormatInt(*revision+1, 10)
		body := strings.Replace(c.body, "CONTEXT", `"context":{"min_revision":`+next+`}`, 1)
		answered := make(chan exchange, 1)
		go func() { answered <- b.ask(serviceToken, c.path, body) }()
		for range 2 { // a search first reads a list; the rest read the same again while they wait
			select {
			case <-reads:
			case x := <-answered:
				require.Fail(t, "it didn't wait", "%s: %s", c.path, x.body)
			}
		}
		b.world.member("org_1", "user_other"+next, "org:member", nil)
		x := <-answered
		require.Equal(t, http.StatusOK, x.status)
		require.Contains(t, string(x.body), strings.Replace(c.want, `"revision":2`, `"revision":`+next, 1), c.path)
	}
}

// TestAuthZEN_MinRevision_NeverReachedRefuses: after a second, the question is decided as it is.
// Only members wait.
func TestAuthZEN_MinRevision_NeverReachedRefuses(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) { c.RevisionWait = time.Millisecond })
	b.world.member("org_1", "user_1", "org:admin", nil)
	user, manage, workspace, ahead := entityOf("user", "user_1"), named("members:manage"), entityOf("workspace", "org_1"), `"context":{"min_revision":9}`
	told := answerOf[evaluationBody](t, b.ask(serviceToken, "evaluation", asked(user, manage, workspace, ahead)))
	require.False(t, told.Decision)
	require.Equal(t, clerksync.ReasonStale, told.Context.Reason)
	for path, body := range map[string]string{
		"search/subject":  asked(`{"type":"user"}`, manage, workspace, ahead),
		"search/resource": asked(user, manage, `{"type":"workspace"}`, ahead),
		"search/action":   asked(user, "", workspace, ahead),
	} {
		require.JSONEq(t, `{"page":{"next_token":""},"results":[]}`, string(b.ask(serviceToken, path, body).body), path)
	}
	patientServer := setupServer(t, func(c *Config) { c.RevisionWait = time.Hour })
	stranger := patientServer.ask(serviceToken, "evaluation", asked(user, manage, workspace, ahead))
	require.Equal(t, clerksync.ReasonNotAMember, answerOf[evaluationBody](t, stranger).Context.Reason)
}

// TestAuthZEN_UsersAskAboutThemselves: one question about anybody else refuses the whole request.
func TestAuthZEN_UsersAskAboutThemselves(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	own, other, manage, workspace := entityOf("user", "user_1"), entityOf("user", "user_2"), named("members:manage"), entityOf("workspace", "org_1")
	for _, c := range []struct{ path, body, want string }{
		{"evaluation", asked(own, manage, workspace), allowed},
		{"evaluations", asked(own, manage, workspace), allowed},
		{"evaluations", asked(own, manage, workspace, `"evaluations":[{},{"subject":`+own+`}]`), `{"evaluations":[` + allowed + `,` + allowed + `]}`},
		{"evaluations", asked("", manage, workspace, `"evaluations":[{},{"subject":`+own+`}]`), `{"evaluations":[` + denied + `,` + allowed + `]}`},
		{"evaluations", asked(other, manage, workspace, `"evaluations":[{"subject":`+own+`}]`), `{"evaluations":[` + allowed + `]}`},
		{"search/resource", asked(own, manage, `{"type":"workspace"}`), `{"results":[` + workspace + `]}`},
		{"search/action", asked(own, "", entityOf("workspace", "org_2")), none},
	} {
		x := b.ask("user_1", c.path, c.body)
		require.Equal(t, http.StatusOK, x.status, "%s", x.body)
		require.JSONEq(t, c.want, common(t, x.body), c.body)
	}
	early := `"options":{"evaluations_semantic":"permit_on_first_permit"}`
	for path, bodies := range map[string][]string{
		"evaluation":      {asked(other, manage, workspace), asked(entityOf("spaceship", "user_1"), manage, workspace), asked(entityOf("user", "USER_1"), manage, workspace)},
		"evaluations":     {asked(own, manage, workspace, `"evaluations":[{},{"subject":`+other+`}]`), asked(other, manage, workspace), asked(own, manage, "", `"evaluations":[{"subject":`+other+`}]`), asked(own, manage, workspace, early, `"evaluations":[{},{"subject":`+other+`}]`)},
		"search/resource": {asked(other, manage, `{"type":"workspace"}`), asked(other, manage, `{"type":"spaceship"}`)},
		"search/action":   {asked(other, "", workspace)},
		"search/subject":  {asked(`{"type":"user"}`, manage, workspace), asked(own, manage, workspace), "nonsense", ""},
	} {
		for _, body := range bodies {
			requireProblem(t, b.ask("user_1", path, body), http.StatusForbidden, "")
		}
	}
}

// TestAuthZEN_StrangersLearnNothing: to a user's own token, a workspace that isn't the user's is
// like one that doesn't exist. A refused account learns that it is refused.
func TestAuthZEN_StrangersLearnNothing(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_1", "North", nil)
	b.world.member("org_1", "user_admin", "org:admin", nil)
	b.world.member("org_1", "user_left", "org:admin", nil)
	b.world.remove("org_1", "user_left")
	b.world.member("org_gone", "user_left", "org:admin", nil)
	b.world.deleteOrganization("org_gone")
	b.world.member("org_1", "user_banned", "org:admin", nil)
	b.world.account("user_banned", map[string]any{"banned": true})
	b.world.swept()
	ask := func(user, workspace string) exchange {
		return b.ask(user, "evaluation", asked(entityOf("user", user), named("members:read"), entityOf("workspace", workspace), `"context":{"min_revision":9}`))
	}
	want := ask("user_stranger", "org_none")
	require.JSONEq(t, `{"decision":false,"context":{"reason":"not_a_member","revision":0}}`, string(want.body))
	for _, x := range []exchange{ask("user_stranger", "org_1"), ask("user_left", "org_1"), ask("user_left", "org_gone"), ask("user_stranger", "org_gone")} {
		require.Equal(t, string(want.body), string(x.body))
		x.header.Del("Date")
		want.header.Del("Date")
		require.Equal(t, want.header, x.header)
	}
	noSuch := b.ask("user_admin", "evaluation", asked(entityOf("user", "user_admin"), named("no:such"), entityOf("workspace", "org_1")))
	require.Equal(t, clerksync.ReasonPermissionMissing, answerOf[evaluationBody](t, noSuch).Context.Reason, "only services learn which permissions there are")
	require.JSONEq(t, `{"decision":false,"context":{"reason":"user_banned","revision":0}}`, string(ask("user_banned", "org_1").body))
	require.JSONEq(t, `{"decision":false,"context":{"reason":"user_banned","revision":0}}`, string(ask("user_banned", "org_none").body))
}

// TestAuthZEN_ServicesKeepTheirRights: a service needs the scope, and learns nothing of workspaces
// beyond its list.
func TestAuthZEN_ServicesKeepTheirRights(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_2", "user_1", "org:admin", nil)
	user, manage, anyUser := entityOf("user", "user_1"), named("members:manage"), `{"type":"user"}`
	first, second := entityOf("workspace", "org_1"), entityOf("workspace", "org_2")
	limited := serviceToken + "/scopes=authorize/workspaces=org_1"
	for _, c := range []struct{ path, body, want string }{
		{"evaluations", asked(user, manage, "", `"evaluations":[{"resource":`+first+`},{"resource":`+second+`}]`), `{"evaluations":[` + allowed + `,` + denied + `]}`},
		{"search/subject", asked(anyUser, manage, first), `{"results":[` + user + `]}`},
		{"search/subject", asked(anyUser, manage, second), none},
		{"search/resource", asked(user, manage, `{"type":"workspace"}`), `{"results":[` + first + `]}`},
		{"search/action", asked(user, "", second), none},
	} {
		require.JSONEq(t, c.want, common(t, b.ask(limited, c.path, c.body).body), c.body)
		x := b.ask(serviceToken+"/scopes=read+commands+audit:append", c.path, c.body)
		requireType(t, x, http.StatusForbidden, "scope-missing")
	}
	reads := make(chan struct{}, 10)
	b = setupServer(t, func(c *Config) { c.DB = readDB{DBTX: c.DB, reads: reads} })
	x := b.ask(limited, "evaluation", asked(user, manage, second))
	require.JSONEq(t, `{"decision":false,"context":{"reason":"workspace_not_listed","revision":0}}`, string(x.body))
	require.JSONEq(t, none, common(t, b.ask(limited, "search/subject", asked(anyUser, manage, second)).body))
	require.JSONEq(t, none, common(t, b.ask(limited, "search/action", asked(user, "", second)).body))
	require.Empty(t, reads, "nothing is read, so that no time tells of the workspace")
}

// TestAuthZEN_Actions_AreOfThePolicyAndOfClerk lists permissions of both kinds.
func TestAuthZEN_Actions_AreOfThePolicyAndOfClerk(t *testing.T) {
	t.Parallel()
	b := setupAuthZEN(t, nil)
	b.world.member("org_1", "user_1", "org:reader", map[string]any{"permissions": []string{"org:invoices:read", "read"}})
	x := b.ask(serviceToken, "search/action", asked(entityOf("user", "user_1"), "", entityOf("organization", "org_1")))
	require.JSONEq(t, `{"page":{"next_token":""},"results":[{"name":"org:invoices:read"},{"name":"read"}]}`, string(x.body))
}

// TestAuthZEN_RequestIDComesBack as it was sent, with every answer of this surface, sane or not.
func TestAuthZEN_RequestIDComesBack(t *testing.T) {
	t.Parallel()
	b := setupAuthZEN(t, nil)
	const id = "bfe9eb29 ~\"ü"
	evaluation := asked(alice, read, record1)
	for status, x := range map[int]exchange{
		http.StatusOK:                    b.ask(serviceToken, "evaluation", evaluation, "X-Request-ID", id),
		http.StatusBadRequest:            b.ask(serviceToken, "evaluation", "", "X-Request-ID", id),
		http.StatusUnauthorized:          b.ask("", "evaluations", evaluation, "X-Request-ID", id),
		http.StatusForbidden:             b.ask("user_1", "search/subject", evaluation, "X-Request-ID", id),
		http.StatusNotFound:              b.ask(serviceToken, "search/nothing", evaluation, "X-Request-ID", id),
		http.StatusMethodNotAllowed:      b.send(serviceToken, http.MethodPut, pathEvaluation, evaluation, "X-Request-ID", id),
		http.StatusRequestEntityTooLarge: b.ask(serviceToken, "search/action", strings.Repeat(" ", maxChecksBody)+evaluation, "X-Request-ID", id),
		http.StatusInternalServerError:   b.ask(panicToken, "evaluation", evaluation, "X-Request-ID", id),
		http.StatusServiceUnavailable:    b.ask(keysAwayToken, "evaluation", evaluation, "X-Request-ID", id),
	} {
		require.Equal(t, status, x.status, "%s", x.body)
		require.Equal(t, []string{id}, x.header.Values("X-Request-ID"), status)
	}
	b.logs.take()
	require.Equal(t, []string{"b", "a"}, b.ask(serviceToken, "evaluation", evaluation, "X-Request-ID", "b", "X-Request-ID", "a").header.Values("X-Request-ID"))
	require.Equal(t, []string{id}, b.get("", pathAuthZENMetadata, "X-Request-ID", id).header.Values("X-Request-ID"))
	require.NotEqual(t, id, b.get("user_1", "/v1/me", "X-Request-ID", id).header.Get("X-Request-ID"), "it isn't sane")
}

// TestAuthZEN_NeedsAToken on every route but that of the metadata.
func TestAuthZEN_NeedsAToken(t *testing.T) {
	t.Parallel()
	b := setupAuthZEN(t, nil)
	for _, path := range []string{"evaluation", "evaluations", "search/subject", "search/resource", "search/action"} {
		x := b.ask("", path, asked(alice, read, record1))
		requireProblem(t, x, http.StatusUnauthorized, "")
		require.Equal(t, "Bearer", x.header.Get("WWW-Authenticate"), path)
		require.Contains(t, b.ask("nonsense", path, "").header.Get("WWW-Authenticate"), `error="invalid_token"`, path)
	}
}

func TestAuthZEN_Metadata(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) { c.PublicURL = "https://pdp.example.com" })
	require.JSONEq(t, `{
		"policy_decision_point": "https://pdp.example.com",
		"access_evaluation_endpoint": "https://pdp.example.com/access/v1/evaluation",
		"access_evaluations_endpoint": "https://pdp.example.com/access/v1/evaluations",
		"search_subject_endpoint": "https://pdp.example.com/access/v1/search/subject",
		"search_resource_endpoint": "https://pdp.example.com/access/v1/search/resource",
		"search_action_endpoint": "https://pdp.example.com/access/v1/search/action"
	}`, string(b.get("", pathAuthZENMetadata).body))
	requireProblem(t, b.get("", pathAuthZENMetadata+"?x=1"), http.StatusBadRequest, "")
	b = setupServer(t, func(c *Config) { c.PublicURL = "" })
	requireProblem(t, b.get("", pathAuthZENMetadata), http.StatusNotFound, "")
}
