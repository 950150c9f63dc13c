package service_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestAuthZEN_ThroughTheWholeProgram: the policy file says what a workspace is called, and the
// metadata name the configured address.
func TestAuthZEN_ThroughTheWholeProgram(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte("roles:\n  org:admin: [reports:read]\nauthzen:\n  workspace_types: [team]\n"), 0o600))
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, c *config.Config) {
		c.PolicyFile, c.PublicURL = file, "https://rolecall.example.com"
	})
	b.Open(t, url)
	workspace, admin, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)

	evaluate := func(token, user, kind string) (int, any) {
		status, body := b.Say(t, token, http.MethodPost, "/access/v1/evaluation",
			`{"subject":{"type":"user","id":"`+user+`"},"action":{"name":"reports:read"},"resource":{"type":"`+kind+`","id":"`+workspace+`"}}`)
		return status, body["decision"]
	}
	for _, c := range []struct {
		token, user, kind string
		status            int
		decision          any
	}{
		{b.ServiceToken, admin, "team", http.StatusOK, true},
		{b.ServiceToken, member, "team", http.StatusOK, false},
		{b.ServiceToken, admin, "workspace", http.StatusOK, false},
		{b.Token(t, admin), admin, "team", http.StatusOK, true},
		{b.Token(t, admin), member, "team", http.StatusForbidden, nil},
	} {
		status, decision := evaluate(c.token, c.user, c.kind)
		require.Equal(t, c.status, status, "%+v", c)
		require.Equal(t, c.decision, decision, "%+v", c)
	}
	_, found := b.Say(t, b.ServiceToken, http.MethodPost, "/access/v1/search/subject",
		`{"subject":{"type":"user"},"action":{"name":"reports:read"},"resource":{"type":"team","id":"`+workspace+`"}}`)
	require.Equal(t, []any{map[string]any{"type": "user", "id": admin}}, found["results"])
	_, metadata := b.Get(t, b.Web("/.well-known/authzen-configuration"), "")
	require.Equal(t, "https://rolecall.example.com/access/v1/evaluation", metadata["access_evaluation_endpoint"])
}
