package pgpool

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rollbackTimeout bounds the end of a transaction that failed.
const rollbackTimeout = time.Second

// pipelined is a transaction that was sent as a whole.
type pipelined struct {
	conn    *pgxpool.Conn
	results pgx.BatchResults
	ended   bool
	err     error
}

// end reads the remaining answers, COMMIT's included, and gives the connection back.
func (p *pipelined) end(ctx context.Context) error {
	if p.ended {
		return p.err
	}
	p.ended, p.err = true, p.results.Close()
	if pg := p.conn.Conn().PgConn(); !pg.IsClosed() && pg.TxStatus() != 'I' { // the statement failed, and COMMIT was skipped
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		if _, err := pg.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
			_ = pg.Close(ctx) // it is broken already
		}
	}
	p.conn.Release()
	return p.err
}

// lastRows are rows whose end is the end of their transaction.
type lastRows struct {
	pgx.Rows

	end func() error
	err error
}

// Next implements pgx.Rows.
func (r *lastRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close implements pgx.Rows.
func (r *lastRows) Close() {
	r.Rows.Close()
	if err := r.end(); r.err == nil {
		r.err = err
	}
}

// Err implements pgx.Rows. It includes that the transaction couldn't be committed.
func (r *lastRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

// oneRow is the first row of a query.
type oneRow struct {
	rows pgx.Rows
	err  error
}

// Scan implements pgx.Row.
func (r oneRow) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(into...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// committing is a batch whose end is the end of its transaction.
type committing struct {
	pgx.BatchResults

	ctx context.Context //nolint:containedctx // of the batch, which has none of its own at its end
	tx  pgx.Tx
}

// Close implements pgx.BatchResults.
func (c committing) Close() error {
	if err := c.BatchResults.Close(); err != nil {
		_ = c.tx.Rollback(c.ctx) // the batch's error says more
		return err
	}
	return c.tx.Commit(c.ctx)
}

// FailedBatch returns the results of a batch that couldn't be sent.
func FailedBatch(err error) pgx.BatchResults { return failedBatch{err} }

// failedBatch is a batch that couldn't be sent.
type failedBatch struct{ err error }

// Exec implements pgx.BatchResults.
func (f failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, f.err }

// Query implements pgx.BatchResults.
func (f failedBatch) Query() (pgx.Rows, error) { return nil, f.err }

// QueryRow implements pgx.BatchResults.
func (f failedBatch) QueryRow() pgx.Row { return oneRow{nil, f.err} }

// Close implements pgx.BatchResults.
func (f failedBatch) Close() error { return f.err }

// Tx implements pgx.BatchResults.
func (failedBatch) Tx() pgx.Tx { return nil }
