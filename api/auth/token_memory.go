package auth

import (
	"crypto/rsa"
	"crypto/sha256"

	"github.com/callmine/rolecall/internal/bounded"
)

// tokenDigest is the SHA-256 of a token. The memory holds it instead of the token, so that its
// content can't be replayed.
type tokenDigest [sha256.Size]byte

// verifiedToken is the lasting result of a token's verification. Each use checks the time, and
// whether Clerk still publishes the key.
type verifiedToken struct {
	identity Identity
	keyID    string
	key      *rsa.PublicKey
	validity validity
}

// tokenMemory holds verified tokens. Only tokens with a good signature are added, so that invented
// ones can't flush it.
type tokenMemory = bounded.Map[tokenDigest, *verifiedToken]

// newTokenMemory returns a memory for at most maxTokens tokens, at least two.
func newTokenMemory(maxTokens int) *tokenMemory {
	return bounded.NewMap[tokenDigest, *verifiedToken](maxTokens)
}
