package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// authenticate tells who is calling. Refusals are counted and logged.
func (s *server) authenticate(r *http.Request) (Identity, error) {
	identity, err := s.cfg.Authenticator.Authenticate(r.Context(), r)
	refused, isRefused := errors.AsType[*AuthError](err)
	switch {
	case err == nil && identity.UserID != "":
		s.cfg.Entries.admit()
	case isRefused:
		s.cfg.Refused(refused.Reason)
		s.noteRefusal(r, refused)
	case errors.Is(err, ErrKeysUnavailable) && r.Context().Err() == nil:
		token, _ := bearerToken(r.Header)
		if s.knownUser(r.Context(), peek(token)) {
			s.cfg.Entries.refuse(reasonKeysUnavailable, "", "")
		}
	}
	return identity, err
}

// noteRefusal tells operators of a refusal: what the token says where a setting may be wrong, and nothing of the user.
func (s *server) noteRefusal(r *http.Request, refused *AuthError) {
	token, _ := bearerToken(r.Header) // without one, there is nothing to look into
	claims := peek(token)
	if s.lockedOut(r.Context(), refused.Reason, claims) {
		s.cfg.Entries.refuse(refused.Reason, seenBy(refused.Reason, claims), token)
	}
	s.cfg.Logger.WarnContext(r.Context(), "caller refused", "reason", refused.Reason, "token_issuer", shortened(claims.Issuer),
		"token_authorized_party", shortened(claims.AuthorizedParty))
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

// lockedOut reports whether a refusal is of a user who should have got in if a setting were right. A token with a good
// signature comes from Clerk. One without may be invented; but who invents one knows no user of the mirror.
func (s *server) lockedOut(ctx context.Context, reason AuthReason, claims sessionClaims) bool {
	switch reason {
	case AuthReasonIssuer, AuthReasonAuthorizedParty, AuthReasonNotYetValid, AuthReasonIssuedInFuture,
		AuthReasonSession, AuthReasonAudience, AuthReasonLifetime:
		return true
	case AuthReasonExpired: // an older one says nothing of this clock: it was kept
		return s.cfg.Now().Sub(numericDate(claims.Expiry)) < expiredLately
	case AuthReasonUnknownKey, AuthReasonSignature:
		return s.knownUser(ctx, claims)
	default:
		return false
	}
}

// knownUser reports whether a token that wasn't verified is about a user of the mirror, and would be good now.
func (s *server) knownUser(ctx context.Context, claims sessionClaims) bool {
	fresh := claims.window(maxTokenLife).check(s.cfg.Now()) == nil
	if !fresh || !clerksync.ValidID(clerksync.UserPrefix, claims.Subject) || !s.known.Allow() {
		return false
	}
	seats, err := store.Seats(ctx, s.cfg.DB, claims.Subject)
	return err == nil && len(seats) > 0
}

// expiredLately is how long ago a token may have expired that says something of this clock.
const expiredLately = 10 * time.Minute

// knownEvery bounds how often the mirror is asked about users of tokens that may be invented.
const knownEvery = 200 * time.Millisecond

// seenBy is what a token says instead of what is expected.
func seenBy(reason AuthReason, claims sessionClaims) string {
	switch reason {
	case AuthReasonAuthorizedParty:
		return fmt.Sprintf("azp is %q", shortened(claims.AuthorizedParty))
	case AuthReasonIssuer, AuthReasonUnknownKey, AuthReasonSignature:
		return fmt.Sprintf("iss is %q", shortened(claims.Issuer))
	default:
		return ""
	}
}

// shortened bounds a text of a token for a log.
func shortened(text string) string {
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// challenge is the WWW-Authenticate of a refusal, as RFC 6750 has it. It names the error, so that a wrong setting shows at once;
// what is expected instead it doesn't tell. A request without a token gets the scheme alone.
func challenge(reason AuthReason) string {
	what, known := map[AuthReason]string{
		AuthReasonHeader:          "the Authorization header isn't one Bearer token",
		AuthReasonTooLarge:        "the token is too large",
		AuthReasonMalformed:       "the token is malformed",
		AuthReasonAlgorithm:       "the token isn't signed by RS256",
		AuthReasonType:            "the token is of another type than JWT",
		AuthReasonUnknownKey:      "the token's key is unknown here",
		AuthReasonSignature:       "the token's signature is wrong",
		AuthReasonExpired:         "the token has expired",
		AuthReasonNotYetValid:     "the token isn't valid yet",
		AuthReasonIssuedInFuture:  "the token was issued in the future",
		AuthReasonNoExpiry:        "the token never expires",
		AuthReasonLifetime:        "the token lives too long",
		AuthReasonPurpose:         "the token was made for an OAuth client",
		AuthReasonAudience:        "the token was made for another audience",
		AuthReasonSession:         "the token is of no session",
		AuthReasonIssuer:          "the token's issuer isn't accepted",
		AuthReasonAuthorizedParty: "the token's authorized party isn't accepted",
		AuthReasonSessionStatus:   "the session isn't active",
		AuthReasonSubject:         "the token is of no user",
		AuthReasonServiceToken:    "the service token is unknown",
	}[reason]
	if !known {
		return "Bearer"
	}
	return `Bearer error="invalid_token", error_description="` + what + `"`
}
