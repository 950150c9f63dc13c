package auth

import (
	"testing"
	"time"

	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
)

// TestMonitor_CountsLockedOutUsers: refusals count if the signature is good and a setting or a
// clock may be wrong.
func TestMonitor_CountsLockedOutUsers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := NewMonitor(MonitorConfig{Now: func() time.Time { return now }})
	for reason, want := range map[Reason]bool{
		ReasonIssuer: true, ReasonAuthorizedParty: true, ReasonNotYetValid: true, ReasonIssuedInFuture: true,
		ReasonSession: true, ReasonAudience: true, ReasonLifetime: true,
		ReasonMissing: false, ReasonMalformed: false, ReasonPurpose: false, ReasonSubject: false, ReasonServiceToken: false,
	} {
		require.Equal(t, want, m.lockedOut(t.Context(), reason, sessionClaims{}), reason)
	}
	for ago, want := range map[time.Duration]bool{
		6 * time.Second: true, expiredLately - time.Second: true, expiredLately: false, 48 * time.Hour: false,
	} {
		claims := sessionClaims{Expiry: josejwt.NewNumericDate(now.Add(-ago))}
		require.Equal(t, want, m.lockedOut(t.Context(), ReasonExpired, claims), ago)
	}
	require.False(t, m.lockedOut(t.Context(), ReasonExpired, sessionClaims{}))
}
