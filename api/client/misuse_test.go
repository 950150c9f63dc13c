package client_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

// TestRequire_UnknownRouteIsAnOutage: a wrong address must not look like a missing workspace.
func TestRequire_UnknownRouteIsAnOutage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := newClient(t, b.url+"/elsewhere", nil)
	answer, seen := ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_member")
	requireRefused(t, http.StatusServiceUnavailable, answer, seen)
	answer, seen = ask(t, c.RequireFor("reports:read", always("org_1"), always("user_member")))
	requireRefused(t, http.StatusServiceUnavailable, answer, seen)
}

// TestRequireFor_ReportsThisProgramsFaults: the sender gets an ordinary refusal, and Failed is told
// what is wrong. Ordinary refusals aren't reported.
func TestRequireFor_ReportsThisProgramsFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, test := range []struct {
		permission, workspace, token string
		status                       int
		reported                     string
	}{
		{"reports:reed", "org_1", serviceToken, http.StatusForbidden, "unknown_permission"},
		{"reports:read", "org_1", limitedToken, http.StatusNotFound, "workspace_not_listed"},
		{"billing:manage", "org_1", serviceToken, http.StatusForbidden, ""},
		{"reports:read", "org_none", serviceToken, http.StatusNotFound, ""},
	} {
		var failed []error
		c := newClient(t, b.url, func(cfg *client.Config) {
			cfg.ServiceToken = test.token
			cfg.Failed = func(_ *http.Request, err error) { failed = append(failed, err) }
		})
		answer, seen := ask(t, c.RequireFor(test.permission, always(test.workspace), always("user_member")))
		requireRefused(t, test.status, answer, seen)
		require.NotContains(t, answer.Body.String(), "unknown_permission", "it is nothing to the sender")
		if test.reported == "" {
			require.Empty(t, failed)
			continue
		}
		require.Len(t, failed, 1)
		var fault *client.Error
		require.ErrorAs(t, failed[0], &fault)
		require.Equal(t, test.reported, fault.Reason)
	}
}
