package api

import (
	"crypto/sha256"
	"sync"
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

// tokenMemory holds up to max verified tokens in two generations: when the young one is full it becomes the old one, and
// the old one is forgotten. A token that is found in the old one moves to the young one. That keeps the tokens in use
// like an LRU list would, without a list to lock at every hit. Only tokens with a good signature come in, so nobody
// can flush it with invented ones.
type tokenMemory struct {
	generation int // capacity of one generation

	mu         sync.RWMutex
	young, old map[tokenDigest]*verifiedToken
}

// newTokenMemory returns a memory for at most maxTokens tokens, at least two.
func newTokenMemory(maxTokens int) *tokenMemory {
	return &tokenMemory{generation: maxTokens / 2, young: map[tokenDigest]*verifiedToken{}}
}

// find returns the token, or nil if it isn't remembered.
func (m *tokenMemory) find(digest tokenDigest) *verifiedToken {
	m.mu.RLock()
	token, aged := m.young[digest], m.old[digest]
	m.mu.RUnlock()
	if token == nil && aged != nil {
		m.remember(digest, aged)
		return aged
	}
	return token
}

// remember adds or replaces a token.
func (m *tokenMemory) remember(digest tokenDigest, token *verifiedToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young) >= m.generation {
		m.old, m.young = m.young, make(map[tokenDigest]*verifiedToken)
	}
	m.young[digest] = token
}

// forget drops a token that no longer counts.
func (m *tokenMemory) forget(digest tokenDigest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, digest)
	delete(m.old, digest)
}

// size returns the number of tokens held, at most the maximum.
func (m *tokenMemory) size() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.young) + len(m.old)
}
