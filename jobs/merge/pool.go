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

// Pool is a pool of connections in which each workspace uses one at a time, so that one whose rows
// are locked leaves connections to the others.
type Pool struct {
	db     DB
	shares *store.Shares // of each workspace
	all    *store.Shares // of all together; nil bounds nothing
}

// NewPool returns a pool on db. most bounds how many connections all workspaces use at once, where
// others use db, too; 0 bounds nothing.
func NewPool(db DB, most int) *Pool {
	p := &Pool{db: db, shares: store.NewShares(1)}
	if most > 0 {
		p.all = store.NewShares(most)
	}
	return p
}

// Tx runs a transaction of a workspace's in its turn. It waits for locks only briefly each time,
// and is tried again as r says.
func (p *Pool) Tx(ctx context.Context, workspace string, r Retry, do func(pgx.Tx) error) error {
	return r.Run(ctx, func() error {
		return p.InTurn(ctx, workspace, func() error { return pgx.BeginFunc(ctx, p.db, briefly(ctx, do)) })
	})
}

// briefly bounds how long a transaction waits for locks. The pool may be a pooler's, which begins
// transactions in its own way.
func briefly(ctx context.Context, do func(pgx.Tx) error) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", LockWait.Milliseconds())); err != nil {
			return fmt.Errorf("bound waiting for locks: %w", err)
		}
		return do(tx)
	}
}

// InTurn uses the pool when it is the workspace's turn.
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
