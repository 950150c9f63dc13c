package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// MonitorConfig is what a Monitor needs. All of it is required.
type MonitorConfig struct {
	// Authenticator identifies callers.
	Authenticator interface {
		Authenticate(ctx context.Context, r *http.Request) (Identity, error)
	}
	// Entries watches whether users get in.
	Entries *Entries
	// Refused is told why credentials were refused.
	Refused func(Reason)
	// KnownUser reports whether the mirror knows a member of this id. The id comes from a token
	// that may be invented.
	KnownUser func(ctx context.Context, userID string) bool
	// Logger gets a line for each refusal.
	Logger *slog.Logger
	// Now is the clock by which tokens age.
	Now func() time.Time
}

// Monitor authenticates requests and tells operators of refusals. It is safe for concurrent use.
type Monitor struct{ cfg MonitorConfig }

// NewMonitor returns a monitor.
func NewMonitor(cfg MonitorConfig) *Monitor { return &Monitor{cfg: cfg} }

// Authenticate identifies the caller, as the monitor's Authenticator does. Refusals are counted and
// logged.
func (m *Monitor) Authenticate(r *http.Request) (Identity, error) {
	identity, err := m.cfg.Authenticator.Authenticate(r.Context(), r)
	refused, isRefused := errors.AsType[*Error](err)
	switch {
	case err == nil && identity.UserID != "":
		m.cfg.Entries.admit()
	case isRefused:
		m.cfg.Refused(refused.Reason)
		m.note(r, refused)
	case errors.Is(err, ErrKeysUnavailable) && r.Context().Err() == nil:
		token, _ := bearerToken(r.Header)
		if m.knownUser(r.Context(), peek(token)) {
			m.cfg.Entries.refuse(ReasonKeysUnavailable, "", "")
		}
	}
	return identity, err
}

// note tells operators of a refusal: the token's values where a setting may be wrong, and nothing
// of the user.
func (m *Monitor) note(r *http.Request, refused *Error) {
	token, _ := bearerToken(r.Header) // without one, there is nothing to look into
	claims := peek(token)
	if m.lockedOut(r.Context(), refused.Reason, claims) {
		m.cfg.Entries.refuse(refused.Reason, seenBy(refused.Reason, claims), token)
	}
	m.cfg.Logger.WarnContext(r.Context(), "caller refused", "reason", refused.Reason, "token_issuer", shortened(claims.Issuer),
		"token_authorized_party", shortened(claims.AuthorizedParty))
}

// expiredLately is how long ago a token expired at most if it says something of this clock.
const expiredLately = 10 * time.Minute

// lockedOut reports whether a refusal is of a user who would have got in with the right settings. A
// token with a good signature comes from Clerk. One without may be invented, but its inventor knows
// no user of the mirror.
func (m *Monitor) lockedOut(ctx context.Context, reason Reason, claims sessionClaims) bool {
	switch reason {
	case ReasonIssuer, ReasonAuthorizedParty, ReasonNotYetValid, ReasonIssuedInFuture, ReasonSession, ReasonAudience, ReasonLifetime:
		return true
	case ReasonExpired: // an older one says nothing of this clock: it was kept
		return m.cfg.Now().Sub(claims.Expiry.Time()) < expiredLately
	case ReasonUnknownKey, ReasonSignature:
		return m.knownUser(ctx, claims)
	default:
		return false
	}
}

// knownUser reports whether an unverified token is about a user of the mirror, and within its
// times.
func (m *Monitor) knownUser(ctx context.Context, claims sessionClaims) bool {
	return claims.validity(maxTokenLife).check(m.cfg.Now()) == nil && m.cfg.KnownUser(ctx, claims.Subject)
}

// seenBy is the token's value where another one is expected.
func seenBy(reason Reason, claims sessionClaims) string {
	switch reason {
	case ReasonAuthorizedParty:
		return fmt.Sprintf("azp is %q", shortened(claims.AuthorizedParty))
	case ReasonIssuer, ReasonUnknownKey, ReasonSignature:
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
