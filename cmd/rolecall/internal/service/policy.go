package service

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// policySaveTimeout bounds one try to save the policy. It takes a millisecond.
	policySaveTimeout = 3 * time.Second
	// policySaveEvery is how often it is tried again while the database can't be written to.
	policySaveEvery = 10 * time.Second
)

// policyKeeper holds the policy that a process answers by, and tells it to the database's SQL functions.
type policyKeeper struct {
	cfg    config.Config
	db     *pgxpool.Pool
	logger *slog.Logger
	every  time.Duration // to try again after

	current atomic.Pointer[api.Policy]
	reloads chan struct{} // holds one: reading once more after several calls is enough
	readAt  time.Time     // when the current one was read
	known   bool          // the database has had a policy of this process
}

// readPolicy reads the policy, and tells nobody yet.
func (s *Service) readPolicy(ctx context.Context) error {
	k := &policyKeeper{cfg: s.cfg, logger: s.logger, every: policySaveEvery, reloads: make(chan struct{}, 1)}
	if err := k.read(ctx); err != nil {
		return err
	}
	s.policy = k
	return nil
}

// keepPolicy saves the policy that was read, and follows it from then on. A database that can't be written to stops nobody from
// answering: saving goes on in the background.
func (s *Service) keepPolicy(ctx context.Context) {
	s.policy.db = s.work
	saved := s.policy.save(ctx)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var keeping sync.WaitGroup
	keeping.Go(func() { s.policy.run(ctx, saved) })
	s.cleanup.Add("policy", func(context.Context) error { cancel(); keeping.Wait(); return nil })
}

// Reload has the policy read anew, in the background. It never blocks.
func (s *Service) Reload(ctx context.Context) {
	if s.policy == nil {
		s.logger.InfoContext(ctx, "nothing to reload: this process answers nobody, and has no policy")
		return
	}
	select {
	case s.policy.reloads <- struct{}{}:
	default:
	}
}

// grants returns the policy in force.
func (k *policyKeeper) grants() clerksync.Grants { return k.current.Load().Grants }

// read reads the policy, and has it in force from then on.
func (k *policyKeeper) read(ctx context.Context) error {
	began := time.Now() // not the end: the file may have been changed meanwhile
	policy, err := k.cfg.Policy(ctx)
	if err != nil {
		return err
	}
	k.use(ctx, policy, began)
	return nil
}

func (k *policyKeeper) use(ctx context.Context, policy api.Policy, readAt time.Time) {
	for _, warning := range policy.Warnings {
		k.logger.WarnContext(ctx, "policy: "+warning)
	}
	k.current.Store(&policy)
	k.readAt = readAt
	k.logger.InfoContext(ctx, "policy read", "source", k.cfg.PolicySource(), "roles", len(policy.Grants))
}

// run reads the policy whenever it is told to, and tries again to save it as long as that fails.
func (k *policyKeeper) run(ctx context.Context, saved bool) {
	ticker := time.NewTicker(k.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.reloads:
			err := k.read(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				k.logger.ErrorContext(ctx, "policy not read: the one in force stays", "error", err)
				continue
			}
			saved = k.save(ctx)
		case <-ticker.C:
			if !saved {
				saved = k.save(ctx)
			}
		}
	}
}

// save makes the database's SQL functions go by the policy in force, unless another process has read another one since. It reports
// whether there is nothing left to do.
func (k *policyKeeper) save(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, policySaveTimeout)
	defer cancel()
	var saved store.SavedGrants
	err := pgx.BeginFunc(ctx, k.db, func(tx pgx.Tx) (err error) {
		saved, err = store.SaveGrants(ctx, tx, k.grants(), time.Since(k.readAt))
		return err
	})
	switch {
	case err != nil:
		k.logger.WarnContext(ctx, "policy not saved: until it is, the database's SQL functions may go by another one", "error", err)
		return false
	case saved.Overtaken:
		k.logger.WarnContext(ctx, "policy not saved: another instance has read another one since, which the database's SQL functions go by",
			"source", k.cfg.PolicySource())
		return true
	case saved.Changed && !k.known && len(saved.Before) > 0:
		k.logger.WarnContext(ctx, "the database had another policy: its SQL functions go by this one from now on. "+
			"Other instances that still have the other one should read theirs anew", "source", k.cfg.PolicySource())
	case saved.Changed:
		k.logger.InfoContext(ctx, "policy saved", "source", k.cfg.PolicySource())
	}
	k.known = true
	return true
}
