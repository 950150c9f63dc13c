package service

import (
	"context"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/presence"
	"github.com/callmine/rolecall/store"
)

// startPresence shows operators that this process runs, until everything that it measures has
// ended.
func (s *Service) startPresence(ctx context.Context, which config.Parts) error {
	s.process = presence.NewProcess(which.Web, which.Workers, which.Workers && s.clerk != nil)
	p, err := presence.Start(ctx, presence.Config{
		Pool: s.admins, Process: s.process, Clerk: s.clerkUse, Counters: &s.counted, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	s.cleanup.Add("presence", func(ctx context.Context) error { p.Stop(ctx); return nil })
	return nil
}

// clerkUse returns how much of Clerk's limit this process uses; nil without a secret key.
func (s *Service) clerkUse() *store.ClerkUse {
	if s.clerk == nil {
		return nil
	}
	used := s.clerk.Usage()
	return &store.ClerkUse{Sent: used.Sent, Limit: used.Limit, Paused: used.Paused}
}
