package api

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// keyServer publishes the first signer's keys over real HTTP for as long as it is up.
func keyServer(tb testing.TB) (url string, up *atomic.Bool) {
	tb.Helper()
	up = &atomic.Bool{}
	up.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, keySet(firstSigner()))
	}))
	tb.Cleanup(server.Close)
	return server.URL, up
}

// realAuthenticator trusts the keys that are published at the address, and one service.
func realAuthenticator(tb testing.TB, jwksURL string) (a *Authenticator, service string) {
	tb.Helper()
	service, hash, err := NewServiceToken(rand.Reader)
	require.NoError(tb, err)
	services, err := ParseServiceTokens("billing:" + hash)
	require.NoError(tb, err)
	client := &http.Client{Transport: &http.Transport{}}
	tb.Cleanup(client.CloseIdleConnections)
	a, err = NewAuthenticator(AuthenticatorConfig{
		Issuer: testIssuer, JWKSURL: jwksURL, AuthorizedParties: []string{testOrigin}, ServiceTokens: services, HTTPClient: client,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	tb.Cleanup(a.Close)
	return a, service
}

// TestWithRealTokens: from a signed token to an answer, with nothing replaced but Clerk.
func TestWithRealTokens(t *testing.T) {
	t.Parallel()
	jwks, _ := keyServer(t)
	authenticator, service := realAuthenticator(t, jwks)
	b := setupServer(t, func(c *Config) { c.Authenticator = authenticator })
	b.world.member("org_1", testUser, "org:admin", nil)
	b.world.member("org_2", "user_other", "org:admin", nil)
	claims := claimsAt(time.Now()) // says "admin" of org_1
	token := firstSigner().sign(t, claims)

	require.Equal(t, testUser, answerOf[meBody](t, b.get(token, "/v1/me")).UserID)
	require.Equal(t, http.StatusOK, b.get(token, membersOfOne).status)
	for name, bad := range map[string]string{
		"forged":      secondSigner().sign(t, claims),
		"expired":     firstSigner().sign(t, with(claims, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})),
		"elsewhere":   firstSigner().sign(t, with(claims, map[string]any{"azp": "https://evil.example.com"})),
		"pending":     firstSigner().sign(t, with(claims, map[string]any{"sts": "pending"})),
		"nobody":      firstSigner().sign(t, with(claims, map[string]any{"sub": nil})),
		"no service":  "rcs_unknown",
		"broken":      token[:len(token)-8],
		"not a token": "x",
	} {
		require.Equal(t, http.StatusUnauthorized, b.get(bad, "/v1/me").status, name)
	}

	// Revoked means revoked: the very same token, whatever it says.
	at := b.world.now().UnixMilli() + 1
	b.world.apply(b.world.membership(clerksync.MembershipUpdated, "org_1", testUser, "org:member", map[string]any{"updated_at": at}))
	requireProblem(t, b.get(token, membersOfOne), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	b.world.remove("org_1", testUser)
	requireProblem(t, b.get(token, membersOfOne), http.StatusNotFound, "")

	require.Equal(t, http.StatusOK, b.get(service, "/v1/workspaces/org_2", headerOnBehalfOf, "user_other").status)
	require.Equal(t, http.StatusBadRequest, b.get(service, "/v1/workspaces/org_2").status)
	d := answerOf[decisionsBody](t, b.post(service, checksJSON(t, checkBody{"user_other", "org_2", "audit:read"}))).Decisions[0]
	require.True(t, d.Allowed)
	requireProblem(t, b.post(token, `{}`), http.StatusForbidden, "")
}

// TestWithoutSigningKeys: services need none; users are told to try again.
func TestWithoutSigningKeys(t *testing.T) {
	t.Parallel()
	jwks, up := keyServer(t)
	up.Store(false)
	authenticator, service := realAuthenticator(t, jwks)
	b := setupServer(t, func(c *Config) { c.Authenticator = authenticator })
	x := b.get(firstSigner().sign(t, claimsAt(time.Now())), "/v1/me")
	requireProblem(t, x, http.StatusServiceUnavailable, "")
	require.Equal(t, "1", x.header.Get("Retry-After"))
	require.Contains(t, b.logs.take(), "status 500", "the log tells what the answer doesn't")
	require.Equal(t, http.StatusOK, b.get(service, "/v1/me", headerOnBehalfOf, testUser).status)
}
