package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// activeSession is the only session status with which a user may act. A "pending" session has
	// tasks left to do, such as choosing an organization.
	activeSession = "active"

	// maxTokenLife bounds the time from iat to exp. Clerk's session tokens live for 60 s, and its
	// API makes longer ones on request, up to ten years. The end of a session is remembered for
	// longer (PruneSessions): by then, all its tokens have expired.
	maxTokenLife = 24 * time.Hour
)

// sessionClaims are the claims that decide. Their names are compared exactly, and a duplicate name
// at any depth makes the token malformed. (encoding/json would take "SUB" for "sub", and use the
// last duplicate.)
type sessionClaims struct {
	Issuer          string               `json:"iss"`
	Subject         string               `json:"sub"`
	SessionID       string               `json:"sid"`
	AuthorizedParty string               `json:"azp"`
	Status          string               `json:"sts"`
	Expiry          *josejwt.NumericDate `json:"exp"`
	NotBefore       *josejwt.NumericDate `json:"nbf"`
	IssuedAt        *josejwt.NumericDate `json:"iat"`

	// Clerk's own session tokens have none of these. Their presence counts, not their value. A null
	// aud counts as absent.
	Audience    jsontext.Value `json:"aud"`
	Nonce       jsontext.Value `json:"nonce"`
	AccessHash  jsontext.Value `json:"at_hash"`
	CodeHash    jsontext.Value `json:"c_hash"`
	OAuthClient jsontext.Value `json:"client_id"`

	// These are read once all other claims are good: see actor and activeOrganization.
	Actor          jsontext.Value `json:"act"`
	Version        jsontext.Value `json:"v"`
	Organization   jsontext.Value `json:"o"`
	OrganizationID jsontext.Value `json:"org_id"`
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

// peek reads the claims of an unverified token. They are for operators, never for a decision.
func peek(token string) sessionClaims {
	_, rest, _ := strings.Cut(token, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return sessionClaims{}
	}
	claims, _ := readClaims(payload) // unreadable claims stay empty
	return claims
}

// actorClaims say who acts as the user: the payload that the customer gave to Clerk, or the user of
// Clerk's dashboard who impersonates.
type actorClaims struct {
	Subject   string `json:"sub"`
	SessionID string `json:"sid"`
}

// actor returns who acts as the user, or nothing if the user acts. A null act counts as absent: a
// template's author may write one for every session. An unreadable one refuses the token, because
// the audit log would otherwise name the user for what another one did. So does an unreadable
// session of the actor, whose end couldn't be noticed.
func (c sessionClaims) actor() (actorClaims, error) {
	if !c.impersonates() {
		return actorClaims{}, nil
	}
	var actor actorClaims
	if json.Unmarshal(c.Actor, &actor) != nil || !printable(actor.Subject) || actor.SessionID != "" && !hasID(clerksync.SessionPrefix, actor.SessionID) {
		return actorClaims{}, refuse(ReasonActor)
	}
	return actor, nil
}

// impersonates reports whether the token says that another one acts as the user.
func (c sessionClaims) impersonates() bool { return c.Actor != nil && c.Actor.Kind() != 'n' }

// session returns the token's session, or "". In a template's token, sid may be any text of the
// template's author; if it can't be a session's id, its end is never reported.
func (c sessionClaims) session() string {
	if !hasID(clerksync.SessionPrefix, c.SessionID) {
		return ""
	}
	return c.SessionID
}

// printable reports whether a text can be passed on in a header as it is: printable ASCII without
// blanks around it, as short as an id.
func printable(text string) bool {
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	return clerksync.Storable(text) && !strings.ContainsFunc(text, unprintable) && strings.TrimSpace(text) == text
}

// activeOrganization returns the organization that the user has chosen, or "". Version 2 of Clerk's
// tokens names it in o, version 1 in org_id. In a token of the other version, either may be a claim
// of the customer's own. So a value of another shape names no organization, and refuses nothing.
func (c sessionClaims) activeOrganization() string {
	var id string
	if c.Version == nil || string(c.Version) == "1" {
		_ = json.Unmarshal(c.OrganizationID, &id) // or none
	} else {
		var active struct {
			ID jsontext.Value `json:"id"`
		}
		_ = json.Unmarshal(c.Organization, &active) // or none
		_ = json.Unmarshal(active.ID, &id)          // or none
	}
	if !hasID(clerksync.OrganizationPrefix, id) {
		return ""
	}
	return id
}

// ofClient reports whether a token has a claim of OAuth or OIDC clients.
func (c sessionClaims) ofClient() bool {
	return c.Nonce != nil || c.AccessHash != nil || c.CodeHash != nil || c.OAuthClient != nil
}

// validity returns the token's times and its longest allowed life.
func (c sessionClaims) validity(maxLife time.Duration) validity {
	return validity{notBefore: c.NotBefore.Time(), expires: c.Expiry.Time(), issued: c.IssuedAt.Time(), maxLife: maxLife}
}

// tokenLeeway is how far clocks may be apart. Clerk's own SDKs allow five seconds. Without it, a
// machine a second behind Clerk's would refuse fresh tokens.
const tokenLeeway = 5 * time.Second

// validity is the times of a token. An absent nbf or iat is zero, and refuses nothing.
type validity struct {
	notBefore, expires, issued time.Time

	maxLife time.Duration // from issued to expires; 0 for no limit
}

// check compares the times with now. So a remembered token gets the verdict that verifying it again
// would give, also after the clock was set back. Without iat, a token's life begins now.
func (v validity) check(now time.Time) error {
	born := v.issued
	if born.IsZero() {
		born = now
	}
	switch {
	case v.expires.IsZero():
		return refuse(ReasonNoExpiry)
	case now.Add(tokenLeeway).Before(v.notBefore):
		return refuse(ReasonNotYetValid)
	case now.Add(-tokenLeeway).After(v.expires):
		return refuse(ReasonExpired)
	case now.Add(tokenLeeway).Before(v.issued):
		return refuse(ReasonIssuedInFuture)
	case v.maxLife > 0 && v.expires.Sub(born) > v.maxLife:
		return refuse(ReasonLifetime)
	default:
		return nil
	}
}

// hasID reports whether a text is the prefix and at least one more byte. Only Clerk knows which
// bytes may follow.
func hasID(prefix, text string) bool {
	id, found := strings.CutPrefix(text, prefix)
	return found && clerksync.Storable(id)
}
