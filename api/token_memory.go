package api

import (
	"crypto/sha256"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	josejwt "github.com/go-jose/go-jose/v3/jwt"
)

// tokenDigest is the SHA-256 of a token: what is remembered of it, so that memory holds nothing that could be replayed.
type tokenDigest [sha256.Size]byte

// verifiedToken is what verification found out about a token that doesn't change afterwards. What can change, the time
// and whether Clerk still vouches for the key, is asked again at each use.
type verifiedToken struct {
	identity Identity
	key      *clerk.JSONWebKey
	window   validityWindow
}

// validityWindow are a token's three times. Absent ones are zero and never refuse.
type validityWindow struct {
	notBefore, expires, issued time.Time
}

// check repeats the comparisons of go-jose's ValidateWithLeeway, in its order and with its errors, so that a remembered
// token gets the verdict that verifying it anew would give: also when the clock was set back.
func (w validityWindow) check(now time.Time) error {
	switch {
	case now.Add(tokenLeeway).Before(w.notBefore):
		return josejwt.ErrNotValidYet
	case now.Add(-tokenLeeway).After(w.expires):
		return josejwt.ErrExpired
	case now.Add(tokenLeeway).Before(w.issued):
		return josejwt.ErrIssuedInTheFuture
	default:
		return nil
	}
}

// tokenMemory holds verified tokens. Only tokens with a good signature come in, so nobody can flush it with invented ones.
type tokenMemory = generations[tokenDigest, *verifiedToken]

// newTokenMemory returns a memory for at most maxTokens tokens, at least two.
func newTokenMemory(maxTokens int) *tokenMemory {
	return newGenerations[tokenDigest, *verifiedToken](maxTokens)
}
