package client_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestConfig_Defaults: a decision has two seconds and two tries, and strangers are looked up at
// Clerk.
func TestConfig_Defaults(t *testing.T) {
	t.Parallel()
	began, asked := time.Now(), 0
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		asked++
		deadline, bounded := r.Context().Deadline()
		require.True(t, bounded)
		require.LessOrEqual(t, deadline.Sub(began), 4*time.Second)
		require.Greater(t, time.Until(deadline), time.Second, "a look-up at Clerk may take one")
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.JSONEq(t, `{"checks":[{"user_id":"user_1","workspace_id":"org_1","permission":"reports:read"}],"refresh":true}`, string(body))
		return nil, errors.New("no network")
	})
	c, err := client.New(client.Config{URL: "http://rolecall.test", ServiceToken: serviceToken, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	d, err := c.Authorize(t.Context(), client.Check{UserID: "user_1", WorkspaceID: "org_1", Permission: "reports:read"})
	require.ErrorContains(t, err, "no network")
	require.Zero(t, d)
	require.Equal(t, 2, asked)
}
