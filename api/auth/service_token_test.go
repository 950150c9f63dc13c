package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServiceToken_IdentifiesItsService(t *testing.T) {
	t.Parallel()
	oldToken, oldHash := mintServiceToken(t)
	newToken, newHash := mintServiceToken(t)
	jobsToken, jobsHash := mintServiceToken(t)
	strange, _ := mintServiceToken(t)
	services, err := ParseServiceTokens("billing:" + oldHash + ", billing:" + newHash + ",jobs-2:" + strings.ToUpper(jobsHash))
	require.NoError(t, err)
	b := setupAuth(t, func(c *Config) { c.ServiceTokens = services })

	for token, want := range map[string]string{oldToken: "billing", newToken: "billing", jobsToken: "jobs-2"} {
		identity, err := b.identify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, Identity{Service: want}, identity)
	}
	for name, token := range map[string]string{
		"unknown":             strange,
		"prefix only":         "rcs_",
		"cut":                 oldToken[:len(oldToken)-1],
		"extended":            oldToken + "A",
		"its hash":            "rcs_" + oldHash,
		"token inside prefix": "rcs_" + oldToken,
	} {
		_, err := b.identify(t.Context(), token)
		requireReason(t, ReasonServiceToken, err)
		require.NotEmpty(t, name)
	}
	_, err = b.identify(t.Context(), strings.TrimPrefix(oldToken, "rcs_"))
	requireReason(t, ReasonMalformed, err)
	require.Zero(t, b.jwks.count(), "services don't need Clerk's keys")
}

func TestServiceToken_IsRefusedIfNoneIsConfigured(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token, _ := mintServiceToken(t)
	_, err := b.identify(t.Context(), token)
	requireReason(t, ReasonServiceToken, err)
}

func TestParseServiceTokens_RefusesBadLists(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("ab", sha256.Size)
	other := strings.Repeat("cd", sha256.Size)
	const secret = "rcs_SECRETSECRET"
	cases := map[string]struct{ list, want string }{
		"no colon":       {secret, "hash 1: the entry must be name:hexsha256"},
		"second bad":     {"a:" + good + "," + secret, "hash 2: the entry must be"},
		"empty entry":    {"a:" + good + ",,b:" + other, "hash 2: the entry is empty"},
		"trailing comma": {"a:" + good + ",", "hash 2: the entry is empty"},
		"no name":        {":" + good, "hash 1: the name must be"},
		"upper case":     {"Billing:" + good, "hash 1: the name must be"},
		"underscore":     {"rcs_x:" + good, "hash 1: the name must be"},
		"long name":      {strings.Repeat("a", 65) + ":" + good, "hash 1: the name must be"},
		"token as name":  {secret + ":" + good, "hash 1: the name must be"},
		"the token":      {"a:" + secret, `hash 1: "a": the hash must be 64 hexadecimal digits, but it has 16`},
		"short hash":     {"a:" + good[2:], `"a": the hash must be 64`},
		"long hash":      {"a:" + good + "00", `"a": the hash must be 64`},
		"not hex":        {"a:" + good[1:] + "z", `"a": the hash has a character`},
		"second colon":   {"a:b:" + good[2:], `"a": the hash has a character`},
		"repeated entry": {"a:" + good + ",a:" + good, `hash 2 ("a") repeats the hash of entry 1 ("a")`},
		"shared hash":    {"a:" + good + ",b:" + strings.ToUpper(good), `hash 2 ("b") repeats the hash of entry 1 ("a")`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, err := ParseServiceTokens(c.list)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "SECRET")
			require.NotContains(t, err.Error(), good[:8])
			require.NotContains(t, err.Error(), "'z'")
			require.Nil(t, tokens)
		})
	}
}

func TestParseServiceTokens(t *testing.T) {
	t.Parallel()
	for _, blank := range []string{"", " \n"} {
		tokens, err := ParseServiceTokens(blank)
		require.NoError(t, err)
		require.Empty(t, tokens)
	}
	longest := strings.Repeat("a", 64)
	digest := sha256.Sum256([]byte("x"))
	tokens, err := ParseServiceTokens(" " + longest + ":" + hex.EncodeToString(digest[:]) + "\n")
	require.NoError(t, err)
	require.Equal(t, []ServiceToken{{Name: longest, SHA256: digest}}, tokens)
}

func TestNewServiceToken(t *testing.T) {
	t.Parallel()
	token, hash, err := NewServiceToken(bytes.NewReader(make([]byte, 32)))
	require.NoError(t, err)
	require.Equal(t, "rcs_"+strings.Repeat("A", 43), token)
	digest := sha256.Sum256([]byte(token))
	require.Equal(t, hex.EncodeToString(digest[:]), hash, "what sha256sum prints for the token")

	_, _, err = NewServiceToken(bytes.NewReader(make([]byte, 31)))
	require.ErrorContains(t, err, "read randomness for a service token")
}

func mintServiceToken(t *testing.T) (token, hash string) {
	t.Helper()
	token, hash, err := NewServiceToken(rand.Reader)
	require.NoError(t, err)
	return token, hash
}
