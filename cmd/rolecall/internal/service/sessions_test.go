package service_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/clerksim"
)

// signIn begins a session of a person at Clerk and returns its id. actor may be nil.
func (h *house) signIn(p person, workspace string, actor *clerksim.Actor) string {
	h.t.Helper()
	s, err := h.Clerk.CreateSession(clerksim.NewSession{UserID: p.id, OrganizationID: workspace, Actor: actor})
	require.NoError(h.t, err)
	return s.ID
}

// tokenOf makes a token of a session.
func (h *house) tokenOf(session string) string {
	h.t.Helper()
	token, err := h.Clerk.TokenOf(session, clerksim.TokenOptions{Lifetime: time.Hour})
	require.NoError(h.t, err)
	return token
}

// TestSession_EndAtClerkEndsItsTokens at once, in every process, whether they were verified before
// or not. Other sessions of the user go on.
func TestSession_EndAtClerkEndsItsTokens(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	north := h.create(alex, "North")
	h.deliverWebhooks()
	second, err := service.Start(t.Context(), h.Config, config.Parts{Web: true}, h.Logger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Stop(context.WithoutCancel(t.Context()))) })
	elsewhere := func(token string) int {
		status, _ := h.Get(t, "http://"+second.WebAddr+"/v1/authorize?workspace_id="+north+"&permission=billing:manage", token)
		return status
	}
	other := h.tokenOf(h.signIn(alex, "", nil))
	for event, end := range map[string]func(string) (clerksim.Session, error){
		"revoked": h.Clerk.RevokeSession, "ended": h.Clerk.EndSession, "removed": h.Clerk.RemoveSession,
	} {
		session := h.signIn(alex, "", nil)
		remembered, fresh := h.tokenOf(session), h.tokenOf(session)
		require.Equal(t, http.StatusOK, h.May(t, remembered, north, "billing:manage"))
		require.Equal(t, http.StatusOK, elsewhere(remembered))
		_, err := end(session)
		require.NoError(t, err)
		h.deliverWebhooks()
		for _, token := range []string{remembered, fresh} {
			refused := h.must(http.StatusUnauthorized, token, http.MethodGet, "/v1/authorize?workspace_id="+north+"&permission=billing:manage", "")
			require.Equal(t, "urn:rolecall:problem:session-ended", refused.body["type"], event)
			h.must(http.StatusUnauthorized, token, http.MethodGet, "/v1/me", "")
			h.must(http.StatusUnauthorized, token, http.MethodPatch, at(north), `{"name":"South"}`)
			require.Equal(t, http.StatusUnauthorized, elsewhere(token), event)
		}
		require.Equal(t, http.StatusOK, h.May(t, other, north, "billing:manage"), event)
		require.Equal(t, http.StatusOK, elsewhere(other), event)
	}
	_, metrics := h.Text(t, "/metrics")
	require.Contains(t, metrics, `rolecall_unauthenticated_total{reason="session_ended"} 18`)
}

// TestSession_ActiveOrganizationIsMeant in both versions of Clerk's tokens.
func TestSession_ActiveOrganizationIsMeant(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	north := h.create(alex, "North")
	session := h.signIn(alex, north, nil)
	const unnamed = "/v1/authorize?permission=billing:manage"
	for _, version := range []clerksim.TokenVersion{clerksim.TokenV1, clerksim.TokenV2} {
		token, err := h.Clerk.TokenOf(session, clerksim.TokenOptions{Version: version})
		require.NoError(t, err)
		require.Equal(t, north, h.must(http.StatusOK, token, http.MethodGet, unnamed, "").body["workspace_id"])
	}
	refused := h.must(http.StatusForbidden, alex.token, http.MethodGet, unnamed, "")
	require.Equal(t, "urn:rolecall:problem:no-active-workspace", refused.body["type"])
}

// TestImpersonation_BothAreNamed: if an impersonator acts as an admin, the decision, its header and
// the audit log name both. The end of the actor's own session ends that.
func TestImpersonation_BothAreNamed(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin, support := h.person("Alex"), h.person("Robin"), h.person("Support")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	own := h.signIn(support, "", nil)
	acting := h.tokenOf(h.signIn(alex, "", &clerksim.Actor{ID: support.id, SessionID: own}))

	decision := h.must(http.StatusOK, acting, http.MethodGet, "/v1/authorize?workspace_id="+north+"&permission=members:manage", "")
	require.Equal(t, []any{alex.id, support.id}, []any{decision.body["user_id"], decision.body["impersonator"]})
	require.Equal(t, []string{alex.id, support.id}, []string{decision.header.Get("Rolecall-User"), decision.header.Get("Rolecall-Impersonator")})
	require.Equal(t, support.id, h.must(http.StatusOK, acting, http.MethodGet, "/v1/me", "").body["impersonator"])
	h.must(http.StatusNoContent, acting, http.MethodDelete, at(north, "members", robin.id), "")
	h.deliverWebhooks()
	h.requireEntry(h.entries(alex, north), alex.id, "member.removed", robin.id)
	entry := h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "audit?action=member.removed"), "").body["data"].([]any)[0].(map[string]any)
	require.Equal(t, support.id, entry["impersonator"])

	_, err := h.Clerk.EndSession(own)
	require.NoError(t, err)
	h.deliverWebhooks()
	require.Equal(t, "urn:rolecall:problem:session-ended", h.must(http.StatusUnauthorized, acting, http.MethodGet, at(north), "").body["type"])
	h.must(http.StatusOK, alex.token, http.MethodGet, at(north), "")
}

// TestImpersonation_PolicyFileDenies permissions to impersonators, and to nobody else.
func TestImpersonation_PolicyFileDenies(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("roles:\n  org:member: [reports:read]\n  org:admin: [reports:read, members:manage]\ndeny_impersonators: [members:manage]\n"), 0o600))
	h := openHouse(t, func(c *config.Config) { c.PolicyFile = file })
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	acting := h.tokenOf(h.signIn(alex, "", &clerksim.Actor{ID: "user_support"}))
	for _, refused := range []answer{
		h.must(http.StatusForbidden, acting, http.MethodGet, "/v1/authorize?workspace_id="+north+"&permission=members:manage", ""),
		h.must(http.StatusForbidden, acting, http.MethodDelete, at(north, "members", robin.id), ""),
	} {
		require.Equal(t, "impersonation_denied", refused.body["reason"])
	}
	require.NotContains(t, h.must(http.StatusOK, acting, http.MethodGet, at(north, "me"), "").body["permissions"], "members:manage")
	require.Contains(t, h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "me"), "").body["permissions"], "members:manage")
}
