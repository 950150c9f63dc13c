package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// scopeNeeded returns the scope that an operation of the document needs, by what it does.
func scopeNeeded(o operation) auth.Scope {
	switch {
	case o.path == "/v1/authorize":
		return auth.ScopeAuthorize
	case o.method == http.MethodGet:
		return auth.ScopeRead
	case o.method == http.MethodPost && strings.HasSuffix(o.path, "/audit"):
		return auth.ScopeAuditAppend
	default:
		return auth.ScopeCommands
	}
}

// TestScopes_EachRouteNeedsItsOwn: a service with all other scopes is refused, and told which one
// it lacks; a service with that scope alone isn't.
func TestScopes_EachRouteNeedsItsOwn(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	doc, all := operations(t)
	for _, o := range all {
		if _, services := o.takes(doc); !services {
			continue
		}
		needed := scopeNeeded(o)
		others := []string{}
		for _, scope := range auth.Scopes() {
			if scope != needed {
				others = append(others, string(scope))
			}
		}
		ask := func(scopes string) exchange {
			return b.send(serviceToken+"/scopes="+scopes, o.method, o.target(), "", "Content-Type", "application/json", headerOnBehalfOf, "user_1")
		}
		refused := ask(strings.Join(others, "+"))
		require.Equal(t, http.StatusForbidden, refused.status, "%s %s: %s", o.method, o.path, refused.body)
		require.Contains(t, string(refused.body), `"type":"urn:rolecall:problem:scope-missing"`)
		require.Contains(t, string(refused.body), `"scope":"`+string(needed)+`"`)
		admitted := ask(string(needed))
		require.NotContains(t, string(admitted.body), "scope-missing", "%s %s", o.method, o.path)
	}
}

// TestWorkspaces_BeyondTheListNothingIsSaid: a service that is limited to some workspaces gets the
// same answer about any other one, and none from routes about all.
func TestWorkspaces_BeyondTheListNothingIsSaid(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	const limited = serviceToken + "/workspaces=org_1"
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_2", "user_1", "org:admin", nil)
	doc, all := operations(t)
	for _, o := range all {
		if _, services := o.takes(doc); !services || o.OperationID == "authorizeMany" {
			continue
		}
		ask := func(workspace, query string) exchange {
			body, target := "", strings.ReplaceAll(o.target(), "org_none", workspace)
			switch {
			case o.OperationID == "appendAudit":
				body = `{"action":"report.run","target":"report_1"}`
			case o.path == "/v1/authorize":
				query = "permission=reports:read&workspace_id=" + workspace
			}
			if query != "" {
				target += "?" + query
			}
			headers := []string{"Content-Type", "application/json"}
			if o.OperationID != "appendAudit" {
				headers = append(headers, headerOnBehalfOf, "user_1")
			}
			return b.send(limited, o.method, target, body, headers...)
		}
		name := o.method + " " + o.path
		foreign := ask("org_2", "")
		require.Equal(t, http.StatusForbidden, foreign.status, "%s: %s", name, foreign.body)
		require.Contains(t, string(foreign.body), `"urn:rolecall:problem:workspace-not-listed"`, name)
		require.Empty(t, foreign.header.Get(headerRevision), "%s tells that the workspace exists", name)
		require.Equal(t, foreign.body, ask("org_unknown", "").body, name)
		if strings.Contains(o.path, "{workspace_id}") || o.path == "/v1/authorize" {
			require.NotContains(t, string(ask("org_1", "").body), "workspace-not-listed", name)
		}
	}
}

// TestAuthorizeMany_RefusesForeignWorkspacesAlone: without reading anything about them, so that
// neither the answer nor its time tells whether they exist.
func TestAuthorizeMany_RefusesForeignWorkspacesAlone(t *testing.T) {
	t.Parallel()
	asked := &askedPairs{}
	b := setupServer(t, func(c *Config) { c.Refresher, c.RevisionWait = asked, time.Millisecond })
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_2", "user_1", "org:admin", nil)
	checks := []checkBody{{"user_1", "org_2", "reports:read"}, {"user_1", "org_1", "reports:read"}, {"user_1", "org_unknown", "reports:read"}}
	body := strings.Replace(checksJSON(t, checks...), `"refresh":false`, `"refresh":true,"min_revision":100`, 1)
	x := b.post(serviceToken+"/scopes=authorize/workspaces=org_1", body)
	decisions := answerOf[decisionsBody](t, x).Decisions
	require.Equal(t, []clerksync.Reason{clerksync.ReasonWorkspaceNotListed, clerksync.ReasonStale, clerksync.ReasonWorkspaceNotListed},
		[]clerksync.Reason{decisions[0].Reason, decisions[1].Reason, decisions[2].Reason})
	for _, i := range []int{0, 2} {
		require.Equal(t, decisionBody{Reason: clerksync.ReasonWorkspaceNotListed, Permission: "reports:read", WorkspaceID: checks[i].WorkspaceID, UserID: "user_1"}, decisions[i])
	}
	for _, pair := range asked.pairs {
		require.Empty(t, pair.OrganizationID, "nobody is looked up in a foreign workspace")
	}
}

// askedPairs is a Refresher that only notes whom it was asked about, by one request at a time.
type askedPairs struct{ pairs []store.Pair }

func (a *askedPairs) Refresh(_ context.Context, strangers []store.Pair) bool {
	a.pairs = append(a.pairs, strangers...)
	return false
}

func (*askedPairs) RefreshUser(context.Context, string) bool { return false }
