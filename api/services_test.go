package api

import (
	"context"
	"net/http"
	"net/http/httptest"
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
	case o.path == "/v1/authorize", o.path == "/v1/explain", strings.HasPrefix(o.path, "/access/v1/"):
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
		if _, services := o.takes(doc); !services || o.OperationID == "authorizeMany" || o.OperationID == "explainDecision" || strings.HasPrefix(o.path, "/access/v1/") {
			continue // these name their workspaces in a body, and refuse each question alone
		}
		if o.OperationID == "listChanges" {
			continue // it is about all: see TestChanges_StayInTheListedWorkspaces
		}
		ask := func(workspace, query string) exchange {
			body, target := "", strings.ReplaceAll(o.target(), "org_none", workspace)
			switch {
			case o.OperationID == "appendAuditEntries":
				body = `{"action":"report.run","target":"report_1"}`
			case o.path == "/v1/authorize":
				query = "permission=reports:read&workspace_id=" + workspace
			}
			if query != "" {
				target += "?" + query
			}
			headers := []string{"Content-Type", "application/json"}
			if o.OperationID != "appendAuditEntries" {
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

// ownReads lists the reads about a workspace that a service may make in its own name.
func ownReads(workspaceID string) []string {
	base := "/v1/workspaces/" + workspaceID
	return []string{base, base + "/members", base + "/invitations", base + "/audit", base + "/audit/export"}
}

const reads = serviceToken + "/scopes=read"

// TestOwnName_ServicesRead: they get what an admin gets.
func TestOwnName_ServicesRead(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_1", "One", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.invitation("orginv_1", "org_1", nil)
	b.world.swept()
	b.world.member("org_gone", "user_1", "org:admin", nil)
	b.world.deleteOrganization("org_gone")
	for _, target := range ownReads("org_1") {
		ofAdmin, own := b.get("user_1", target), b.get(reads, target)
		require.Equal(t, http.StatusOK, own.status, "%s: %s", target, own.body)
		require.Equal(t, string(ofAdmin.body), string(own.body))
		for _, name := range []string{headerRevision, headerAsOf, "ETag"} {
			require.Equal(t, ofAdmin.header.Get(name), own.header.Get(name), name)
		}
		if tag := own.header.Get("ETag"); tag != "" {
			require.Equal(t, http.StatusNotModified, b.get(reads, target, "If-None-Match", tag).status)
		}
	}
	for _, workspace := range []string{"org_gone", "org_unknown", "%00"} {
		for _, target := range ownReads(workspace) {
			requireType(t, b.get(reads, target), http.StatusNotFound, "not-found")
		}
	}
	for _, aboutAUser := range []string{"/v1/me", "/v1/workspaces/org_1/me"} {
		requireType(t, b.get(reads, aboutAUser), http.StatusBadRequest, "bad-request")
	}
}

// TestOwnName_TakesAScopeAndNoUser: a service that names a user, even badly, doesn't read in its
// own name; neither does one without scopes, which couldn't before there were scopes.
func TestOwnName_TakesAScopeAndNoUser(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_member", "org:member", nil)
	for _, target := range ownReads("org_1")[1:] {
		requireType(t, b.get(serviceToken, target), http.StatusBadRequest, "bad-request")
		requireType(t, b.get(serviceToken+"/workspaces=org_1", target), http.StatusBadRequest, "bad-request")
		requireType(t, b.get(serviceToken+"/scopes=authorize+commands+audit:append", target), http.StatusForbidden, "scope-missing")
		requireType(t, b.get(reads+"/workspaces=org_2", target), http.StatusForbidden, "workspace-not-listed")
		requireProblem(t, b.get(reads, target, headerOnBehalfOf, "user_member"), http.StatusForbidden, clerksync.ReasonPermissionMissing)
		requireType(t, b.get(reads, target, headerOnBehalfOf, "user_stranger"), http.StatusNotFound, "not-found")
		for _, unnamed := range []string{"", "user_", "billing"} {
			requireType(t, b.get(reads, target, headerOnBehalfOf, unnamed), http.StatusBadRequest, "bad-request")
		}
	}
}

func TestOwnName_DemandsFreshness(t *testing.T) {
	t.Parallel()
	b := setupServer(t, func(c *Config) { c.RevisionWait = time.Millisecond })
	b.world.organization("org_1", "One", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, target := range ownReads("org_1") {
		require.Equal(t, http.StatusOK, b.get(reads, target+"?min_revision=1").status)
		late := b.get(reads, target+"?min_revision=1000")
		requireType(t, late, http.StatusConflict, "revision-not-reached")
		require.NotEmpty(t, late.header.Get(headerRevision))
		requireType(t, b.get(reads, target+"?max_staleness=1"), http.StatusServiceUnavailable, "stale")
		requireType(t, b.get(reads, target+"?max_staleness=x"), http.StatusBadRequest, "bad-request")
	}
}

// TestOwnName_WaitsForARevision: the read answers as soon as the revision is there.
func TestOwnName_WaitsForARevision(t *testing.T) {
	t.Parallel()
	signals := make(chan struct{}, 1000)
	b := setupServer(t, func(c *Config) { c.DecideDB, c.RevisionWait = readDB{c.DB, signals}, patient })
	b.world.organization("org_1", "One", nil)
	var revision string
	require.NoError(t, b.pool.QueryRow(t.Context(), "SELECT revision + 1 FROM rolecall.revisions WHERE organization_id = 'org_1'").Scan(&revision))
	answered := make(chan exchange, 1)
	go func() { answered <- b.get(reads, "/v1/workspaces/org_1?min_revision="+revision) }()
	<-signals
	select {
	case <-signals: // it was read in vain, and is read again
	case x := <-answered:
		require.Fail(t, "it didn't wait", "%s", x.body)
	}
	b.world.member("org_1", "user_1", "org:admin", nil)
	require.Equal(t, http.StatusOK, (<-answered).status)
}

// TestOwnName_ExportEndsWithTheWorkspace: a deleted workspace's log is cut off.
func TestOwnName_ExportEndsWithTheWorkspace(t *testing.T) {
	t.Parallel()
	b := setupAudit(t, nil)
	fill(b, 450)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, auditOfOne+"/export", nil)
	request.Header.Set("Authorization", "Bearer "+reads)
	whole := &lateWriter{ResponseRecorder: httptest.NewRecorder(), over: func() {}}
	b.handler.ServeHTTP(whole, request)
	require.Contains(t, whole.Body.String(), `{"complete":true,"entries":450}`)
	writer := &lateWriter{ResponseRecorder: httptest.NewRecorder(), over: func() { b.world.deleteOrganization("org_1") }}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.handler.ServeHTTP(writer, request) })
	require.Equal(t, 1, writer.batches)
}
