package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// orderSlice is how long one job works on an ordered sweep. It is below rescueAfter, because a
	// leader of an older version doesn't know the kind of the job: it would discard one that runs
	// longer.
	orderSlice = 12 * time.Second
	// orderTimeout is above orderSlice, and below rescueAfter.
	orderTimeout = 18 * time.Second
	// orderPatience is how long an order waits for a Clerk that doesn't answer, or refuses calls,
	// before the sweep has begun. Later the sweep itself counts failures.
	orderPatience = 10 * time.Minute
)

// OrderedSweepArgs asks for a sweep that an operator ordered. Any process may enqueue it; a process
// that sweeps works on it.
//
// It is a kind of its own: processes of older versions leave it alone. As [SweepArgs], they would
// ignore that it is a dry run.
type OrderedSweepArgs struct {
	Operator string `json:"operator"`
	// DryRun compares and changes nothing.
	DryRun bool `json:"dry_run"`
	// ConfirmUpTo is how many memberships the operator saw at stake and confirmed. If more are at
	// stake when the sweep comes to remove them, it stops again. 0 leaves the usual limit.
	ConfirmUpTo int `json:"confirm_up_to,omitempty"`
}

// orderedSweepKind is stored with every job; it must never change.
const orderedSweepKind = "ordered_sweep"

// Kind implements river.JobArgs.
func (OrderedSweepArgs) Kind() string { return orderedSweepKind }

// InsertOpts implements river.JobArgsWithInsertOpts. One order of a sort waits or runs at a time:
// a second one, also of another operator, would find the same.
func (OrderedSweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueSweeps, MaxAttempts: maxSweepAttempts}
}

// ErrOrdered says that such a sweep is ordered already, and hasn't ended.
var ErrOrdered = errors.New("such a sweep is ordered already")

// OrderSweep enqueues a sweep in the caller's transaction, and returns the number of the order. If
// an order with the same options hasn't ended yet, it returns [ErrOrdered].
func OrderSweep(ctx context.Context, tx pgx.Tx, args OrderedSweepArgs) (int64, error) {
	if err := store.LockSweepOrders(ctx, tx); err != nil {
		return 0, err
	}
	open, err := SweepOrders(ctx, tx, openOrders)
	if err != nil {
		return 0, err
	}
	for _, o := range open {
		if !o.Ended() && o.DryRun == args.DryRun && o.ConfirmUpTo == args.ConfirmUpTo {
			return o.ID, fmt.Errorf("%w by %s", ErrOrdered, o.Operator)
		}
	}
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: migrations.Schema, SkipUnknownJobCheck: true})
	if err != nil {
		return 0, fmt.Errorf("open queue for a sweep: %w", err)
	}
	inserted, err := client.InsertTx(ctx, tx, args, nil)
	if err != nil {
		return 0, fmt.Errorf("enqueue ordered sweep: %w", err)
	}
	return inserted.Job.ID, nil
}

// openOrders is how many of the newest orders are searched for one like it.
const openOrders = 20

// OrderedSweep is an operator's order, and how far it is.
type OrderedSweep struct {
	OrderedSweepArgs
	OrderProgress

	ID        int64
	State     rivertype.JobState
	OrderedAt time.Time
	EndedAt   *time.Time // nil until it ends
	Failure   string     // why it was given up; "" if it wasn't
}

// OrderProgress is what the last slice of an order's work came to.
type OrderProgress struct {
	SweepID string `json:"sweep_id,omitempty"` // of the sweep that carries it out; "" before that begins
	Waits   string `json:"waits,omitempty"`    // what the order waits for, in words; "" if it needn't wait
}

// Ended reports whether no process works on the order any more.
func (o OrderedSweep) Ended() bool { return o.EndedAt != nil }

// SweepOrders returns the newest orders, as long as the queue keeps their jobs: [Retention] has
// DoneJobs for orders that were carried out, and Jobs for others that ended.
func SweepOrders(ctx context.Context, db store.DBTX, limit int) ([]OrderedSweep, error) {
	rows, err := store.SweepOrders(ctx, db, orderedSweepKind, limit)
	if err != nil {
		return nil, err
	}
	orders := make([]OrderedSweep, len(rows))
	for i, r := range rows {
		o := OrderedSweep{ID: r.ID, State: rivertype.JobState(r.State), OrderedAt: r.OrderedAt, EndedAt: r.EndedAt}
		if err := errors.Join(json.Unmarshal(r.Args, &o.OrderedSweepArgs), json.Unmarshal(r.Output, &o.OrderProgress)); err != nil {
			return nil, fmt.Errorf("read order %d: %w", r.ID, err)
		}
		if o.State == rivertype.JobStateCancelled || o.State == rivertype.JobStateDiscarded {
			o.Failure = r.Error
		}
		orders[i] = o
	}
	return orders, nil
}

type orderedSweepWorker struct {
	river.WorkerDefaults[OrderedSweepArgs]

	pool    *pgxpool.Pool
	sweeper *sweep.Sweeper
	logger  *slog.Logger
}

// Timeout implements river.Worker.
func (*orderedSweepWorker) Timeout(*river.Job[OrderedSweepArgs]) time.Duration { return orderTimeout }

// Work implements river.Worker. It sweeps for orderSlice and gives the job back, until the sweep
// has ended: the operator then sees its report, and decides what to do. A sweep that writes must
// have begun after the order, as that of [SweepArgs].
func (w *orderedSweepWorker) Work(ctx context.Context, job *river.Job[OrderedSweepArgs]) error {
	if !job.Args.DryRun {
		clean, err := store.LastCleanSweep(ctx, w.pool)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return riverResult(ctx, err)
		}
		if clean.StartedAt.After(job.CreatedAt) {
			return river.RecordOutput(ctx, OrderProgress{SweepID: clean.Name()})
		}
	}
	slice, cancel := context.WithTimeout(ctx, orderSlice)
	defer cancel()
	report, err := runSlice(ctx, slice, w.sweeper, w.logger, sweep.Options{
		Trigger: sweep.TriggerOperator, DryRun: job.Args.DryRun,
		Order: sweep.Order{ID: job.ID, Operator: job.Args.Operator, ConfirmUpTo: job.Args.ConfirmUpTo},
	})
	progress := OrderProgress{SweepID: report.SweepID}
	result := w.conclude(ctx, slice, job, report, err, &progress)
	return errors.Join(result, river.RecordOutput(ctx, progress))
}

// conclude says whether the order is carried out, or waits. It notes what it waits for.
func (w *orderedSweepWorker) conclude(
	ctx, slice context.Context, job *river.Job[OrderedSweepArgs], report sweep.Report, err error, progress *OrderProgress,
) error {
	switch {
	case err == nil && (report.Aborted || job.Args.DryRun):
		return nil
	case err == nil:
		return river.JobSnooze(0) // looked at once more: a sweep that was continued may have begun too early
	case errors.Is(err, sweep.ErrRunning):
		progress.Waits = "another sweep is running"
	case clerkIsAway(err) && report.SweepID == "" && time.Since(job.CreatedAt) > orderPatience:
		return river.JobCancel(fmt.Errorf("the sweep couldn't begin: %w", err))
	case clerkIsAway(err):
		progress.Waits = err.Error()
	}
	return whenInterrupted(ctx, slice, w.logger, report, err)
}

// clerkIsAway reports whether Clerk didn't answer, or accepts no more calls now.
func clerkIsAway(err error) bool {
	return errors.Is(err, clerksync.ErrUnavailable) || errors.Is(err, clerksync.ErrRateLimited)
}
