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
	// Entries watches whether users are admitted.
	Entries *Entries
	// Refused is called with the reason of each refusal.
	Refused func(Reason)
	// KnownUser reports whether the mirror knows a member with this id. The id may come from an
	// invented token.
	KnownUser func(ctx context.Context, userID string) bool
	// Logger gets a line for each refusal.
	Logger *slog.Logger
	// Now is the clock by which tokens age.
	Now func() time.Time
}

// Monitor authenticates requests, and logs and counts refusals for operators. It is safe for
// concurrent use.
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
		return identity, m.refuse(r, refused)
	case errors.Is(err, ErrKeysUnavailable) && r.Context().Err() == nil:
		token, _ := bearerToken(r.Header)
		if m.knownUser(r.Context(), peek(token)) {
			m.cfg.Entries.refuse(ReasonKeysUnavailable, "", "")
		}
	}
	return identity, err
}

// refuse counts and logs a refusal, and returns it.
func (m *Monitor) refuse(r *http.Request, refused *Error) error {
	m.cfg.Refused(refused.Reason)
	m.note(r, refused)
	return refused
}

// note logs a refusal for operators. The line has those values of the token that a wrong setting
// refuses, and nothing about the user.
func (m *Monitor) note(r *http.Request, refused *Error) {
	token, _ := bearerToken(r.Header) // "" has no claims
	claims := peek(token)
	if m.lockedOut(r.Context(), refused.Reason, claims) {
		m.cfg.Entries.refuse(refused.Reason, seenBy(refused.Reason, claims), token)
	}
	m.cfg.Logger.WarnContext(r.Context(), "caller refused", "reason", refused.Reason, "token_issuer", shortened(claims.Issuer),
		"token_authorized_party", shortened(claims.AuthorizedParty))
}

// expiredLately is how long ago a token may have expired so that this clock may be at fault.
const expiredLately = 10 * time.Minute

// lockedOut reports whether the refused user would be admitted with the right settings. A token
// with a good signature comes from Clerk. Another token may be invented, but its inventor doesn't
// know the mirror's users.
func (m *Monitor) lockedOut(ctx context.Context, reason Reason, claims sessionClaims) bool {
	switch reason {
	case ReasonIssuer, ReasonAuthorizedParty, ReasonNotYetValid, ReasonIssuedInFuture, ReasonSession, ReasonAudience, ReasonLifetime:
		return true
	case ReasonExpired: // a token that expired long ago was kept by its client: no clock is at fault
		return m.cfg.Now().Sub(claims.Expiry.Time()) < expiredLately
	case ReasonUnknownKey, ReasonSignature:
		return m.knownUser(ctx, claims)
	default:
		return false
	}
}

// knownUser reports whether an unverified token is about a user of the mirror and within its times.
func (m *Monitor) knownUser(ctx context.Context, claims sessionClaims) bool {
	return claims.validity(maxTokenLife).check(m.cfg.Now()) == nil && m.cfg.KnownUser(ctx, claims.Subject)
}

// seenBy returns the value in the token that differs from the expected one.
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

// shortened bounds a text from a token for the log.
func shortened(text string) string {
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
