package health

import (
	"fmt"

	"github.com/callmine/rolecall/api/auth"
)

// lockedOut: users come, and none is admitted. Only the process that refuses them knows.
func (s Situation) lockedOut() (Alarm, bool) {
	if s.Lockout == nil {
		return Alarm{}, false
	}
	detail := fmt.Sprintf("%d users' tokens were refused since %s and none was accepted, the newest for %s",
		s.Lockout.Refused, Instant(s.Lockout.Since), s.Lockout.Reason)
	if s.Lockout.Seen != "" {
		detail += ": " + s.Lockout.Seen
	}
	return Alarm{AlarmLockout, detail, adviceAgainst(s.Lockout.Reason)}, true
}

// adviceAgainst says what to do about a lockout.
func adviceAgainst(reason auth.Reason) string {
	switch reason {
	case auth.ReasonIssuer:
		return "set CLERK_ISSUER to the issuer that the tokens have, exactly"
	case auth.ReasonAuthorizedParty:
		return "add the origin of your frontend to CLERK_AUTHORIZED_PARTIES, exactly as the tokens have it"
	case auth.ReasonSession, auth.ReasonAudience, auth.ReasonLifetime:
		return "send Clerk's session tokens as they are, or, if these are of a JWT template or customized with aud, read about " +
			"ROLECALL_ACCEPT_TEMPLATE_TOKENS in docs/api.md and set it to true"
	case auth.ReasonExpired, auth.ReasonNotYetValid, auth.ReasonIssuedInFuture:
		return "correct this machine's clock"
	default:
		return "check CLERK_ISSUER and CLERK_JWKS_URL: the keys are of another instance, or can't be fetched; the log says which"
	}
}
