package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkjwt "github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/go-jose/go-jose/v3"
	josejwt "github.com/go-jose/go-jose/v3/jwt"
)

const (
	// tokenLeeway is how far clocks may be apart. Clerk's own SDKs allow five seconds; none at all refuses fresh tokens
	// whenever this machine is a second behind Clerk's.
	tokenLeeway = 5 * time.Second

	// activeSession is the only session status with which a user may act. "pending" is a session with tasks left to do,
	// such as choosing an organization, and the SDK lets its tokens through.
	activeSession = "active"

	// userIDPrefix begins every Clerk user's id. Tokens of machines have other subjects.
	userIDPrefix = "user_"
)

// tokenVerifier tells whose session token it is given, of Clerk's versions 1 and 2.
type tokenVerifier struct {
	issuer  string
	parties []string
	keys    *keyCache
	memory  *tokenMemory
	now     func() time.Time
}

// newTokenVerifier returns a verifier for a valid configuration.
func newTokenVerifier(config AuthenticatorConfig, keys *keyCache) *tokenVerifier {
	return &tokenVerifier{
		issuer:  config.Issuer,
		parties: config.AuthorizedParties,
		keys:    keys,
		memory:  newTokenMemory(config.MaxRememberedTokens),
		now:     config.Now,
	}
}

// identify returns whose token it is. A token that was verified before is only asked what may have changed since: the
// key must still be the one in the key set, and the time must be within its window.
func (v *tokenVerifier) identify(ctx context.Context, token string) (Identity, error) {
	digest := tokenDigest(sha256.Sum256([]byte(token)))
	if known := v.memory.find(digest); known != nil {
		key, err := v.keys.key(ctx, known.key.KeyID)
		switch {
		case errors.Is(err, ErrKeysUnavailable):
			return Identity{}, err
		case err == nil && key == known.key:
			if err := known.window.check(v.now()); err != nil {
				return Identity{}, classify(err)
			}
			return known.identity, nil
		}
		// The key is gone or was replaced under its name: what it had signed counts for nothing any more.
		v.memory.forget(digest)
	}
	verified, err := v.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	v.memory.remember(digest, verified)
	return verified.identity, nil
}

// verify judges a token from nothing.
func (v *tokenVerifier) verify(ctx context.Context, token string) (*verifiedToken, error) {
	keyID, err := signingKeyID(token)
	if err != nil {
		return nil, err
	}
	key, err := v.keys.key(ctx, keyID)
	if err != nil {
		return nil, err
	}
	var session sessionClaims
	claims, err := clerkjwt.Verify(ctx, &clerkjwt.VerifyParams{
		Token:  token,
		JWK:    key,
		Clock:  frozenClock(v.now()),
		Leeway: tokenLeeway,
		CustomClaimsConstructor: func(context.Context) any {
			return &session
		},
		// The SDK's own issuer check accepts any host with ".clerk.accounts" in it, and this is the name of the switch
		// that turns it off. judge compares exactly.
		IsSatellite: true,
	})
	if err != nil {
		return nil, classify(err)
	}
	if err := v.judge(claims, session); err != nil {
		return nil, err
	}
	return &verifiedToken{
		identity: Identity{UserID: claims.Subject, SessionID: claims.SessionID},
		key:      key,
		window: validityWindow{
			notBefore: numericDate(claims.NotBefore),
			expires:   numericDate(claims.Expiry),
			issued:    numericDate(claims.IssuedAt),
		},
	}, nil
}

// sessionClaims are the claims that the SDK doesn't read.
type sessionClaims struct {
	Status string `json:"sts"`
}

// judge applies what the SDK leaves to its caller to claims whose signature and times are good.
func (v *tokenVerifier) judge(claims *clerk.SessionClaims, session sessionClaims) error {
	userID, isUser := strings.CutPrefix(claims.Subject, userIDPrefix)
	switch {
	case claims.Expiry == nil:
		return refuse(AuthReasonNoExpiry)
	case claims.Issuer != v.issuer:
		return refuseBecause(AuthReasonIssuer, fmt.Errorf("iss is %q", claims.Issuer))
	case len(v.parties) > 0 && !slices.Contains(v.parties, claims.AuthorizedParty):
		return refuseBecause(AuthReasonAuthorizedParty, fmt.Errorf("azp is %q", claims.AuthorizedParty))
	case session.Status != "" && session.Status != activeSession:
		return refuseBecause(AuthReasonSessionStatus, fmt.Errorf("sts is %q", session.Status))
	case !isUser || userID == "" || !storable(userID):
		return refuse(AuthReasonSubject)
	default:
		return nil
	}
}

// signingKeyID returns the name of the key that a token says it is signed with, and refuses any token that can't be
// good whatever the key: before a key is looked up, so that such tokens never cause a request. It reads the header
// with the parser that Verify uses, because two parsers might disagree about a crafted header.
func signingKeyID(token string) (string, error) {
	if !canonicalJWS(token) {
		return "", refuse(AuthReasonMalformed)
	}
	parsed, err := josejwt.ParseSigned(token)
	if err != nil || len(parsed.Headers) != 1 {
		return "", refuse(AuthReasonMalformed)
	}
	header := parsed.Headers[0]
	typ, typed := header.ExtraHeaders[jose.HeaderType]
	name, _ := typ.(string)
	switch {
	case header.Algorithm != string(jose.RS256):
		return "", refuse(AuthReasonAlgorithm)
	case typed && !strings.EqualFold(name, "JWT"):
		// Clerk signs OAuth access tokens ("at+jwt") for third parties with the same key and the same issuer.
		return "", refuse(AuthReasonType)
	case header.KeyID == "":
		return "", refuse(AuthReasonUnknownKey)
	default:
		return header.KeyID, nil
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

// classify turns an error of the SDK or of a validityWindow into a refusal. The SDK is never asked to fetch anything, so
// each of its errors is about the token.
func classify(err error) error {
	switch {
	case errors.Is(err, josejwt.ErrExpired):
		return refuse(AuthReasonExpired)
	case errors.Is(err, josejwt.ErrNotValidYet):
		return refuse(AuthReasonNotYetValid)
	case errors.Is(err, josejwt.ErrIssuedInTheFuture):
		return refuse(AuthReasonIssuedInFuture)
	case errors.Is(err, jose.ErrCryptoFailure):
		return refuse(AuthReasonSignature)
	default:
		return refuseBecause(AuthReasonMalformed, err)
	}
}

// numericDate returns the time of a claim in seconds since 1970, or the zero time for an absent one.
func numericDate(seconds *int64) time.Time {
	if seconds == nil {
		return time.Time{}
	}
	return time.Unix(*seconds, 0)
}

// frozenClock is the SDK's clock, stopped at the moment by which a token is judged.
type frozenClock time.Time

// Now returns that moment.
func (c frozenClock) Now() time.Time { return time.Time(c) }
