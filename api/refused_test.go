package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	josejwt "github.com/go-jose/go-jose/v3/jwt"
	"github.com/stretchr/testify/require"
)

// TestWhatCountsAsLockedOut: a good signature, and a setting or a clock that may be wrong.
func TestWhatCountsAsLockedOut(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &server{cfg: Config{Now: func() time.Time { return now }}}
	for reason, want := range map[AuthReason]bool{
		AuthReasonIssuer: true, AuthReasonAuthorizedParty: true, AuthReasonNotYetValid: true, AuthReasonIssuedInFuture: true,
		AuthReasonSession: true, AuthReasonAudience: true, AuthReasonLifetime: true,
		AuthReasonMissing: false, AuthReasonMalformed: false, AuthReasonPurpose: false, AuthReasonSubject: false, AuthReasonServiceToken: false,
	} {
		require.Equal(t, want, s.lockedOut(t.Context(), reason, sessionClaims{}), reason)
	}
	for ago, want := range map[time.Duration]bool{
		6 * time.Second: true, expiredLately - time.Second: true, expiredLately: false, 48 * time.Hour: false,
	} {
		claims := sessionClaims{Expiry: josejwt.NewNumericDate(now.Add(-ago))}
		require.Equal(t, want, s.lockedOut(t.Context(), AuthReasonExpired, claims), ago)
	}
	require.False(t, s.lockedOut(t.Context(), AuthReasonExpired, sessionClaims{}))
}

// keylessAuthenticator has no keys to judge a token by.
type keylessAuthenticator struct{}

func (keylessAuthenticator) Authenticate(context.Context, *http.Request) (Identity, error) {
	return Identity{}, fmt.Errorf("fetch keys: %w", ErrKeysUnavailable)
}

// TestWithoutKeysOnlyKnownUsersCount: anybody may send what can't be judged.
func TestWithoutKeysOnlyKnownUsersCount(t *testing.T) {
	t.Parallel()
	entries := NewEntries(nil)
	b := setupServer(t, func(c *Config) { c.Authenticator, c.Entries = keylessAuthenticator{}, entries })
	b.world.member("org_1", "user_1", "org:admin", nil)
	token := func(user string, lives time.Duration) string {
		claims := fmt.Sprintf(`{"sub":%q,"exp":%d}`, user, time.Now().Add(lives).Unix())
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".AAAA"
	}
	for range lockoutAfter {
		for _, invented := range []string{"nonsense", "a.b.c", token("user_unknown", time.Minute), token("user_1", -time.Minute), serviceToken} {
			require.Equal(t, http.StatusServiceUnavailable, b.get(invented, "/v1/me").status)
		}
	}
	_, found := entries.Lockout()
	require.False(t, found)
	require.Eventually(t, func() bool { // some ask for no more than the mirror may be asked
		require.Equal(t, http.StatusServiceUnavailable, b.get(token("user_1", time.Minute), "/v1/me").status)
		_, found := entries.Lockout()
		return found
	}, 10*time.Second, 50*time.Millisecond)
	b.logs.take()
}
