package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

const (
	testIssuer = "https://clerk.example.com"
	testUser   = "user_2abc"
	testOrigin = "https://app.example.com"
)

// testKeys are two RSA keys. They are made once, because making one takes longer than all tests
// that use it.
var testKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// signer is a key pair with its name in the key set.
type signer struct {
	kid string
	key *rsa.PrivateKey
}

func firstSigner() signer  { return signer{kid: "ins_first", key: testKeys()[0]} }
func secondSigner() signer { return signer{kid: "ins_second", key: testKeys()[1]} }

// public is the signer's entry in a key set.
func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: &s.key.PublicKey, KeyID: s.kid, Algorithm: "RS256", Use: "sig"}
}

// sign returns an RS256 session token with the claims.
func (s signer) sign(tb testing.TB, claims map[string]any) string {
	tb.Helper()
	return signWith(tb, jose.RS256, jose.JSONWebKey{Key: s.key, KeyID: s.kid}, claims, (&jose.SignerOptions{}).WithType("JWT"))
}

// signWith returns a token signed by any method.
func signWith(tb testing.TB, alg jose.SignatureAlgorithm, key any, claims map[string]any, options *jose.SignerOptions) string {
	tb.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	require.NoError(tb, err)
	payload, err := json.Marshal(claims)
	require.NoError(tb, err)
	signed, err := signer.Sign(payload)
	require.NoError(tb, err)
	token, err := signed.CompactSerialize()
	require.NoError(tb, err)
	return token
}

// claimsAt are the claims of a version 2 session token made at the given moment.
func claimsAt(now time.Time) map[string]any {
	return map[string]any{
		"v": 2, "iss": testIssuer, "sub": testUser, "sid": "sess_1", "azp": testOrigin, "sts": "active",
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Second).Unix(), "exp": now.Add(time.Minute).Unix(),
		"o": map[string]any{"id": "org_1", "slg": "one", "rol": "admin", "per": "", "fpm": ""},
	}
}

// with returns the claims with some replaced; a nil value removes one.
func with(claims, changes map[string]any) map[string]any {
	changed := maps.Clone(claims)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

// jwksEndpoint is the place where a simulated Clerk publishes its keys.
type jwksEndpoint struct {
	mu       sync.Mutex
	answer   http.RoundTripper
	requests int
}

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (e *jwksEndpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	e.requests++
	answer := e.answer
	e.mu.Unlock()
	return answer.RoundTrip(r)
}

func (e *jwksEndpoint) answerWith(f roundTrip) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = f
}

// serve answers every request with a status and a body.
func (e *jwksEndpoint) serve(status int, body string) {
	e.answerWith(func(r *http.Request) (*http.Response, error) { return response(r, status, body), nil })
}

// publish answers with these signers' keys.
func (e *jwksEndpoint) publish(signers ...signer) { e.serve(http.StatusOK, keySet(signers...)) }

// unreachable fails every request.
func (e *jwksEndpoint) unreachable() {
	e.answerWith(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })
}

// hang holds every request until the client gives up or release is called. Then answer answers it.
func (e *jwksEndpoint) hang(answer roundTrip) (release func()) {
	released := make(chan struct{})
	e.answerWith(func(r *http.Request) (*http.Response, error) {
		select {
		case <-released:
			return answer(r)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
	return sync.OnceFunc(func() { close(released) })
}

func (e *jwksEndpoint) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests
}

func response(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: r,
	}
}

func keySet(signers ...signer) string {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, s := range signers {
		set.Keys = append(set.Keys, s.public())
	}
	body, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// testClock is a clock that stands still until it is moved.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *testClock) advance(d time.Duration) { c.set(c.Now().Add(d)) }

// authBundle is an authenticator whose surroundings the test controls.
type authBundle struct {
	*Authenticator
	clock *testClock
	jwks  *jwksEndpoint
}

// setupAuth returns an authenticator whose endpoint publishes the first signer's key. change may
// alter its configuration.
func setupAuth(tb testing.TB, change func(*Config)) *authBundle {
	tb.Helper()
	b := &authBundle{
		clock: &testClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		jwks:  &jwksEndpoint{},
	}
	b.jwks.publish(firstSigner())
	config := Config{
		Issuer:     testIssuer,
		HTTPClient: &http.Client{Transport: b.jwks},
		Logger:     slog.New(slog.DiscardHandler),
		Now:        b.clock.Now,
	}
	if change != nil {
		change(&config)
	}
	authenticator, err := NewAuthenticator(config)
	require.NoError(tb, err)
	tb.Cleanup(authenticator.Close)
	b.Authenticator = authenticator
	return b
}

// identify authenticates a request that carries the token.
func (b *authBundle) identify(ctx context.Context, token string) (Identity, error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/me", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return b.Authenticate(ctx, r)
}

// token returns a valid session token of the first signer, with changed claims.
func (b *authBundle) token(tb testing.TB, changes map[string]any) string {
	tb.Helper()
	return firstSigner().sign(tb, with(claimsAt(b.clock.Now()), changes))
}

// requireReason requires that err is a refusal for exactly this reason.
func requireReason(tb testing.TB, want Reason, err error) {
	tb.Helper()
	require.ErrorIs(tb, err, ErrUnauthenticated)
	require.NotErrorIs(tb, err, ErrKeysUnavailable)
	refusal, ok := errors.AsType[*Error](err)
	require.True(tb, ok)
	require.Equal(tb, want, refusal.Reason, "%v", err)
}
