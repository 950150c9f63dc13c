package auth

import (
	"crypto/rsa"
	"crypto/sha256"

	"github.com/callmine/rolecall/internal/bounded"
)

// tokenDigest is the SHA-256 of a token. Memory holds it instead of the token, so that nothing in
// it could be replayed.
type tokenDigest [sha256.Size]byte

// verifiedToken is the lasting result of a token's verification. The time, and whether Clerk still
// publishes the key, are checked again at each use.
type verifiedToken struct {
	identity Identity
	keyID    string
	key      *rsa.PublicKey
	validity validity
}

// tokenMemory holds verified tokens. Only tokens with a good signature come in: invented ones can't
// flush it.
type tokenMemory = bounded.Map[tokenDigest, *verifiedToken]

// newTokenMemory returns a memory for at most maxTokens tokens, at least two.
func newTokenMemory(maxTokens int) *tokenMemory {
	return bounded.NewMap[tokenDigest, *verifiedToken](maxTokens)
}
