package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
)

// operatorToken makes a token of one letter, and its hash.
func operatorToken(letter string) (token, hash string) {
	token = "rco_" + strings.Repeat(letter, auth.MinOperatorToken)
	sum := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(sum[:])
}

// TestOperatorTokens_AreParsedAndFound: a token is found by its entry, and no other.
func TestOperatorTokens_AreParsedAndFound(t *testing.T) {
	t.Parallel()
	ada, adaHash := operatorToken("a")
	bob, bobHash := operatorToken("b")
	operators, err := auth.ParseOperatorTokens(" ada:" + adaHash + ", bob:" + strings.ToUpper(bobHash) + " ")
	require.NoError(t, err)
	for token, name := range map[string]string{ada: "ada", bob: "bob"} {
		found, ok := operators.Identify(token)
		require.True(t, ok)
		require.Equal(t, name, found.Name)
	}
	for _, wrong := range []string{"", ada + "x", strings.TrimPrefix(ada, "rco_"), adaHash} {
		_, ok := operators.Identify(wrong)
		require.False(t, ok, wrong)
	}
	none, err := auth.ParseOperatorTokens(" ")
	require.NoError(t, err)
	require.Empty(t, none)
	_, ok := none.Identify(ada)
	require.False(t, ok)
}

// TestOperatorTokens_ShortOnesAreNone: a token that could be guessed has no entry, although its
// hash is configured.
func TestOperatorTokens_ShortOnesAreNone(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]bool{
		"rco_opensesame": false, "rco_" + strings.Repeat("x", 42): false, strings.Repeat("x", 60): false, "rco_" + strings.Repeat("x", 43): true,
	} {
		sum := sha256.Sum256([]byte(token))
		operators, err := auth.ParseOperatorTokens("ada:" + hex.EncodeToString(sum[:]))
		require.NoError(t, err)
		_, ok := operators.Identify(token)
		require.Equal(t, want, ok, token)
	}
}

// TestParseOperatorTokens_SaysWhatIsWrong: and never prints what could be a token.
func TestParseOperatorTokens_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	one, other := strings.Repeat("a1", 32), strings.Repeat("b2", 32)
	for list, want := range map[string]string{
		"ada:" + one + ",":                "hash 2: the entry is empty",
		"rco_opensesame":                  "hash 1: the entry must be name:hexsha256",
		"Ada:" + one:                      "hash 1: the name must be",
		"ada:opensesame":                  `hash 1: "ada": the hash must be 64 hexadecimal digits`,
		"ada:" + strings.Repeat("zz", 32): `hash 1: "ada": the hash has a character`,
		"ada:" + one + ",ada:" + other:    `hash 2: the name "ada" is that of entry 1`,
		"ada:" + one + ",bob:" + one:      `hash 2: "bob" has the hash of entry 1`,
		"ada:" + one + "/scopes=read":     `hash 1: "ada": the hash must be 64`,
	} {
		_, err := auth.ParseOperatorTokens(list)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "opensesame")
	}
}
