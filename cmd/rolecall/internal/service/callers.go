package service

import (
	"context"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/edge"
)

// guard returns what bounds the callers of a listener. Each listener has one of its own, so that a
// flood of the public one turns nothing red.
func (s *Service) guard(listener string) *edge.Guard {
	return edge.NewGuard(edge.Config{Cut: func(cause edge.Cause) {
		s.metrics.cut.WithLabelValues(string(cause)).Inc()
		s.logger.WarnContext(context.Background(), "too many callers at once: the one that was waited for the longest was cut",
			"listener", listener, "cause", cause)
	}})
}

// lockout returns what this process knows of users who don't get in, or nil.
func (s *Service) lockout() *auth.Lockout {
	if l, ok := s.entries.Lockout(); ok {
		return &l
	}
	return nil
}
