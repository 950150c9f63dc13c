package main

import (
	"fmt"

	"github.com/callmine/rolecall/api"
)

// nobody: users come and none gets in. Only the process that refuses them knows.
func (s situation) nobody() (alarm, bool) {
	if s.lockout == nil {
		return alarm{}, false
	}
	detail := fmt.Sprintf("%d users' tokens were refused since %s and none was accepted, the newest for %s",
		s.lockout.Refused, instant(s.lockout.Since), s.lockout.Reason)
	if s.lockout.Seen != "" {
		detail += ": " + s.lockout.Seen
	}
	return alarm{alarmNobody, detail, adviceAgainst(s.lockout.Reason)}, true
}

// adviceAgainst says what to do about a lockout.
func adviceAgainst(reason api.AuthReason) string {
	switch reason {
	case api.AuthReasonIssuer:
		return "set CLERK_ISSUER to the issuer that the tokens have, exactly"
	case api.AuthReasonAuthorizedParty:
		return "add the origin of your frontend to CLERK_AUTHORIZED_PARTIES, exactly as the tokens have it"
	case api.AuthReasonSession, api.AuthReasonAudience, api.AuthReasonLifetime:
		return "send Clerk's session tokens as they are, or, if these are of a JWT template or customized with aud, read about " +
			"ROLECALL_ACCEPT_TEMPLATE_TOKENS in the README and set it to true"
	case api.AuthReasonExpired, api.AuthReasonNotYetValid, api.AuthReasonIssuedInFuture:
		return "correct this machine's clock"
	default:
		return "check CLERK_ISSUER and CLERK_JWKS_URL: the keys are of another instance, or can't be had; the log says which"
	}
}
