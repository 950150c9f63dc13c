package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	josejwt "github.com/go-jose/go-jose/v3/jwt"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// userIDPrefix begins every Clerk user's id. Tokens of machines have other subjects.
	userIDPrefix = "user_"

	// sessionIDPrefix begins every Clerk session's id. Only session tokens name a session.
	sessionIDPrefix = "sess_"

	// activeSession is the only session status with which a user may act. "pending" is a session with tasks left to do,
	// such as choosing an organization.
	activeSession = "active"

	// maxTokenLife bounds the time from iat to exp. Clerk's session tokens live for 60 s, and its API makes longer ones
	// on request, up to ten years. Rolecall doesn't see the end of a session, so a token must not outlive it by far.
	maxTokenLife = 24 * time.Hour
)

// sessionClaims are the claims that decide. Their names are compared exactly, and a name that comes twice, at any depth,
// makes the token malformed: encoding/json would take "SUB" for "sub", and the last of several.
type sessionClaims struct {
	Issuer          string               `json:"iss"`
	Subject         string               `json:"sub"`
	SessionID       string               `json:"sid"`
	AuthorizedParty string               `json:"azp"`
	Status          string               `json:"sts"`
	Expiry          *josejwt.NumericDate `json:"exp"`
	NotBefore       *josejwt.NumericDate `json:"nbf"`
	IssuedAt        *josejwt.NumericDate `json:"iat"`

	// Clerk's own session tokens have none of these. They are looked for, not read.
	Audience    jsontext.Value `json:"aud"`
	Nonce       jsontext.Value `json:"nonce"`
	AccessHash  jsontext.Value `json:"at_hash"`
	CodeHash    jsontext.Value `json:"c_hash"`
	OAuthClient jsontext.Value `json:"client_id"`
}

// readClaims reads the payload of a token with a good signature.
func readClaims(payload []byte) (sessionClaims, error) {
	var claims sessionClaims
	if err := json.Unmarshal(payload, &claims); err != nil {
		// Not wrapped: the error may quote a claim.
		return sessionClaims{}, refuseBecause(ReasonMalformed, errors.New("its claims aren't one JSON object of the expected types, each name once"))
	}
	return claims, nil
}

// peek reads the claims of a token without verifying anything: for operators, never for a decision.
func peek(token string) sessionClaims {
	_, rest, _ := strings.Cut(token, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return sessionClaims{}
	}
	claims, _ := readClaims(payload) // of what can't be read, nothing is told
	return claims
}

// ofClient reports whether a token has a claim of OAuth's and OIDC's clients.
func (c sessionClaims) ofClient() bool {
	return c.Nonce != nil || c.AccessHash != nil || c.CodeHash != nil || c.OAuthClient != nil
}

// window returns the token's times, and how long it may live.
func (c sessionClaims) window(maxLife time.Duration) validityWindow {
	return validityWindow{
		notBefore: numericDate(c.NotBefore), expires: numericDate(c.Expiry), issued: numericDate(c.IssuedAt), maxLife: maxLife,
	}
}

// numericDate returns the time of a claim in seconds since 1970, or the zero time for an absent one.
func numericDate(date *josejwt.NumericDate) time.Time {
	if date == nil {
		return time.Time{}
	}
	return date.Time()
}

// judge decides about claims whose signature and times are good: first what kind of token it is, then whether it is one
// of this instance and for one of its applications, then who it is about.
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
	case !hasID(userIDPrefix, c.Subject):
		return refuse(ReasonSubject)
	default:
		return nil
	}
}

// judgeKind refuses tokens that the instance signed for another purpose than a session. They name the same issuer and
// the same users, and third parties hold them by design. A customized session token may have a claim of such a name for itself:
// what makes it a client's is an audience, or that it is of no session.
func (v *tokenVerifier) judgeKind(c sessionClaims) error {
	isSession := hasID(sessionIDPrefix, c.SessionID)
	hasAudience := c.Audience != nil && c.Audience.Kind() != 'n' // null is none
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

// maxID bounds an id behind its prefix. Clerk's ids have some 32 characters.
const maxID = 255

// hasID reports whether a text is an id with a prefix: more follows, which Postgres can store. It refuses NUL and what isn't
// UTF-8.
func hasID(prefix, text string) bool {
	id, found := strings.CutPrefix(text, prefix)
	return found && id != "" && len(id) <= maxID && utf8.ValidString(id) && !strings.ContainsRune(id, 0)
}
