package main

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/edge"
)

// guard returns what bounds the callers of a listener. Each listener has one of its own, so that a flood of the public one
// turns nothing red.
func (p *program) guard(listener string) *edge.Guard {
	return edge.NewGuard(edge.Config{Cut: func(cause edge.Cause) {
		p.metrics.cut.WithLabelValues(string(cause)).Inc()
		p.logger.WarnContext(context.Background(), "too many callers at once: the one that was waited for the longest was cut",
			"listener", listener, "cause", cause)
	}})
}

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
		return "check CLERK_ISSUER and CLERK_JWKS_URL: the keys are of another instance, or can't be had; the log says which"
	}
}

// lockout returns what this process knows of users who don't get in, or nil.
func (p *program) lockout() *auth.Lockout {
	if l, ok := p.entries.Lockout(); ok {
		return &l
	}
	return nil
}
