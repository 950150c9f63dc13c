package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// applyWorker applies batches of deliveries.
type applyWorker struct {
	river.WorkerDefaults[ApplyArgs]

	pool   *pgxpool.Pool
	logger *slog.Logger
	ended  func(clerksync.State)
	sweeps bool // sweep soon after roles moved

	stalls   stalls
	pace     pace
	patients atomic.Int32 // how many transactions take their time now
}

// Work implements river.Worker. Mirror, audit log and ledger change in one transaction. In the first queues it is tried
// once and briefly: what fails there goes aside, so that no delivery holds a worker that another workspace's removal needs.
//
// River completes the job afterwards, many at once: within the transaction (JobCompleteTx) it took a fifth of the time
// from accepted to enforced, and a job that runs twice finds nothing left to do.
func (w *applyWorker) Work(ctx context.Context, job *river.Job[ApplyArgs]) error {
	work := w.workBriefly
	if job.Queue == QueueHeldUp {
		work = w.workHeldUp
	}
	err := work(ctx, job)
	if _, later := errors.AsType[*rivertype.JobSnoozeError](err); err != nil && !later {
		w.logger.WarnContext(ctx, "apply deliveries", "error", err, "count", len(job.Args.SvixIDs))
	}
	return outcome(ctx, err)
}

// workBriefly tries the whole batch, and sets aside what fails.
func (w *applyWorker) workBriefly(ctx context.Context, job *river.Job[ApplyArgs]) error {
	try := attempt{ids: job.Args.SvixIDs, bounds: w.brief(len(job.Args.SvixIDs)), queue: job.Queue}
	_, err := w.inTx(ctx, try)
	if err != nil && ctx.Err() == nil && blameFor(err) == ofDatabase { // a cut connection says nothing about the next one
		_, err = w.inTx(ctx, try)
	}
	for range againForLock {
		if isCode(err, lockNotAvailable) && ctx.Err() == nil {
			_, err = w.inTx(ctx, try)
		}
	}
	if err == nil || ctx.Err() != nil || blameFor(err) == ofDatabase {
		return err
	}
	return w.setAside(ctx, job, err)
}

// againForLock is how often a batch is tried again at once that waited for a lock in vain. Workers of ours that write into the
// same workspace hold its rows for some milliseconds each, and several of them wait for each other.
const againForLock = 1

// attempt is one transaction that applies deliveries.
type attempt struct {
	ids    []string
	bounds bounds
	queue  string // of the job; in the first ones, what is held up is left out
}

// inTx applies deliveries in one transaction, and reports whether that took long.
func (w *applyWorker) inTx(ctx context.Context, a attempt) (slow bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	done, err := w.commit(ctx, a)
	if ctx.Err() != nil && err != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return false, fmt.Errorf("apply %d deliveries: %w", len(a.ids), err)
	}
	for _, d := range done.Deliveries {
		w.ended(d.State)
		logQuarantine(ctx, w.logger, d)
	}
	return done.slow, nil
}

// commit begins the transaction and ends it. It does so again, at once, if somebody else was first to hear of an object.
func (w *applyWorker) commit(ctx context.Context, a attempt) (done applied, err error) {
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return done, fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Release()
	for range maxRaces {
		began := time.Now()
		err = pgx.BeginTxFunc(ctx, conn, a.bounds.options(), func(tx pgx.Tx) (err error) {
			w.pace.took(time.Since(began))
			done, err = w.applyIn(ctx, tx, a, began)
			return err
		})
		if !errors.Is(err, store.ErrRaced) {
			break
		}
	}
	return done, err
}

// applyIn applies deliveries within a transaction, and finishes it.
func (w *applyWorker) applyIn(ctx context.Context, tx pgx.Tx, a attempt, began time.Time) (done applied, err error) {
	if done, err = apply(ctx, tx, a.ids, w.heldUp(a)); err != nil {
		return done, err
	}
	if done.rolesMoved && w.sweeps {
		if err := sweepSoon(ctx, tx, time.Now()); err != nil {
			return done, err
		}
	}
	if err := moveOut(ctx, tx, a.queue, done); err != nil || len(done.Deliveries) == 0 {
		return done, err
	}
	done.slow = (watch{began, done.locked}).slowly() // before Finish, which waits for others that write into the workspace
	if err := store.Finish(ctx, tx, done.Writes, time.Now()); err != nil {
		return done, err
	}
	if done.slow && (a.queue == QueueRevocations || a.queue == QueueHeldUp) {
		return done, w.noteSlow(ctx, tx, done)
	}
	return done, nil
}

// logQuarantine tells that a delivery was set aside: somebody should look at it.
func logQuarantine(ctx context.Context, logger *slog.Logger, d clerksync.Delivery) {
	if d.State == clerksync.StateQuarantined {
		logger.ErrorContext(ctx, "delivery quarantined", "svix_id", d.ID, "event_type", d.Type, "error", d.Reason)
	}
}
