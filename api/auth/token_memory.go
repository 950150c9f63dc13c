package auth

import (
	"crypto/rsa"
	"crypto/sha256"

	"github.com/callmine/rolecall/internal/bounded"
)

// tokenDigest is the SHA-256 of a token: what is remembered of it, so that memory holds nothing that could be replayed.
type tokenDigest [sha256.Size]byte

// verifiedToken is what verification found out about a token that doesn't change afterwards. What can change, the time
// and whether Clerk still vouches for the key, is asked again at each use.
type verifiedToken struct {
	identity Identity
	keyID    string
	key      *rsa.PublicKey
	validity validity
}

// tokenMemory holds verified tokens. Only tokens with a good signature come in, so nobody can flush it with invented ones.
type tokenMemory = bounded.Map[tokenDigest, *verifiedToken]

// newTokenMemory returns a memory for at most maxTokens tokens, at least two.
func newTokenMemory(maxTokens int) *tokenMemory {
	return bounded.NewMap[tokenDigest, *verifiedToken](maxTokens)
}
