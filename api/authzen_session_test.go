package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestAuthZEN_EndedSessionsAreRefused, whatever they ask: also about nothing that the mirror knows,
// and in a body that can't be read.
func TestAuthZEN_EndedSessionsAreRefused(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.endSession(clerksync.SessionRevoked, "sess_9")
	manage, workspace := named("members:manage"), entityOf("workspace", "org_1")
	for _, user := range []string{"user_1", "user_9"} { // the second has no membership
		own := entityOf("user", user)
		for _, c := range [][2]string{
			{"evaluation", asked(own, manage, workspace)},
			{"evaluation", asked(own, manage, entityOf("spaceship", "1"))},
			{"evaluations", asked(own, manage, workspace, `"evaluations":[{},{"resource":{}}]`)},
			{"evaluations", asked("", manage, workspace, `"evaluations":[{}]`)},
			{"search/resource", asked(own, manage, `{"type":"workspace"}`)},
			{"search/resource", asked(own, manage, `{"type":"spaceship"}`)},
			{"search/action", asked(own, "", workspace)},
			{"search/action", asked(own, "", entityOf("spaceship", "1"))},
			{"search/action", asked(entityOf("user", "user_2"), "", workspace)},
			{"evaluation", ""},
		} {
			for _, claims := range []string{"/session=sess_9", "/act=user_2/act_session=sess_9"} {
				requireSessionEnded(t, b.ask(user+claims, c[0], c[1]))
			}
		}
	}
	require.True(t, answerOf[evaluationBody](t, b.ask("user_1", "evaluation", asked(entityOf("user", "user_1"), manage, workspace))).Decision)
	require.True(t, answerOf[evaluationBody](t, b.ask(serviceToken, "evaluation", asked(entityOf("user", "user_1"), manage, workspace))).Decision)
}

// TestAuthZEN_ImpersonatorsAreDenied what the policy denies them, in decisions and in searches.
func TestAuthZEN_ImpersonatorsAreDenied(t *testing.T) {
	t.Parallel()
	b := setupServer(t, denying(t, policy.MembersManage))
	b.world.member("org_1", "user_1", "org:admin", nil)
	const impersonated = "user_1/act=user_support"
	own, workspace := entityOf("user", "user_1"), entityOf("workspace", "org_1")
	ask := func(token, path, body string) string { return string(b.ask(token, path, body).body) }

	told := answerOf[evaluationBody](t, b.ask(impersonated, "evaluation", asked(own, named(policy.MembersManage), workspace)))
	require.False(t, told.Decision)
	require.Equal(t, clerksync.ReasonImpersonationDenied, told.Context.Reason)
	require.Equal(t, "user_support", told.Context.Impersonator)
	require.True(t, answerOf[evaluationBody](t, b.ask(impersonated, "evaluation", asked(own, named(policy.MembersRead), workspace))).Decision)
	stranger := ask(impersonated, "evaluation", asked(own, named(policy.MembersRead), entityOf("workspace", "org_2")))
	require.JSONEq(t, `{"decision":false,"context":{"reason":"not_a_member","impersonator":"user_support","revision":0}}`, stranger)

	require.JSONEq(t, `{"page":{"next_token":""},"results":[]}`, ask(impersonated, "search/resource", asked(own, named(policy.MembersManage), `{"type":"workspace"}`)))
	require.Contains(t, ask(impersonated, "search/resource", asked(own, named(policy.MembersRead), `{"type":"workspace"}`)), "org_1")
	actions := ask(impersonated, "search/action", asked(own, "", workspace))
	require.NotContains(t, actions, policy.MembersManage)
	require.Contains(t, actions, policy.MembersRead)

	require.Contains(t, ask("user_1", "search/action", asked(own, "", workspace)), policy.MembersManage)
	x := b.ask("user_1", "evaluation", asked(own, named(policy.MembersManage), workspace))
	require.Equal(t, http.StatusOK, x.status)
	require.NotContains(t, string(x.body), "impersonator")
	require.True(t, answerOf[evaluationBody](t, x).Decision)
}
