package api

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// denying is the default policy, which also denies permissions to impersonators.
func denying(t *testing.T, permissions ...string) func(*Config) {
	t.Helper()
	p, err := policy.Default()
	require.NoError(t, err)
	p.DenyImpersonators = permissions
	return func(c *Config) { c.Policy = func() *policy.Policy { return &p } }
}

func TestImpersonation_IsNamedWhereverTheCallerIs(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	const impersonated = "user_1/act=user_support/act_session=sess_7"
	target := authorizeTarget("org_1", "members:manage")

	x := b.get(impersonated, target)
	require.Equal(t, "user_support", answerOf[decisionBody](t, x).Impersonator)
	require.Equal(t, "user_support", x.header.Get(headerImpersonator))
	require.Equal(t, "user_1", x.header.Get(headerUser))
	require.Equal(t, "user_support", answerOf[meBody](t, b.get(impersonated, "/v1/me")).Impersonator)
	require.Equal(t, "user_support", answerOf[workspaceMeBody](t, b.get(impersonated, "/v1/workspaces/org_1/me")).Impersonator)

	x = b.get("user_1", target)
	require.NotContains(t, string(x.body), "impersonator")
	require.Equal(t, []string{""}, x.header.Values(headerImpersonator), "a proxy replaces its client's header by this one")
	require.NotContains(t, string(b.get("user_1", "/v1/me").body), "impersonator")
	require.NotContains(t, string(b.get("user_1", "/v1/workspaces/org_1/me").body), "impersonator")
}

// TestImpersonation_PolicyDenies some permissions of the user: in decisions, in commands, and in
// the lists of permissions. Other refusals keep their reasons.
func TestImpersonation_PolicyDenies(t *testing.T) {
	t.Parallel()
	b := setupServer(t, denying(t, policy.MembersManage, policy.WorkspaceUpdate))
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_1", "user_2", "org:member", nil)
	const impersonated = "user_1/act=user_support"
	denied := func(x exchange) {
		t.Helper()
		requireProblem(t, x, http.StatusForbidden, clerksync.ReasonImpersonationDenied)
		require.NotEmpty(t, x.header.Get(headerRevision), "the caller is a member")
	}
	denied(b.get(impersonated, authorizeTarget("org_1", policy.MembersManage)))
	denied(b.send(impersonated, http.MethodDelete, "/v1/workspaces/org_1/members/user_2", ""))
	denied(b.send(impersonated, http.MethodPatch, "/v1/workspaces/org_1", `{"name":"x"}`, "Content-Type", "application/json"))
	denied(b.get(impersonated, "/v1/workspaces/org_1/invitations"))
	require.True(t, answerOf[decisionBody](t, b.get(impersonated, authorizeTarget("org_1", policy.MembersRead))).Allowed)
	require.True(t, answerOf[decisionBody](t, b.get("user_1", authorizeTarget("org_1", policy.MembersManage))).Allowed)
	requireProblem(t, b.get("user_2/act=user_support", authorizeTarget("org_1", policy.MembersManage)), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	requireProblem(t, b.get("user_3/act=user_support", authorizeTarget("org_1", policy.MembersManage)), http.StatusNotFound, "")

	own := answerOf[workspaceMeBody](t, b.get("user_1", "/v1/workspaces/org_1/me")).Permissions
	require.Contains(t, own, policy.MembersManage)
	left := answerOf[workspaceMeBody](t, b.get(impersonated, "/v1/workspaces/org_1/me")).Permissions
	require.Len(t, left, len(own)-2)
	require.Contains(t, left, policy.MembersRead)
	require.NotContains(t, left, policy.MembersManage)
	require.NotContains(t, left, policy.WorkspaceUpdate)
	require.Equal(t, left, answerOf[meBody](t, b.get(impersonated, "/v1/me")).Workspaces[0].Permissions)
}

// TestImpersonation_IsAudited: the entry of a command names the user and who acted as the user, in
// each form in which the log is read.
func TestImpersonation_IsAudited(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	organization, admin, member := b.team()
	other := b.person("other@callmine.test")
	b.join(organization, other, clerksim.RoleMember)
	members := "/v1/workspaces/" + organization + "/members/"
	require.Equal(t, http.StatusNoContent, b.send(admin+"/act=user_support", http.MethodDelete, members+member, "").status)
	require.Equal(t, http.StatusNoContent, b.send(admin, http.MethodDelete, members+other, "").status)

	log := answerOf[page[auditBody]](t, b.get(admin, "/v1/workspaces/"+organization+"/audit?action=member.removed")).Data
	require.Equal(t, []string{other, member}, []string{log[0].Target, log[1].Target})
	for _, e := range log {
		require.Equal(t, admin, *e.Actor)
	}
	require.Nil(t, log[0].Impersonator)
	require.Equal(t, "user_support", *log[1].Impersonator)

	export := "/v1/workspaces/" + organization + "/audit/export?action=member.removed&format="
	lines := strings.Split(string(b.get(admin, export+"jsonl").body), "\n")
	require.NotContains(t, lines[0], "impersonator")
	require.Contains(t, lines[1], `"actor":"`+admin+`","impersonator":"user_support"`)
	records, err := csv.NewReader(strings.NewReader(string(b.get(admin, export+"csv").body))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"impersonator", "", "user_support", ""}, []string{records[0][9], records[1][9], records[2][9], records[3][9]})
}

// TestImpersonation_HasKeysOfItsOwn: what an impersonator asked for is never the answer to the
// user's own request with the same key.
func TestImpersonation_HasKeysOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	admin := b.person("admin@callmine.test")
	create := func(token string) exchange {
		return b.send(token, http.MethodPost, "/v1/workspaces", `{"name":"North"}`, "Content-Type", "application/json", headerKey, "k1")
	}
	first, own := create(admin+"/act=user_support"), create(admin)
	require.Equal(t, []int{http.StatusCreated, http.StatusCreated}, []int{first.status, own.status})
	require.NotEqual(t, first.header.Get(headerLocation), own.header.Get(headerLocation))
	require.Equal(t, first.body, create(admin+"/act=user_support").body)
}

// TestAppendAudit_NamesAnImpersonator of the user whom the service names.
func TestAppendAudit_NamesAnImpersonator(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	x := b.append("org_1", `{"action":"report.run","target":"r","actor":"user_1","impersonator":"kim@example.com"}`, http.StatusCreated)
	require.Contains(t, string(x.body), `"actor":"user_1","impersonator":"kim@example.com"`)
	for _, body := range []string{
		`{"action":"report.run","target":"r","impersonator":"user_2"}`,
		`{"action":"report.run","target":"r","actor":"user_1","impersonator":""}`,
		`{"action":"report.run","target":"r","actor":"user_1","impersonator":"` + strings.Repeat("x", 256) + `"}`,
		`{"action":"report.run","target":"r","actor":"user_1","impersonator":"\u0000"}`,
		`{"action":"report.run","target":"r","actor":"user_1","impersonator":7}`,
	} {
		b.append("org_1", body, http.StatusBadRequest)
	}
}
