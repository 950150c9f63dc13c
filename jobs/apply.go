package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/trace"

	"github.com/callmine/rolecall/internal/rounds"
	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// applyWorker applies batches of deliveries.
type applyWorker struct {
	river.WorkerDefaults[ApplyArgs]

	pool   *pgxpool.Pool
	tracer trace.Tracer // nil if jobs aren't traced
	logger *slog.Logger
	ended  func(clerksync.State, time.Duration)
	sweeps bool // sweep soon after roles moved

	rounds map[string]*rounds.Rounds[string, *trace.SpanContext] // by queue; an answer names the round's span, if it has one
	turns  *store.Shares                                         // of the jobs of a queue that failed in a round

	stalls     stalls
	pace       pace
	patientNow atomic.Int32 // how many transactions run now with the bounds of patient
}

func newApplyWorker(c WorkersConfig) *applyWorker {
	w := &applyWorker{pool: c.Pool, logger: c.Logger, ended: c.Ended, sweeps: c.Sweeper != nil, turns: store.NewShares(jobsAlone)}
	if c.Tracers != nil {
		w.tracer = c.Tracers.Tracer(tracerName)
	}
	w.rounds = map[string]*rounds.Rounds[string, *trace.SpanContext]{
		QueueApply:       w.inRounds(QueueApply, applyRounds, worthARound),
		QueueRevocations: w.inRounds(QueueRevocations, revocationRounds, 0),
	}
	return w
}

// Work implements river.Worker. Mirror, audit log and ledger change in one transaction. In the
// queues of new deliveries that transaction has short bounds. The deliveries that fail there go
// aside, so that the workers stay free for removals from other workspaces.
//
// River completes the job afterwards, many at once. Completing it within the transaction
// (JobCompleteTx) made up a fifth of the time from accepted to enforced. The second run of a job
// finds nothing left to do.
func (w *applyWorker) Work(ctx context.Context, job *river.Job[ApplyArgs]) error {
	work := w.workBriefly
	if job.Queue == QueueHeldUp {
		work = w.workHeldUp
	}
	ctx, span := w.startJob(ctx, job)
	err := work(ctx, job)
	endSpan(span, err)
	if _, later := errors.AsType[*rivertype.JobSnoozeError](err); err != nil && !later {
		w.logger.WarnContext(ctx, "apply deliveries", "error", err, "count", len(job.Args.SvixIDs))
	}
	return riverResult(ctx, err)
}

// attempt is one transaction that applies deliveries.
type attempt struct {
	ids    []string
	bounds merge.Bounds
	queue  string // of the job; in the queues of new deliveries, held-up deliveries are left out
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
	now := time.Now()
	for _, d := range done.Deliveries {
		w.ended(d.State, now.Sub(d.WaitsSince))
		logQuarantine(ctx, w.logger, d)
	}
	return done.slow, nil
}

// commit begins the transaction and ends it. The last statements of a transaction that applies
// deliveries commit it, too; pgx' own commit would be one more round trip.
func (w *applyWorker) commit(ctx context.Context, a attempt) (done applied, err error) {
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return done, fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Release()
	err = merge.Retry{}.Run(ctx, func() error {
		began := time.Now()
		tx, err := conn.BeginTx(ctx, a.bounds.Options())
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		w.pace.took(time.Since(began))
		if done, err = w.applyIn(ctx, tx, a, began); err == nil && conn.Conn().PgConn().TxStatus() == idle {
			return nil
		}
		return endTx(ctx, tx, err)
	})
	if err == nil && done.slow && (a.queue == QueueRevocations || a.queue == QueueHeldUp) {
		w.noteSlow(ctx, conn, done.Applied)
	}
	return done, err
}

// idle is the status of a session without a transaction.
const idle = 'I'

// endTx commits a transaction, or rolls it back after an error.
func endTx(ctx context.Context, tx pgx.Tx, err error) error {
	if err == nil {
		return tx.Commit(ctx)
	}
	_ = tx.Rollback(ctx) // the first error says more
	return err
}

// applied is what a transaction applied, and whether that took long.
type applied struct {
	merge.Applied

	slow bool
}

// applyIn applies deliveries within a transaction, and commits it, unless nothing is left to apply.
func (w *applyWorker) applyIn(ctx context.Context, tx pgx.Tx, a attempt, began time.Time) (done applied, err error) {
	done.Applied, err = merge.Deliveries(ctx, tx, merge.Batch{
		SvixIDs: a.ids,
		Select:  w.leaveOut(ctx, tx, a),
		Written: func(written merge.Applied) error {
			done.slow = timing{began: began, locked: written.Locked}.slow() // measured before it waits for other writers of the workspace
			if written.RolesMoved && w.sweeps {
				return sweepSoon(ctx, tx, time.Now())
			}
			return nil
		},
		Commit: true,
	})
	return done, err
}

// leaveOut returns a function that selects the deliveries to apply now. The function enqueues the
// others: they concern workspaces or objects that are remembered as held up. leaveOut returns nil
// if nothing is remembered.
func (w *applyWorker) leaveOut(ctx context.Context, tx pgx.Tx, a attempt,
) func([]clerksync.Delivery, []clerksync.Facts) ([]clerksync.Delivery, []clerksync.Facts, error) {
	heldUp := w.remembered(a)
	if heldUp == nil {
		return nil
	}
	return func(deliveries []clerksync.Delivery, facts []clerksync.Facts) (now []clerksync.Delivery, factsNow []clerksync.Facts, err error) {
		singles, err := singlesOf(ctx, tx, deliveries, facts)
		if err != nil {
			return nil, nil, err
		}
		var suspects, certain []part
		for _, p := range inParts(singles) {
			switch heldUp(p) {
			case notStalled:
			case suspected:
				suspects = append(suspects, p)
			default:
				certain = append(certain, p)
			}
		}
		out := append(idsOf(suspects), idsOf(certain)...)
		for i, d := range deliveries {
			if !slices.Contains(out, d.ID) {
				now = append(now, d)
				factsNow = append(factsNow, facts[i])
			}
		}
		return now, factsNow, moveOut(ctx, tx, a.queue, suspects, certain)
	}
}

// logQuarantine logs a delivery if it is quarantined: an operator should look at it.
func logQuarantine(ctx context.Context, logger *slog.Logger, d clerksync.Delivery) {
	if d.State == clerksync.StateQuarantined {
		logger.ErrorContext(ctx, "delivery quarantined", "svix_id", d.ID, "event_type", d.Type, "error", d.Reason)
	}
}
