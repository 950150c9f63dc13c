package service

import (
	"context"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/internal/edge"
)

// guard returns the guard of a listener, which bounds its callers. Each listener has its own, so
// that a flood of the public one can't turn /readyz red.
func (s *Service) guard(listener string) *edge.Guard {
	return edge.NewGuard(edge.Config{Cut: func(cause edge.Cause) {
		s.metrics.cut.WithLabelValues(string(cause)).Inc()
		s.logger.WarnContext(context.Background(), "too many callers at once: the slowest was cut",
			"listener", listener, "cause", cause)
	}})
}

// lockout returns this process' lockout of users, or nil.
func (s *Service) lockout() *auth.Lockout {
	if l, ok := s.entries.Lockout(); ok {
		return &l
	}
	return nil
}

// own returns what this process knows of itself.
func (s *Service) own() health.Own {
	own := health.Own{Lockout: s.lockout()}
	own.Replicas, own.ByPrimary = s.ownReplicas()
	if s.policy != nil {
		own.PolicyRefused = s.policy.Refused()
	}
	return own
}
