package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
)

// keylessAuthenticator has no signing keys.
type keylessAuthenticator struct{}

func (keylessAuthenticator) Authenticate(context.Context, *http.Request) (auth.Identity, error) {
	return auth.Identity{}, fmt.Errorf("fetch keys: %w", auth.ErrKeysUnavailable)
}

// TestEntries_WithoutKeysOnlyKnownUsersCount: without keys, any caller can send tokens that can't
// be judged.
func TestEntries_WithoutKeysOnlyKnownUsersCount(t *testing.T) {
	t.Parallel()
	entries := auth.NewEntries(nil)
	b := setupServer(t, func(c *Config) { c.Authenticator, c.Entries = keylessAuthenticator{}, entries })
	b.world.member("org_1", "user_1", "org:admin", nil)
	token := func(user string, lives time.Duration) string {
		claims := fmt.Sprintf(`{"sub":%q,"exp":%d}`, user, time.Now().Add(lives).Unix())
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".AAAA"
	}
	for range 5 { // enough for a lockout
		for _, invented := range []string{"nonsense", "a.b.c", token("user_unknown", time.Minute), token("user_1", -time.Minute), serviceToken} {
			require.Equal(t, http.StatusServiceUnavailable, b.get(invented, "/v1/me").status)
		}
	}
	_, found := entries.Lockout()
	require.False(t, found)
	require.Eventually(t, func() bool { // the mirror is asked at most every 200 ms
		require.Equal(t, http.StatusServiceUnavailable, b.get(token("user_1", time.Minute), "/v1/me").status)
		_, found := entries.Lockout()
		return found
	}, 10*time.Second, 50*time.Millisecond)
	b.logs.take()
}
