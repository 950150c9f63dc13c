package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	clerksync "github.com/callmine/rolecall/sync"
)

// tokenVerifier identifies users by session tokens, of Clerk's versions 1 and 2.
type tokenVerifier struct {
	issuer    string
	parties   []string
	templates bool // also admit tokens that aren't of a session
	keys      *keyCache
	memory    *tokenMemory
	now       func() time.Time
}

// newTokenVerifier returns a verifier for a valid configuration.
func newTokenVerifier(config Config, keys *keyCache) *tokenVerifier {
	return &tokenVerifier{
		issuer:    config.Issuer,
		parties:   config.AuthorizedParties,
		templates: config.AcceptTemplateTokens,
		keys:      keys,
		memory:    newTokenMemory(config.MaxRememberedTokens),
		now:       config.Now,
	}
}

// identify returns the user of a token. It doesn't verify a remembered token again. Only two things
// may have changed: the key must still be in the key set, and the time within the token's times.
func (v *tokenVerifier) identify(ctx context.Context, token string) (Identity, error) {
	digest := tokenDigest(sha256.Sum256([]byte(token)))
	if known := v.memory.Find(digest); known != nil {
		key, err := v.keys.key(ctx, known.keyID)
		switch {
		case errors.Is(err, ErrKeysUnavailable):
			return Identity{}, err
		case err == nil && key == known.key:
			if err := known.validity.check(v.now()); err != nil {
				return Identity{}, err
			}
			return known.identity, nil
		}
		// The key was removed, or replaced under its name: its tokens don't count any more.
		v.memory.Delete(digest)
	}
	verified, err := v.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	v.memory.Put(digest, verified)
	return verified.identity, nil
}

// verify checks a token that isn't remembered.
func (v *tokenVerifier) verify(ctx context.Context, token string) (*verifiedToken, error) {
	signed, keyID, err := parseToken(token)
	if err != nil {
		return nil, err
	}
	key, err := v.keys.key(ctx, keyID)
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, refuse(ReasonSignature)
	}
	claims, err := readClaims(payload)
	if err != nil {
		return nil, err
	}
	times := claims.validity(v.maxLife(claims))
	if err := times.check(v.now()); err != nil {
		return nil, err
	}
	if err := v.judge(claims); err != nil {
		return nil, err
	}
	actor, err := claims.actor()
	if err != nil {
		return nil, err
	}
	identity := Identity{
		UserID: claims.Subject, SessionID: claims.session(), ActiveOrganization: claims.activeOrganization(),
		Impersonator: actor.Subject, ImpersonatorSession: actor.SessionID,
	}
	return &verifiedToken{identity: identity, keyID: keyID, key: key, validity: times}, nil
}

// maxLife returns the longest life that a token may have; 0 for no limit. The author of a template
// chose the life of its tokens. But the end of a session isn't remembered for ever, so a token
// that names one, or an impersonator, may live no longer than a session's own.
func (v *tokenVerifier) maxLife(c sessionClaims) time.Duration {
	if v.templates && c.session() == "" && !c.impersonates() {
		return 0
	}
	return maxTokenLife
}

// judge checks claims whose signature and times are good. It checks the kind of token first, then
// its instance and application, then its user.
func (v *tokenVerifier) judge(c sessionClaims) error {
	if err := v.judgeKind(c); err != nil {
		return err
	}
	switch {
	case c.Issuer != v.issuer:
		return refuseBecause(ReasonIssuer, fmt.Errorf("iss is %q", c.Issuer))
	case len(v.parties) > 0 && !slices.Contains(v.parties, c.AuthorizedParty):
		return refuseBecause(ReasonAuthorizedParty, fmt.Errorf("azp is %q", c.AuthorizedParty))
	case c.Status != "" && c.Status != activeSession:
		return refuseBecause(ReasonSessionStatus, fmt.Errorf("sts is %q", c.Status))
	case !hasID(clerksync.UserPrefix, c.Subject): // a machine's token has another subject
		return refuse(ReasonSubject)
	default:
		return nil
	}
}

// judgeKind refuses tokens that the instance signed for another purpose than a session. They name
// the same issuer and users, and third parties hold them by design. A customized session token may
// have a claim of OAuth clients' tokens. So a token with such a claim counts as a client's only if
// it also has an audience, or lacks a session.
func (v *tokenVerifier) judgeKind(c sessionClaims) error {
	isSession := c.session() != ""
	hasAudience := c.Audience != nil && c.Audience.Kind() != 'n' // null counts as absent
	switch {
	case (!isSession || hasAudience) && c.ofClient():
		return refuse(ReasonPurpose)
	case v.templates:
		return nil
	case hasAudience:
		return refuse(ReasonAudience)
	case !isSession:
		return refuse(ReasonSession)
	default:
		return nil
	}
}

// parseToken returns a token and the name of its key. It refuses tokens that no key can verify
// before a key is looked up, so that they cause no request. The token is parsed only once, because
// two parsers might disagree about a crafted header.
func parseToken(token string) (*jose.JSONWebSignature, string, error) {
	if !canonicalJWS(token) {
		return nil, "", refuse(ReasonMalformed)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if _, otherwise := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); otherwise {
		return nil, "", refuse(ReasonAlgorithm)
	}
	if err != nil {
		return nil, "", refuse(ReasonMalformed)
	}
	header := parsed.Signatures[0].Protected
	typ, typed := header.ExtraHeaders[jose.HeaderType]
	name, _ := typ.(string)
	switch {
	case typed && !strings.EqualFold(name, "JWT"):
		// Clerk signs OAuth access tokens ("at+jwt") for third parties with the same key and the
		// same issuer.
		return nil, "", refuse(ReasonType)
	case header.KeyID == "":
		return nil, "", refuse(ReasonUnknownKey)
	default:
		return parsed, header.KeyID, nil
	}
}

// canonicalJWS reports whether a token is three parts in canonical base64url. The libraries ignore
// stray bits at the end of a part. So one good token could be written in many ways, each with a
// place in memory.
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
