package merge

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
)

// DB is a pool that transactions begin on.
type DB interface {
	store.DBTX
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Pool is a pool of connections in which each workspace uses one at a time, so that a workspace
// whose rows are locked leaves connections to the others.
type Pool struct {
	db     DB
	shares *store.Shares // of each workspace
	all    *store.Shares // of all together; nil bounds nothing
}

// NewPool returns a pool on db. most bounds how many connections all workspaces use together, for a
// db that others use, too; 0 sets no bound.
func NewPool(db DB, most int) *Pool {
	p := &Pool{db: db, shares: store.NewShares(1)}
	if most > 0 {
		p.all = store.NewShares(most)
	}
	return p
}

// Tx runs a transaction of a workspace in its turn. Each attempt waits for locks only briefly; r
// says when the transaction is tried again.
func (p *Pool) Tx(ctx context.Context, workspace string, r Retry, do func(pgx.Tx) error) error {
	return r.Run(ctx, func() error {
		return p.InTurn(ctx, workspace, func() error { return pgx.BeginFunc(ctx, p.db, briefly(ctx, do)) })
	})
}

// briefly bounds how long a transaction waits for locks. It does so with a statement of its own,
// because a db on a pooler begins transactions in its own way.
func briefly(ctx context.Context, do func(pgx.Tx) error) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", LockWait.Milliseconds())); err != nil {
			return fmt.Errorf("bound waiting for locks: %w", err)
		}
		return do(tx)
	}
}

// InTurn calls use once it is the workspace's turn to use the pool.
func (p *Pool) InTurn(ctx context.Context, workspace string, use func() error) error {
	release, err := p.shares.Take(ctx, workspace)
	if err != nil {
		return err
	}
	defer release()
	releaseAll, err := p.all.Take(ctx, "")
	if err != nil {
		return err
	}
	defer releaseAll()
	return use()
}
