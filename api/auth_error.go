package api

import (
	"errors"
	"fmt"
)

var (
	// ErrUnauthenticated means that a request carries no credentials that identify a caller: 401. Every error that
	// matches it is an *AuthError, whose Reason is for logs, metrics and the challenge in the answer.
	ErrUnauthenticated = errors.New("unauthenticated")

	// ErrKeysUnavailable means that Clerk's signing keys can't be had, so that nothing can be said about a user's
	// token: 503. It is never the caller's fault, and it never matches ErrUnauthenticated.
	ErrKeysUnavailable = errors.New("signing keys unavailable")
)

// AuthReason says why credentials were refused, as a value that is safe for a metric's label: the set is closed and
// nothing in it comes from the request. The caller is told it in other words: what is judged after the signature
// is told to whoever holds a token that Clerk signed, and what is judged before it tells nothing of ours.
type AuthReason string

// The reasons for which Authenticate refuses a request. [AuthReasons] lists them.
const (
	// AuthReasonMissing: no Authorization header.
	AuthReasonMissing AuthReason = "missing"
	// AuthReasonHeader: several Authorization headers, another scheme than Bearer, or no well-formed token in it.
	AuthReasonHeader AuthReason = "header"
	// AuthReasonTooLarge: the header is larger than any token of Clerk's.
	AuthReasonTooLarge AuthReason = "too_large"
	// AuthReasonMalformed: not a compact, canonically encoded JWS with JSON claims of the expected types.
	AuthReasonMalformed AuthReason = "malformed"
	// AuthReasonAlgorithm: signed by another algorithm than RS256, or not at all.
	AuthReasonAlgorithm AuthReason = "algorithm"
	// AuthReasonType: a token that Clerk signed for another purpose, such as an OAuth access token.
	AuthReasonType AuthReason = "type"
	// AuthReasonUnknownKey: the key it names isn't, or is no longer, in Clerk's key set.
	AuthReasonUnknownKey AuthReason = "unknown_key"
	// AuthReasonSignature: the signature isn't of the key that the token names.
	AuthReasonSignature AuthReason = "signature"
	// AuthReasonExpired: exp is further in the past than the leeway.
	AuthReasonExpired AuthReason = "expired"
	// AuthReasonNotYetValid: nbf is further in the future than the leeway.
	AuthReasonNotYetValid AuthReason = "not_yet_valid"
	// AuthReasonIssuedInFuture: iat is further in the future than the leeway.
	AuthReasonIssuedInFuture AuthReason = "issued_in_future"
	// AuthReasonNoExpiry: without exp a token would be valid for ever.
	AuthReasonNoExpiry AuthReason = "no_expiry"
	// AuthReasonIssuer: iss isn't exactly the configured issuer.
	AuthReasonIssuer AuthReason = "issuer"
	// AuthReasonAuthorizedParty: azp is missing from the token or from the allow-list.
	AuthReasonAuthorizedParty AuthReason = "authorized_party"
	// AuthReasonSessionStatus: sts is something else than "active", such as "pending".
	AuthReasonSessionStatus AuthReason = "session_status"
	// AuthReasonSession: no sid, or one that isn't a session's id, as of a JWT template.
	AuthReasonSession AuthReason = "session"
	// AuthReasonAudience: an aud, which no session token has: the token was made for another service.
	AuthReasonAudience AuthReason = "audience"
	// AuthReasonPurpose: an OAuth or OIDC token of a third-party client, by nonce, at_hash, c_hash or client_id.
	AuthReasonPurpose AuthReason = "purpose"
	// AuthReasonLifetime: more than 24 hours from iat to exp.
	AuthReasonLifetime AuthReason = "lifetime"
	// AuthReasonSubject: no sub, or one that isn't a user's id.
	AuthReasonSubject AuthReason = "subject"
	// AuthReasonServiceToken: no configured service has this token.
	AuthReasonServiceToken AuthReason = "service_token"
)

// AuthReasons lists all reasons.
func AuthReasons() []AuthReason {
	return []AuthReason{
		AuthReasonMissing, AuthReasonHeader, AuthReasonTooLarge, AuthReasonMalformed, AuthReasonAlgorithm, AuthReasonType,
		AuthReasonUnknownKey, AuthReasonSignature, AuthReasonExpired, AuthReasonNotYetValid, AuthReasonIssuedInFuture,
		AuthReasonNoExpiry, AuthReasonLifetime, AuthReasonPurpose, AuthReasonAudience, AuthReasonSession, AuthReasonIssuer,
		AuthReasonAuthorizedParty, AuthReasonSessionStatus, AuthReasonSubject, AuthReasonServiceToken,
	}
}

// AuthError is the refusal of a request's credentials. It matches ErrUnauthenticated. Its text may name a configured
// value or a claim of a token with a good signature, never a token and never whom it identifies.
type AuthError struct {
	// Reason is one of the AuthReason constants.
	Reason AuthReason
	// Err is the cause, or nil where Reason says everything.
	Err error
}

// Error returns the reason and, where there is one, the cause.
func (e *AuthError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%v: %s", ErrUnauthenticated, e.Reason)
	}
	return fmt.Sprintf("%v: %s: %v", ErrUnauthenticated, e.Reason, e.Err)
}

// Unwrap makes errors.Is(err, ErrUnauthenticated) true and keeps the cause reachable.
func (e *AuthError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrUnauthenticated}
	}
	return []error{ErrUnauthenticated, e.Err}
}

// refuse returns the refusal for a reason that needs no cause.
func refuse(reason AuthReason) error { return &AuthError{Reason: reason} }

// refuseBecause returns the refusal for a reason with its cause.
func refuseBecause(reason AuthReason, cause error) error {
	return &AuthError{Reason: reason, Err: cause}
}
