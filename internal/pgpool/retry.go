package pgpool

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// tooManyConnections is the SQLSTATE for a server, a database or a role without connections
	// left.
	tooManyConnections = "53300"
	// retryFor is how long opening a session is tried again while no connection is left: another
	// process may hold them only for a moment. It is less than a request may take.
	retryFor = 4 * time.Second
	// retryFirst is the first pause between tries. It doubles up to retryLongest.
	retryFirst   = 20 * time.Millisecond
	retryLongest = 500 * time.Millisecond
)

// UsedUp reports whether an error says that a server, a database or a role has no connections left.
func UsedUp(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return connecting && ok && refused.Code == tooManyConnections
}

// passing reports whether the next try to open a session may succeed, and the longest pause before
// it.
func passing(err error) (longest time.Duration, again bool) {
	if refused, ok := errors.AsType[*RefusedError](err); ok && refused.ended {
		return retryFirst, true
	}
	return retryLongest, UsedUp(err)
}

// patiently tries again, for a while, as long as no connection is left, or a pooler gives servers
// that must not answer. No statement has reached Postgres in these cases.
func patiently(ctx context.Context, try func() error) error {
	err := try()
	longest, again := passing(err)
	if !again {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	for pause := retryFirst; ; pause *= 2 {
		pause = min(pause, longest)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		err = try()
		if longest, again = passing(err); !again {
			return err
		}
	}
}

// Await returns once a session could be opened, or with the error of the last try.
func Await(ctx context.Context, pool *pgxpool.Pool) error {
	return Explain(patiently(ctx, func() error {
		conn, err := pool.Acquire(ctx)
		if err == nil {
			conn.Release()
		}
		return err
	}))
}

// Pool is a pool whose callers wait for a while, instead of failing, if Postgres has no connection
// left.
type Pool struct{ *pgxpool.Pool }

// Acquired counts how often a connection was handed out.
func (p Pool) Acquired() int64 { return p.Pool.Stat().AcquireCount() }

// Begin begins a transaction.
func (p Pool) Begin(ctx context.Context) (tx pgx.Tx, err error) {
	err = patiently(ctx, func() error { tx, err = p.Pool.Begin(ctx); return err })
	return tx, err
}

// Snapshot implements [DB].
func (p Pool) Snapshot(ctx context.Context, read func(tx pgx.Tx) error) error {
	return patiently(ctx, func() error { return pgx.BeginTxFunc(ctx, p.Pool, pgx.TxOptions{BeginQuery: beginSnapshot}, read) })
}

// Exec implements the interface that package store works on.
func (p Pool) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = patiently(ctx, func() error { tag, err = p.Pool.Exec(ctx, sql, args...); return err })
	return tag, err
}

// Query implements the interface that package store works on.
func (p Pool) Query(ctx context.Context, sql string, args ...any) (rows pgx.Rows, err error) {
	err = patiently(ctx, func() error { rows, err = p.Pool.Query(ctx, sql, args...); return err }) //nolint:sqlclosecheck // the caller's
	return rows, err
}

// QueryRow implements the interface that package store works on.
func (p Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return patientRow{first: p.Pool.QueryRow(ctx, sql, args...), ctx: ctx, pool: p.Pool, sql: sql, args: args}
}

// patientRow is a row whose query is run again if there was no connection for it.
type patientRow struct {
	first pgx.Row
	ctx   context.Context //nolint:containedctx // of the query that it stands for
	pool  *pgxpool.Pool
	sql   string
	args  []any
}

// Scan implements pgx.Row.
func (r patientRow) Scan(into ...any) error {
	row := r.first
	return patiently(r.ctx, func() error {
		if row == nil {
			row = r.pool.QueryRow(r.ctx, r.sql, r.args...)
		}
		err := row.Scan(into...)
		row = nil
		return err
	})
}
