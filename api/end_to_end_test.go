package api

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	testUser   = "user_2abc"
	testOrigin = "https://app.example.com"
)

// clerkKeys is a Clerk instance that signs tokens. While it is up, it publishes its keys over real
// HTTP.
type clerkKeys struct {
	tb    testing.TB
	world *clerksim.World
	url   string
	up    atomic.Bool
}

func publishKeys(tb testing.TB) *clerkKeys {
	tb.Helper()
	world, err := clerksim.New(clerksim.Config{AuthorizedParty: testOrigin})
	require.NoError(tb, err)
	k := &clerkKeys{tb: tb, world: world}
	k.up.Store(true)
	keys := world.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !k.up.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		keys.ServeHTTP(w, r)
	}))
	tb.Cleanup(server.Close)
	k.url = server.URL + "/.well-known/jwks.json"
	return k
}

// token returns a signed session token of a user.
func (k *clerkKeys) token(user string, options clerksim.TokenOptions) string {
	k.tb.Helper()
	token, err := k.world.SessionToken(user, options)
	require.NoError(k.tb, err)
	return token
}

// authenticator returns an authenticator that trusts the published keys and one service, and that
// service's token.
func (k *clerkKeys) authenticator() (a *auth.Authenticator, service string) {
	k.tb.Helper()
	service, hash, err := auth.NewServiceToken(rand.Reader)
	require.NoError(k.tb, err)
	services, err := auth.ParseServiceTokens("billing:" + hash)
	require.NoError(k.tb, err)
	client := &http.Client{Transport: &http.Transport{}}
	k.tb.Cleanup(client.CloseIdleConnections)
	a, err = auth.NewAuthenticator(auth.Config{
		Issuer: k.world.Issuer(), JWKSURL: k.url, AuthorizedParties: []string{testOrigin}, ServiceTokens: services, HTTPClient: client,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(k.tb, err)
	k.tb.Cleanup(a.Close)
	return a, service
}

// TestServer_WithRealTokens goes from a signed token to an answer. Only Clerk is simulated.
func TestServer_WithRealTokens(t *testing.T) {
	t.Parallel()
	keys := publishKeys(t)
	authenticator, service := keys.authenticator()
	b := setupServer(t, func(c *Config) { c.Authenticator = authenticator })
	b.world.member("org_1", testUser, "org:admin", nil)
	b.world.member("org_2", "user_other", "org:admin", nil)
	admin := clerksim.TokenOptions{OrganizationID: "org_1", Role: "org:admin"} // the mirror may say otherwise
	token := keys.token(testUser, admin)

	require.Equal(t, testUser, answerOf[meBody](t, b.get(token, "/v1/me")).UserID)
	require.Equal(t, http.StatusOK, b.get(token, membersOfOne).status)
	for name, bad := range map[string]string{
		"unknown key": publishKeys(t).token(testUser, clerksim.TokenOptions{Issuer: keys.world.Issuer(), KeyID: "ins_unknown"}),
		"forged":      keys.token(testUser, clerksim.TokenOptions{Forgery: clerksim.KeyConfusion}),
		"tampered":    keys.token(testUser, clerksim.TokenOptions{Forgery: clerksim.Tampered}),
		"expired":     keys.token(testUser, clerksim.TokenOptions{IssuedAt: time.Now().Add(-time.Hour)}),
		"elsewhere":   keys.token(testUser, clerksim.TokenOptions{AuthorizedParty: "https://evil.example.com"}),
		"pending":     keys.token(testUser, clerksim.TokenOptions{Status: "pending"}),
		"nobody":      keys.token(testUser, clerksim.TokenOptions{OmitSubject: true}),
		"no service":  "rcs_unknown",
		"broken":      token[:len(token)-8],
		"not a token": "x",
	} {
		require.Equal(t, http.StatusUnauthorized, b.get(bad, "/v1/me").status, name)
	}

	// Revoked means revoked: the very same token is refused, whatever role it claims.
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

// TestServer_WithoutSigningKeysServicesAreServed: services need no signing keys. Users get a 503.
func TestServer_WithoutSigningKeysServicesAreServed(t *testing.T) {
	t.Parallel()
	keys := publishKeys(t)
	keys.up.Store(false)
	authenticator, service := keys.authenticator()
	b := setupServer(t, func(c *Config) { c.Authenticator = authenticator })
	x := b.get(keys.token(testUser, clerksim.TokenOptions{}), "/v1/me")
	requireProblem(t, x, http.StatusServiceUnavailable, "")
	require.Equal(t, "1", x.header.Get("Retry-After"))
	require.Contains(t, b.logs.take(), "status 500", "the log has the cause, the answer doesn't")
	require.Equal(t, http.StatusOK, b.get(service, "/v1/me", headerOnBehalfOf, testUser).status)
}
