package auth

import (
	"crypto/sha256"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/callmine/rolecall/internal/bounded"
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

// validityWindow are a token's three times. An absent nbf or iat is zero and never refuses.
type validityWindow struct {
	notBefore, expires, issued time.Time

	maxLife time.Duration // from issued to expires; 0 for no limit
}

// check judges the times as they are now: a remembered token gets the verdict that verifying it anew would give, also
// when the clock was set back. Without iat, a token's life begins now.
func (w validityWindow) check(now time.Time) error {
	born := w.issued
	if born.IsZero() {
		born = now
	}
	switch {
	case w.expires.IsZero():
		return refuse(ReasonNoExpiry)
	case now.Add(tokenLeeway).Before(w.notBefore):
		return refuse(ReasonNotYetValid)
	case now.Add(-tokenLeeway).After(w.expires):
		return refuse(ReasonExpired)
	case now.Add(tokenLeeway).Before(w.issued):
		return refuse(ReasonIssuedInFuture)
	case w.maxLife > 0 && w.expires.Sub(born) > w.maxLife:
		return refuse(ReasonLifetime)
	default:
		return nil
	}
}

// tokenMemory holds verified tokens. Only tokens with a good signature come in, so nobody can flush it with invented ones.
type tokenMemory = bounded.Map[tokenDigest, *verifiedToken]

// newTokenMemory returns a memory for at most maxTokens tokens, at least two.
func newTokenMemory(maxTokens int) *tokenMemory {
	return bounded.NewMap[tokenDigest, *verifiedToken](maxTokens)
}
