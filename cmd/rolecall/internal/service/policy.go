package service

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// readPolicy reads the policy, and doesn't save it yet.
func (s *Service) readPolicy(ctx context.Context) (err error) {
	s.policy, err = policy.NewKeeper(ctx, policy.KeeperConfig{
		Source: s.cfg.PolicySource(), Read: s.cfg.Policy, Save: s.saveGrants, Logger: s.logger,
	})
	return err
}

// saveGrants saves a policy, which was read at an instant, for the database's SQL functions.
func (s *Service) saveGrants(ctx context.Context, grants clerksync.Grants, readAt time.Time) (saved store.SavedGrants, err error) {
	err = pgx.BeginFunc(ctx, s.work, func(tx pgx.Tx) (err error) {
		saved, err = store.SaveGrants(ctx, tx, grants, time.Since(readAt))
		return err
	})
	return saved, err
}

// keepPolicy saves the policy, and from then on each reloaded one.
func (s *Service) keepPolicy(ctx context.Context) {
	stop := s.policy.Keep(ctx)
	s.cleanup.Add("policy", func(context.Context) error { stop(); return nil })
}

// Reload reads the policy again, in the background. It never blocks.
func (s *Service) Reload(ctx context.Context) {
	if s.policy == nil {
		s.logger.InfoContext(ctx, "nothing to reload: without a web side, this process has no policy")
		return
	}
	s.policy.Reload()
}
