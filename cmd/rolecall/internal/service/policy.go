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
		Source: s.cfg.PolicySource(), Read: s.cfg.Policy, Save: s.saveGrants, Saved: s.savedGrants, Left: s.left, Logger: s.logger,
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

// savedGrants returns the policy that a process saved last. The start needs it: so it is read even
// where nothing can be written.
func (s *Service) savedGrants(ctx context.Context) (clerksync.Grants, error) {
	return store.Grants(ctx, s.read)
}

// left lists workspaces that a change of the policy leaves without a manager.
func (s *Service) left(ctx context.Context, change clerksync.GrantsChange, limit int) (left []store.LeftWorkspace, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.work, options, func(tx pgx.Tx) error {
		c, err := store.ReadPolicyChange(ctx, tx, change)
		if err == nil {
			left, err = c.LeftWithoutManager(ctx, tx, "", limit)
		}
		return err
	})
	return left, err
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
