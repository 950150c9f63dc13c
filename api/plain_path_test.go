package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPlainPaths_TwoReadingsNameNothing holds for every caller: an encoded slash isn't a separator,
// and no path is cleaned.
func TestPlainPaths_TwoReadingsNameNothing(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_1", "North", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/workspaces/org_1/members").status)
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/workspaces/org%5F1/members").status, "a needless escape is the same path")
	for _, target := range []string{
		"/v1/workspaces/org_1%2Fmembers", "/v1/workspaces/org_1%2fmembers", "/v1/workspaces%2Forg_1/members", "/v1%2Fworkspaces/org_1",
		"/%2Fv1/me", "/v1%2Fme", "/v1/workspaces/org_1%252Fmembers", "/v1/workspaces/org_1%25252Fmembers", "/v1/workspaces/%6Frg_1%2Fmembers",
		"/v1/workspaces/org_1/%2e", "/v1/workspaces/org_2/%2e%2e/org_1/members", "/v1/workspaces/org_2/%2E./org_1/members",
		"/v1/workspaces/org_2/../org_1/members", "/v1/workspaces/./org_1", "/v1/workspaces/../me", "/v1/x/../me", "/v1/%2e%2e/v1/me",
		"/v1//workspaces/org_1", "//v1/me", "/v1/workspaces//org_1/members", "/v1/workspaces/org_1//members", "/v1/workspaces/org_1/members//",
		"/v1/workspaces/org_1%5Cmembers", "/v1/workspaces/org_1%5cmembers", `/v1/workspaces/org_1\members`, "/v1/workspaces/org_1%255Cmembers",
		"/v1/workspaces/org_1%ff", "/v1/workspaces/org_1%c0%af",
		"/v1/workspaces/org_1/members/", "/v1/workspaces/org_1/", "/v1/workspaces/org_1%2F", "/v1/me/", "/openapi%2Eyaml",
		"/v1%2Fauthorize?workspace_id=org_1&permission=members:read", "/v1/authorize%2F?workspace_id=org_1&permission=members:read",
	} {
		want := b.get("", target)
		require.Equal(t, http.StatusNotFound, want.status, target)
		for _, token := range []string{"user_1", "", "user_stranger"} {
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				x := b.send(token, method, target, "")
				require.Equal(t, want.status, x.status, "%s %s", method, target)
				require.Equal(t, string(want.body), string(x.body), target)
			}
		}
	}
}
