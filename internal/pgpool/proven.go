package pgpool

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Proof is a statement that is asked right before another one, in the same round trip and on the
// same session.
type Proof struct {
	// SQL gives one row.
	SQL  string
	Args []any
	// Judge scans that row. Its error is that of the statement, whose rows nobody sees then.
	Judge func(row pgx.Row) error
}

// QueryProven runs a statement after a proof. The proof has ended before the statement takes its
// snapshot: both are messages of one pipeline, which Postgres answers one after the other in one
// transaction, and in READ COMMITTED each statement has its own snapshot. So what the proof saw of
// a server that only goes forward holds for the statement. In a single statement it wouldn't:
// Postgres takes the snapshot first and calls functions afterwards.
//
// The pool's sessions must keep their settings: a pool of [Open].
func QueryProven(ctx context.Context, pool *pgxpool.Pool, p Proof, sql string, args ...any) (pgx.Rows, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(p.SQL, p.Args...)
	batch.Queue(sql, args...)
	both := &pipelined{conn: conn, results: conn.SendBatch(ctx, batch)}
	if err := p.Judge(both.results.QueryRow()); err != nil {
		_ = both.end(ctx) // the proof's error says more
		return nil, err
	}
	rows, err := both.results.Query()
	if err != nil {
		_ = both.end(ctx) // the same error
		return nil, err
	}
	return &lastRows{Rows: rows, end: func() error { return both.end(ctx) }}, nil
}
