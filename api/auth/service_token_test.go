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
		"no rights":      {"a:" + good + "/", `"a": after the hash may follow /scopes`},
		"other rights":   {"a:" + good + "/scope=read", `"a": after the hash may follow /scopes`},
		"scopes twice":   {"a:" + good + "/scopes=read/scopes=authorize", `"a": after the hash may follow /scopes=… and /workspaces=…, each once`},
		"ids twice":      {"a:" + good + "/workspaces=org_1/workspaces=org_2", "each once"},
		"no list":        {"a:" + good + "/scopes", `"a": scope 1 is none`},
		"a bare scope":   {"a:" + good + ":read", `"a": the hash must be 64`},
		"empty scopes":   {"a:" + good + "/scopes=", `"a": scope 1 is none of authorize, read, commands and audit:append`},
		"strange scope":  {"a:" + good + "/scopes=read+" + secret, `"a": scope 2 is none`},
		"scope in caps":  {"a:" + good + "/scopes=Read", `"a": scope 1 is none`},
		"repeated scope": {"a:" + good + "/scopes=read+authorize+read", `"a": scope 3 is given twice`},
		"no workspaces":  {"a:" + good + "/workspaces=", `"a": workspace 1 is not the id`},
		"no id":          {"a:" + good + "/workspaces=org_1+" + secret, `"a": workspace 2 is not the id of a workspace (org_…)`},
		"repeated id":    {"a:" + good + "/workspaces=org_1+org_1", `"a": workspace 2 is given twice`},
		"its position":   {"a:" + good + ",b:" + other + "/scopes=x", `hash 2: "b": scope 1`},
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

func TestParseServiceTokens_ReadsRights(t *testing.T) {
	t.Parallel()
	hash := ":" + strings.Repeat("ab", sha256.Size)
	for entry, want := range map[string]*Rights{
		"a" + hash: nil,
		"a" + hash + "/scopes=authorize+read+commands+audit:append": {Scopes: Scopes()},
		"a" + hash + "/workspaces=org_1":                            {Workspaces: []string{"org_1"}},
		"a" + hash + "/workspaces=org_2+org_1/scopes=read":          {Scopes: []Scope{ScopeRead}, Workspaces: []string{"org_2", "org_1"}},
	} {
		tokens, err := ParseServiceTokens(entry)
		require.NoError(t, err, entry)
		require.Equal(t, want, tokens[0].Rights, entry)
	}
}

// TestServiceToken_HasTheRightsOfItsEntry: also if the service has another token with other rights.
func TestServiceToken_HasTheRightsOfItsEntry(t *testing.T) {
	t.Parallel()
	oldToken, oldHash := mintServiceToken(t)
	newToken, newHash := mintServiceToken(t)
	services, err := ParseServiceTokens("jobs:" + oldHash + ",jobs:" + newHash + "/scopes=read/workspaces=org_1")
	require.NoError(t, err)
	b := setupAuth(t, func(c *Config) { c.ServiceTokens = services })
	for token, want := range map[string]*Rights{oldToken: nil, newToken: {Scopes: []Scope{ScopeRead}, Workspaces: []string{"org_1"}}} {
		identity, err := b.identify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, Identity{Service: "jobs", Rights: want}, identity)
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	for _, unscoped := range []*Rights{nil, {}, {Workspaces: []string{"org_1"}}} {
		for _, scope := range Scopes() {
			require.True(t, unscoped.Has(scope), "an entry without scopes means what it meant before there were scopes")
		}
		require.False(t, unscoped.ReadsInOwnName(), "which nothing could do before")
	}
	reads := &Rights{Scopes: []Scope{ScopeRead, ScopeAuditAppend}}
	require.True(t, reads.Has(ScopeRead) && reads.Has(ScopeAuditAppend) && reads.ReadsInOwnName())
	require.False(t, reads.Has(ScopeAuthorize) || reads.Has(ScopeCommands))
	require.False(t, (&Rights{Scopes: []Scope{ScopeCommands}}).ReadsInOwnName())
	for _, all := range []*Rights{nil, {}, reads} {
		require.True(t, all.Everywhere() && all.In("org_1") && all.In(""))
	}
	one := &Rights{Workspaces: []string{"org_1"}}
	require.True(t, one.In("org_1"))
	require.False(t, one.Everywhere() || one.In("org_2") || one.In("org_") || one.In(""))
}

func TestNewServiceToken(t *testing.T) {
	t.Parallel()
	token, hash, err := NewServiceToken(bytes.NewReader(make([]byte, 32)))
	require.NoError(t, err)
	require.Equal(t, "rcs_"+strings.Repeat("A", 43), token)
	digest := sha256.Sum256([]byte(token))
	require.Equal(t, hex.EncodeToString(digest[:]), hash, "what sha256sum prints for the token")

	_, _, err = NewServiceToken(bytes.NewReader(make([]byte, 31)))
	require.ErrorContains(t, err, "read randomness for a token")
}

func mintServiceToken(t *testing.T) (token, hash string) {
	t.Helper()
	token, hash, err := NewServiceToken(rand.Reader)
	require.NoError(t, err)
	return token, hash
}
