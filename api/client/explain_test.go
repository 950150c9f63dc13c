package client_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := newClient(t, b.url, nil)
	e, err := c.Explain(t.Context(), client.Check{UserID: "user_member", WorkspaceID: "org_1", Permission: "billing:manage"})
	require.NoError(t, err)
	require.False(t, e.Decision.Allowed)
	require.Equal(t, "permission_missing", e.Decision.Reason)
	require.Len(t, e.Facts, 7)
	role, grant := e.Facts[3], e.Facts[4]
	require.Equal(t, "role", role.Fact)
	require.True(t, *role.Holds)
	require.Equal(t, "org:member", role.Detail)
	require.Equal(t, "msg_02", role.Cause)
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 2, 0, time.UTC), role.Since.UTC())
	require.False(t, *grant.Holds)
	require.Equal(t, &client.Change{Kind: "give_role", Subject: "user_member", Role: "org:admin", Words: "give user_member the role org:admin"}, e.Change)

	e, err = c.Explain(t.Context(), client.Check{UserID: "user_admin", WorkspaceID: "org_1", Permission: "billing:manage"})
	require.NoError(t, err)
	require.True(t, e.Decision.Allowed)
	require.Nil(t, e.Change)
	stale := newClient(t, b.url, func(c *client.Config) { c.MaxStaleness = time.Second })
	e, err = stale.Explain(t.Context(), client.Check{UserID: "user_admin", WorkspaceID: "org_1", Permission: "billing:manage"})
	require.NoError(t, err)
	require.Equal(t, "stale", e.Decision.Reason)
	limited := newClient(t, b.url, func(c *client.Config) { c.ServiceToken = limitedToken })
	e, err = limited.Explain(t.Context(), client.Check{UserID: "user_admin", WorkspaceID: "org_1", Permission: "billing:manage"})
	require.NoError(t, err)
	require.Equal(t, "workspace_not_listed", e.Decision.Reason)
	require.Empty(t, e.Facts)
}

func TestExplain_RefusesOddQuestionsAndAnswers(t *testing.T) {
	t.Parallel()
	check := client.Check{UserID: "user_1", WorkspaceID: "org_1", Permission: "p"}
	c := newClient(t, "http://rolecall.test", func(c *client.Config) { c.ServiceToken = "" })
	_, err := c.Explain(t.Context(), check)
	require.ErrorContains(t, err, "ServiceToken")
	_, err = newClient(t, "http://rolecall.test", nil).Explain(t.Context(), client.Check{UserID: "user_1", Permission: "p"})
	require.ErrorContains(t, err, "must be 1 to 255 bytes")
	const decision = `{"user_id":"user_1","workspace_id":"org_1","permission":"p","allowed":true,"reason":"allowed"}`
	for name, answer := range map[string]string{
		"nothing":               `{}`,
		"no object":             `[]`,
		"about another":         `{"decision":` + strings.Replace(decision, "user_1", "user_2", 1) + `}`,
		"a fact that refuses":   `{"decision":` + decision + `,"facts":[{"fact":"role","holds":false}]}`,
		"a fact without a name": `{"decision":` + decision + `,"facts":[{"holds":true}]}`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
		t.Cleanup(server.Close)
		e, err := newClient(t, server.URL, nil).Explain(t.Context(), check)
		require.ErrorIs(t, err, client.ErrNotADecision, name)
		require.Zero(t, e, name)
	}
}
