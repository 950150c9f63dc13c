package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// policySource names where the policy stands.
func (c config) policySource() string {
	if c.PolicyFile == "" {
		return policy.BuiltIn
	}
	return c.PolicyFile
}

// policy reads the policy, for no longer than ctx lasts.
func (c config) policy(ctx context.Context) (policy.Policy, error) {
	if c.PolicyFile == "" {
		grants, err := policy.Default()
		return policy.Policy{Grants: grants}, err
	}
	read, err := policy.ReadFile(ctx, c.PolicyFile)
	if err != nil {
		return policy.Policy{}, fmt.Errorf("ROLECALL_POLICY_FILE: %w", err)
	}
	return read, nil
}

// readPolicy reads the policy, and tells nobody yet.
func (p *program) readPolicy(ctx context.Context) (err error) {
	p.policy, err = policy.NewKeeper(ctx, policy.KeeperConfig{
		Source: p.cfg.policySource(), Read: p.cfg.policy, Save: p.saveGrants, Logger: p.logger,
	})
	return err
}

// saveGrants makes the database's SQL functions go by a policy that was read then.
func (p *program) saveGrants(ctx context.Context, grants clerksync.Grants, readAt time.Time) (saved store.SavedGrants, err error) {
	err = pgx.BeginFunc(ctx, p.work, func(tx pgx.Tx) (err error) {
		saved, err = store.SaveGrants(ctx, tx, grants, time.Since(readAt))
		return err
	})
	return saved, err
}

// keepPolicy saves the policy that was read, and follows it from then on.
func (p *program) keepPolicy(ctx context.Context) {
	stop := p.policy.Keep(ctx)
	p.cleanup.add("policy", func(context.Context) error { stop(); return nil })
}

// reload has the policy read anew, in the background. It never blocks.
func (p *program) reload(ctx context.Context) {
	if p.policy == nil {
		p.logger.InfoContext(ctx, "nothing to reload: this process answers nobody, and has no policy")
		return
	}
	p.policy.Reload()
}
