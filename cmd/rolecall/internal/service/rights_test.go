package service_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestSettings_GiveServicesAndBrowsersTheirRights: scopes, a list of workspaces, and CORS, from the
// settings to the answers.
func TestSettings_GiveServicesAndBrowsersTheirRights(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.ServiceTokens += "/scopes=read"
		cfg.CORS = true
	})
	b.Open(t, url)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	status, body := b.Get(t, b.Web("/v1/workspaces/"+workspace+"/members"), b.ServiceToken)
	require.Equal(t, http.StatusOK, status, body)
	require.NotEmpty(t, body["data"])
	status, body = b.Say(t, b.ServiceToken, http.MethodPost, "/v1/authorize", `{"checks":[]}`)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "authorize", body["scope"])

	for path, want := range map[string]string{"/v1/me": b.Clerk.AuthorizedParty(), "/webhooks/clerk": ""} {
		request := b.Request(t, http.MethodGet, path, "")
		request.Header.Set("Origin", b.Clerk.AuthorizedParty())
		request.Header.Set("Authorization", "Bearer "+b.Token(t, admin))
		response, err := b.Client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want, response.Header.Get("Access-Control-Allow-Origin"), path)
	}

	_, text := b.Text(t, "/metrics")
	require.Contains(t, text, `rolecall_decisions_total{reason="unknown_permission"} 0`)
	require.Equal(t, http.StatusForbidden, b.May(t, b.Token(t, admin), workspace, "members:manege"))
	_, text = b.Text(t, "/metrics")
	require.Contains(t, text, `rolecall_decisions_total{reason="unknown_permission"} 1`)

	cfg := b.Config
	cfg.ServiceTokens += "/workspaces=org_other"
	b.Restart(t, cfg, config.Parts{Web: true})
	status, body = b.Get(t, b.Web("/v1/workspaces/"+workspace+"/members"), b.ServiceToken)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "urn:rolecall:problem:workspace-not-listed", body["type"])
}
