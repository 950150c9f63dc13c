package auth

import (
	"errors"
	"fmt"
)

var (
	// ErrUnauthenticated means that a request carries no credentials that identify a caller: 401.
	// Every error that matches it is an *Error, whose Reason is for logs, metrics and the challenge
	// in the answer.
	ErrUnauthenticated = errors.New("unauthenticated")

	// ErrKeysUnavailable means that Clerk's signing keys can't be fetched, so that a user's token
	// can't be judged: 503. It is never the caller's fault, and never matches ErrUnauthenticated.
	ErrKeysUnavailable = errors.New("signing keys unavailable")
)

// Reason says why credentials were refused. It is safe as a metric's label: the set is closed, and
// nothing in it comes from the request. The challenge tells it to the caller in other words.
// Reasons that are checked before the signature say nothing about our settings. Only the holder of
// a token that Clerk signed learns a reason that is checked afterwards.
type Reason string

// The reasons for which Authenticate refuses a request. [Reasons] lists them.
const (
	// ReasonMissing: no Authorization header.
	ReasonMissing Reason = "missing"
	// ReasonHeader: several Authorization headers, another scheme than Bearer, or no well-formed
	// token in it.
	ReasonHeader Reason = "header"
	// ReasonTooLarge: the header is larger than any token of Clerk's.
	ReasonTooLarge Reason = "too_large"
	// ReasonMalformed: not a compact, canonically encoded JWS with JSON claims of the expected
	// types.
	ReasonMalformed Reason = "malformed"
	// ReasonAlgorithm: signed by another algorithm than RS256, or unsigned.
	ReasonAlgorithm Reason = "algorithm"
	// ReasonType: a token that Clerk signed for another purpose, such as an OAuth access token.
	ReasonType Reason = "type"
	// ReasonUnknownKey: the key that the token names isn't in Clerk's key set, or is no longer
	// there.
	ReasonUnknownKey Reason = "unknown_key"
	// ReasonSignature: the signature isn't of the key that the token names.
	ReasonSignature Reason = "signature"
	// ReasonExpired: exp is further in the past than the leeway.
	ReasonExpired Reason = "expired"
	// ReasonNotYetValid: nbf is further in the future than the leeway.
	ReasonNotYetValid Reason = "not_yet_valid"
	// ReasonIssuedInFuture: iat is further in the future than the leeway.
	ReasonIssuedInFuture Reason = "issued_in_future"
	// ReasonNoExpiry: no exp, without which the token would be valid for ever.
	ReasonNoExpiry Reason = "no_expiry"
	// ReasonIssuer: iss differs from the configured issuer.
	ReasonIssuer Reason = "issuer"
	// ReasonAuthorizedParty: azp is missing from the token or from the allow-list.
	ReasonAuthorizedParty Reason = "authorized_party"
	// ReasonSessionStatus: sts isn't "active", but for example "pending".
	ReasonSessionStatus Reason = "session_status"
	// ReasonSession: no sid, or one that isn't a session's id, as of a JWT template.
	ReasonSession Reason = "session"
	// ReasonAudience: the token has an aud. It was made for another service, because no session
	// token has one.
	ReasonAudience Reason = "audience"
	// ReasonPurpose: an OAuth or OIDC token of a third-party client, by nonce, at_hash, c_hash or
	// client_id.
	ReasonPurpose Reason = "purpose"
	// ReasonLifetime: more than 24 hours from iat to exp.
	ReasonLifetime Reason = "lifetime"
	// ReasonSubject: no sub, or one that isn't a user's id.
	ReasonSubject Reason = "subject"
	// ReasonActor: the token has an act from which the impersonating actor can't be read.
	ReasonActor Reason = "actor"
	// ReasonCookie: no well-formed session token in the session's cookie, or different ones in
	// several of its cookies.
	ReasonCookie Reason = "cookie"
	// ReasonSessionEnded: Clerk has told that the session of the token has ended, or the session of
	// the impersonating actor. The mirror knows, not this package: Authenticate never gives it.
	ReasonSessionEnded Reason = "session_ended"
	// ReasonServiceToken: no configured service has this token.
	ReasonServiceToken Reason = "service_token"
)

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{
		ReasonMissing, ReasonHeader, ReasonTooLarge, ReasonMalformed, ReasonAlgorithm, ReasonType,
		ReasonUnknownKey, ReasonSignature, ReasonExpired, ReasonNotYetValid, ReasonIssuedInFuture,
		ReasonNoExpiry, ReasonLifetime, ReasonPurpose, ReasonAudience, ReasonSession, ReasonIssuer,
		ReasonAuthorizedParty, ReasonSessionStatus, ReasonSubject, ReasonActor, ReasonSessionEnded, ReasonCookie,
		ReasonServiceToken,
	}
}

// Error is the refusal of a request's credentials. It matches ErrUnauthenticated. Its text may name
// a configured value or a claim of a token with a good signature, but never a token or a user.
type Error struct {
	// Reason is one of the Reason constants.
	Reason Reason
	// Err is the cause, or nil if Reason says everything.
	Err error
}

// Error returns the reason and, if there is one, the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%v: %s", ErrUnauthenticated, e.Reason)
	}
	return fmt.Sprintf("%v: %s: %v", ErrUnauthenticated, e.Reason, e.Err)
}

// Unwrap makes errors.Is(err, ErrUnauthenticated) true and keeps the cause reachable.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrUnauthenticated}
	}
	return []error{ErrUnauthenticated, e.Err}
}

// refuse returns the refusal for a reason that needs no cause.
func refuse(reason Reason) error { return &Error{Reason: reason} }

// refuseBecause returns the refusal for a reason with its cause.
func refuseBecause(reason Reason, cause error) error {
	return &Error{Reason: reason, Err: cause}
}

// Challenge returns the WWW-Authenticate header of a refusal (RFC 6750). It names the error, so
// that a wrong setting shows at once, but not the expected value. A request without a token gets
// the scheme alone.
func (r Reason) Challenge() string {
	what, known := map[Reason]string{
		ReasonHeader:          "the Authorization header isn't one Bearer token",
		ReasonTooLarge:        "the token is too large",
		ReasonMalformed:       "the token is malformed",
		ReasonAlgorithm:       "the token isn't signed by RS256",
		ReasonType:            "the token is of another type than JWT",
		ReasonUnknownKey:      "the token's key is unknown here",
		ReasonSignature:       "the token's signature is wrong",
		ReasonExpired:         "the token has expired",
		ReasonNotYetValid:     "the token isn't valid yet",
		ReasonIssuedInFuture:  "the token was issued in the future",
		ReasonNoExpiry:        "the token never expires",
		ReasonLifetime:        "the token lives too long",
		ReasonPurpose:         "the token was made for an OAuth client",
		ReasonAudience:        "the token was made for another audience",
		ReasonSession:         "the token is of no session",
		ReasonIssuer:          "the token's issuer isn't accepted",
		ReasonAuthorizedParty: "the token's authorized party isn't accepted",
		ReasonSessionStatus:   "the session isn't active",
		ReasonSubject:         "the token is of no user",
		ReasonActor:           "the token's actor can't be read",
		ReasonCookie:          "the session's cookies don't hold one token",
		ReasonSessionEnded:    "the session has ended",
		ReasonServiceToken:    "the service token is unknown",
	}[r]
	if !known {
		return "Bearer"
	}
	return `Bearer error="invalid_token", error_description="` + what + `"`
}
