package auth

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMonitor_CountsForgedTokensOfKnownUsersOnly: an unknown key or a wrong signature counts only
// if the token names a user of the mirror.
func TestMonitor_CountsForgedTokensOfKnownUsersOnly(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		b := setupAuth(t, nil)
		entries := NewEntries(b.clock.Now)
		var refused []Reason
		m := NewMonitor(MonitorConfig{
			Authenticator: b.Authenticator, Entries: entries, Refused: func(r Reason) { refused = append(refused, r) },
			KnownUser: func(_ context.Context, id string) bool { return known && id == testUser },
			Logger:    slog.New(slog.DiscardHandler), Now: b.clock.Now,
		})
		claims := claimsAt(b.clock.Now())
		for i := range lockoutAfter {
			forger := secondSigner() // an unknown key
			if i%2 == 0 {
				forger.kid = firstSigner().kid // a wrong signature
			}
			r := httptest.NewRequest(http.MethodGet, "/v1/me", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+forger.sign(t, claims))
			_, err := m.Authenticate(r)
			require.ErrorIs(t, err, ErrUnauthenticated)
		}
		require.Len(t, refused, lockoutAfter)
		_, locked := entries.Lockout()
		require.Equal(t, known, locked)
	}
}

// TestAuthenticator_FetchKeys: it waits for a set unless there is a fresh one, and returns its
// size.
func TestAuthenticator_FetchKeys(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	b.jwks.unreachable()
	_, err := b.FetchKeys(t.Context())
	require.ErrorIs(t, err, ErrKeysUnavailable)
	b.clock.advance(keysEmptyInterval)
	b.jwks.publish(firstSigner(), secondSigner())
	n, err := b.FetchKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 2, b.jwks.count())
	_, err = b.FetchKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, b.jwks.count(), "a fresh set isn't fetched again")
	b.clock.advance(keysSoftAge)
	b.jwks.publish(firstSigner())
	n, err = b.FetchKeys(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
