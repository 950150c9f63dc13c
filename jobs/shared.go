package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
)

const (
	// lockPatience is how long a transaction is tried again that another session's lock keeps from going on.
	lockPatience = time.Second
	// lockPause is how long it waits in between, without a connection.
	lockPause = lockWait
)

// shared is a pool in which each workspace has its share, so that one whose rows are locked leaves connections to the others.
type shared struct {
	pool      DB
	shares    *store.Shares // of each workspace
	all       *store.Shares // of all who use the pool in this way, if others use it, too; or nil
	workspace string        // "" for what is of none
}

// inTx runs a transaction that waits for locks only briefly, again while it is kept from going on by one.
func (s shared) inTx(ctx context.Context, do func(pgx.Tx) error) error {
	var until time.Time // from the first turn on
	for {
		err := s.inTurn(ctx, func() error {
			if until.IsZero() {
				until = time.Now().Add(lockPatience)
			}
			return pgx.BeginFunc(ctx, s.pool, briefly(ctx, do))
		})
		if !isCode(err, lockNotAvailable) || time.Now().After(until) {
			return err
		}
		if waitFor(ctx, lockPause) != nil {
			return err
		}
	}
}

// briefly bounds how long a transaction waits for locks. The pool may be a pooler's, which begins transactions in its own way.
func briefly(ctx context.Context, do func(pgx.Tx) error) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", lockWait.Milliseconds())); err != nil {
			return fmt.Errorf("bound waiting for locks: %w", err)
		}
		return do(tx)
	}
}

// inTurn does what uses the pool when it is the workspace's turn.
func (s shared) inTurn(ctx context.Context, do func() error) error {
	release, err := s.shares.Take(ctx, s.workspace)
	if err != nil {
		return err
	}
	defer release()
	releaseAll, err := s.all.Take(ctx, "")
	if err != nil {
		return err
	}
	defer releaseAll()
	return do()
}

// waitFor waits for a while, or returns an error at the end of ctx.
func waitFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// raced runs a transaction again, at once, while somebody else is first to hear of an object.
func (s shared) raced(ctx context.Context, do func(pgx.Tx) error) (err error) {
	for range maxRaces {
		if err = s.inTx(ctx, do); !errors.Is(err, store.ErrRaced) {
			break
		}
	}
	return err
}
