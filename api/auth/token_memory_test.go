package auth

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func digestOf(i int) (d tokenDigest) {
	binary.BigEndian.PutUint64(d[:], uint64(i))
	return d
}

func TestTokenMemory_IsBounded(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *Config) { c.MaxRememberedTokens = 4 })
	for i := range 10 {
		requireVerdict(t, b, b.token(t, map[string]any{"sid": fmt.Sprintf("sess_%d", i)}), "")
		require.LessOrEqual(t, b.users.memory.Len(), 4)
	}
	require.GreaterOrEqual(t, b.users.memory.Len(), 2)
}

func TestTokenMemory_ForgetsRefusedTokens(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	requireVerdict(t, b, b.token(t, map[string]any{"sts": "pending"}), ReasonSessionStatus)
	requireVerdict(t, b, b.token(t, map[string]any{"exp": 1}), ReasonExpired)
	require.Zero(t, b.users.memory.Len())
}

func TestTokenMemory_TokenExpiresOnTime(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	made := b.clock.Now()
	token := b.token(t, nil)
	requireVerdict(t, b, token, "")
	require.Equal(t, 1, b.users.memory.Len())

	b.clock.set(made.Add(time.Minute + tokenLeeway))
	requireVerdict(t, b, token, "")
	b.clock.advance(time.Nanosecond)
	requireVerdict(t, b, token, ReasonExpired)
	b.clock.set(made.Add(-tokenLeeway))
	requireVerdict(t, b, token, "")
	b.clock.advance(-time.Nanosecond)
	requireVerdict(t, b, token, ReasonIssuedInFuture)
	b.clock.set(made.Add(-10*time.Second - tokenLeeway - time.Nanosecond))
	requireVerdict(t, b, token, ReasonNotYetValid)
}

// The law of the memory: at any time, a verifier that remembers a token gives the same verdict as
// one that has never seen it.
func TestTokenMemory_VerdictIsThatOfAFreshToken(t *testing.T) {
	t.Parallel()
	remembering := setupAuth(t, nil)
	start := remembering.clock.Now()
	fresh := setupAuth(t, nil)
	rapid.Check(t, func(rt *rapid.T) {
		seconds := rapid.Int64Range(-20, 20)
		claim := func(name string) any {
			if rapid.Bool().Draw(rt, name+" present") {
				return start.Unix() + seconds.Draw(rt, name)
			}
			return nil
		}
		token := firstSigner().sign(t, with(claimsAt(start), map[string]any{
			"nbf": claim("nbf"), "iat": claim("iat"), "exp": start.Unix() + seconds.Draw(rt, "exp"),
		}))
		for range rapid.IntRange(1, 8).Draw(rt, "questions") {
			now := start.Add(time.Duration(rapid.Int64Range(-60, 60).Draw(rt, "half seconds")) * time.Second / 2)
			remembering.clock.set(now)
			fresh.clock.set(now)
			fresh.users.memory = newTokenMemory(2)
			said, saidErr := remembering.identify(t.Context(), token)
			want, wantErr := fresh.identify(t.Context(), token)
			require.Equal(rt, want, said)
			require.Equal(rt, wantErr, saidErr)
		}
	})
}

func TestTokenMemory_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *Config) { c.MaxRememberedTokens = 4 })
	var tokens [6]string
	for i := range tokens {
		tokens[i] = b.token(t, map[string]any{"sub": fmt.Sprintf("user_%d", i)})
	}
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := range 50 {
				user := (i + caller) % len(tokens)
				identity, err := b.identify(t.Context(), tokens[user])
				if err != nil || identity.UserID != fmt.Sprintf("user_%d", user) {
					t.Errorf("token of user_%d gave %+v, %v", user, identity, err)
				}
			}
		})
	}
	callers.Wait()
	require.Equal(t, 1, b.jwks.count())
}
