package replica

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callmine/rolecall/internal/pgpool"
)

// DB is the database that a read gets. It implements the interface that package store works on.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Read runs a function on the replica. Each of its statements is proven. asOf is the instant up to
// which the answer is complete. unanswered is true if the replica gave no answer that counts: the
// caller asks the primary, and the function runs again there; err says why, for [Request.Missed].
// Otherwise, err is the function's.
func (r *Replica) Read(ctx context.Context, read func(DB) error) (asOf time.Time, unanswered bool, err error) {
	v := &view{replica: r}
	err = read(v)
	switch {
	case v.fault == nil:
		r.succeeded()
		return v.oldest, false, err
	case errors.Is(ctx.Err(), context.Canceled): // the caller has gone: nothing is known of the replica
		return time.Time{}, true, err
	default:
		r.failed(v.fault)
		return time.Time{}, true, v.fault
	}
}

// view is the replica as one read sees it.
type view struct {
	replica *Replica
	oldest  time.Time // of the instants by which its statements were proven
	fault   *unfitError
}

// Query runs a proven statement.
func (v *view) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := v.query(ctx, sql, args)
	if err != nil {
		return nil, v.blame(err)
	}
	return rows, nil
}

func (v *view) query(ctx context.Context, sql string, args []any) (pgx.Rows, error) {
	h, why := v.replica.demand()
	if why != OutcomeAnswered {
		return nil, &unfitError{outcome: why, unasked: true}
	}
	cfg := v.replica.set.cfg
	ctx, cancel := context.WithTimeout(ctx, min(cfg.MaxLag-age(h.at, cfg.now()), longestTry))
	rows, err := pgpool.QueryProven(ctx, v.replica.Pool, pgpool.Proof{SQL: proofSQL, Args: []any{v.replica.set.process}, Judge: func(row pgx.Row) error {
		var at place
		if err := at.scan(row); err != nil || cfg.unproven {
			return err
		}
		return at.judge(h)
	}}, sql, args...)
	if err != nil {
		err = v.late(ctx, err)
		cancel()
		return nil, err
	}
	return &provenRows{Rows: rows, view: v, ctx: ctx, cancel: cancel, at: h.at}, nil
}

// judge refuses a server that isn't proven to have what a pulse covers.
func (p *place) judge(h heard) error {
	switch {
	case !p.inRecovery:
		return unfit(OutcomeNotInRecovery)
	case p.history != h.history:
		return unfit(OutcomeOtherHistory)
	case p.replayed < h.number:
		return unfit(OutcomeBehind)
	}
	return nil
}

// late says of an error at the end of the time that it is one.
func (v *view) late(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &unfitError{outcome: OutcomeLate, cause: err}
	}
	return err
}

// blame notes the first fault, and returns it.
func (v *view) blame(err error) error {
	if v.fault == nil {
		fault, ok := errors.AsType[*unfitError](err)
		if !ok {
			fault = &unfitError{outcome: faultOf(err), cause: pgpool.Explain(err)}
		}
		v.fault = fault
	}
	return v.fault
}

// proven notes an answer that is complete. It counts only within the bound.
func (v *view) proven(at time.Time) error {
	cfg := v.replica.set.cfg
	if age(at, cfg.now()) > cfg.MaxLag {
		return v.blame(unfit(OutcomeLate))
	}
	if v.oldest.IsZero() || at.Before(v.oldest) {
		v.oldest = at
	}
	return nil
}

// Exec runs a proven statement.
func (v *view) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	rows, err := v.Query(ctx, sql, args...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	rows.Close()
	return rows.CommandTag(), rows.Err()
}

// QueryRow runs a proven statement that gives at most one row.
func (v *view) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := v.Query(ctx, sql, args...)
	return oneRow{rows, err}
}

// errNoBatches says that reads send no batches.
var errNoBatches = errors.New("a replica gets one statement at a time")

// SendBatch fails: a batch is for the primary.
func (v *view) SendBatch(context.Context, *pgx.Batch) pgx.BatchResults {
	return pgpool.FailedBatch(v.blame(errNoBatches))
}

// provenRows are rows that count only if all of them have come within the bound.
type provenRows struct {
	pgx.Rows

	view   *view
	ctx    context.Context //nolint:containedctx // of the statement
	cancel context.CancelFunc
	at     time.Time
	ended  bool
	err    error
}

// Next implements pgx.Rows.
func (r *provenRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close implements pgx.Rows.
func (r *provenRows) Close() {
	if r.ended {
		return
	}
	r.ended = true
	r.Rows.Close()
	if err := r.Rows.Err(); err != nil {
		r.err = r.view.blame(r.view.late(r.ctx, err))
	} else {
		r.err = r.view.proven(r.at)
	}
	r.cancel()
}

// Err implements pgx.Rows.
func (r *provenRows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.Rows.Err()
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
