package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v3"
)

// tokenLeeway is how far clocks may be apart. Clerk's own SDKs allow five seconds; none at all refuses fresh tokens
// whenever this machine is a second behind Clerk's.
const tokenLeeway = 5 * time.Second

// tokenVerifier tells whose session token it is given, of Clerk's versions 1 and 2.
type tokenVerifier struct {
	issuer    string
	parties   []string
	templates bool          // also tokens that aren't of a session
	maxLife   time.Duration // 0 for no limit
	keys      *keyCache
	memory    *tokenMemory
	now       func() time.Time
}

// newTokenVerifier returns a verifier for a valid configuration.
func newTokenVerifier(config Config, keys *keyCache) *tokenVerifier {
	maxLife := maxTokenLife
	if config.AcceptTemplateTokens { // whoever wrote the template chose its lifetime
		maxLife = 0
	}
	return &tokenVerifier{
		issuer:    config.Issuer,
		parties:   config.AuthorizedParties,
		templates: config.AcceptTemplateTokens,
		maxLife:   maxLife,
		keys:      keys,
		memory:    newTokenMemory(config.MaxRememberedTokens),
		now:       config.Now,
	}
}

// identify returns whose token it is. A token that was verified before is only asked what may have changed since: the
// key must still be the one in the key set, and the time must be within its window.
func (v *tokenVerifier) identify(ctx context.Context, token string) (Identity, error) {
	digest := tokenDigest(sha256.Sum256([]byte(token)))
	if known := v.memory.Find(digest); known != nil {
		key, err := v.keys.key(ctx, known.key.KeyID)
		switch {
		case errors.Is(err, ErrKeysUnavailable):
			return Identity{}, err
		case err == nil && key == known.key:
			if err := known.window.check(v.now()); err != nil {
				return Identity{}, err
			}
			return known.identity, nil
		}
		// The key is gone or was replaced under its name: what it had signed counts for nothing any more.
		v.memory.Delete(digest)
	}
	verified, err := v.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	v.memory.Put(digest, verified)
	return verified.identity, nil
}

// verify judges a token from nothing.
func (v *tokenVerifier) verify(ctx context.Context, token string) (*verifiedToken, error) {
	signed, keyID, err := parseToken(token)
	if err != nil {
		return nil, err
	}
	key, err := v.keys.key(ctx, keyID)
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(key.Key)
	if err != nil {
		return nil, refuse(ReasonSignature)
	}
	claims, err := readClaims(payload)
	if err != nil {
		return nil, err
	}
	window := claims.window(v.maxLife)
	if err := window.check(v.now()); err != nil {
		return nil, err
	}
	if err := v.judge(claims); err != nil {
		return nil, err
	}
	return &verifiedToken{identity: Identity{UserID: claims.Subject, SessionID: claims.SessionID}, key: key, window: window}, nil
}

// parseToken returns a token and the name of the key that it says it is signed with. It refuses any token that can't be
// good whatever the key: before a key is looked up, so that such tokens never cause a request. The token is parsed once,
// because two parsers might disagree about a crafted header.
func parseToken(token string) (*jose.JSONWebSignature, string, error) {
	if !canonicalJWS(token) {
		return nil, "", refuse(ReasonMalformed)
	}
	parsed, err := jose.ParseSigned(token)
	if err != nil || len(parsed.Signatures) != 1 {
		return nil, "", refuse(ReasonMalformed)
	}
	header := parsed.Signatures[0].Header
	typ, typed := header.ExtraHeaders[jose.HeaderType]
	name, _ := typ.(string)
	switch {
	case header.Algorithm != string(jose.RS256):
		return nil, "", refuse(ReasonAlgorithm)
	case typed && !strings.EqualFold(name, "JWT"):
		// Clerk signs OAuth access tokens ("at+jwt") for third parties with the same key and the same issuer.
		return nil, "", refuse(ReasonType)
	case header.KeyID == "":
		return nil, "", refuse(ReasonUnknownKey)
	default:
		return parsed, header.KeyID, nil
	}
}

// canonicalJWS reports whether a token is three parts in base64url's one canonical encoding. The libraries below ignore
// padding and stray bits at the end of a part, by which one good token could be written in many ways, each of which
// would take a place in memory.
func canonicalJWS(token string) bool {
	if strings.Count(token, ".") != 2 {
		return false
	}
	strict := base64.RawURLEncoding.Strict()
	for part := range strings.SplitSeq(token, ".") {
		if _, err := strict.DecodeString(part); err != nil {
			return false
		}
	}
	return true
}
