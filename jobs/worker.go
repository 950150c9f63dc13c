package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

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
}

// Work implements river.Worker. Mirror, audit log and ledger change in one transaction. If that fails while the database
// is there, the batch is taken apart, so that one delivery stops no other.
//
// River completes the job afterwards, many at once: within the transaction (JobCompleteTx) it took a fifth of the time
// from accepted to enforced, and a job that runs twice finds nothing left to do.
func (w *applyWorker) Work(ctx context.Context, job *river.Job[ApplyArgs]) error {
	err := w.inTx(ctx, job.Args.SvixIDs)
	if err != nil && ctx.Err() == nil { // a cut connection says nothing about the next one
		err = w.takeApart(ctx, job.Args.SvixIDs)
	}
	if err != nil {
		w.logger.WarnContext(ctx, "apply deliveries", "error", err, "count", len(job.Args.SvixIDs))
	}
	return outcome(ctx, err)
}

// inTx applies deliveries in one transaction.
func (w *applyWorker) inTx(ctx context.Context, svixIDs []string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	outcome, err := w.commit(ctx, svixIDs)
	if ctx.Err() != nil && err != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return fmt.Errorf("apply %d deliveries: %w", len(svixIDs), err)
	}
	for _, d := range outcome.Deliveries {
		w.ended(d.State)
		logQuarantine(ctx, w.logger, d)
	}
	return nil
}

// commit begins the transaction and ends it. It does so again, at once, if somebody else was first to hear of an object.
func (w *applyWorker) commit(ctx context.Context, svixIDs []string) (outcome store.Outcome, err error) {
	for range maxRaces {
		err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) (err error) {
			var rolesMoved bool
			if outcome, rolesMoved, err = apply(ctx, tx, svixIDs); err != nil {
				return err
			}
			if rolesMoved && w.sweeps {
				if err := sweepSoon(ctx, tx, time.Now()); err != nil {
					return err
				}
			}
			return store.Finish(ctx, tx, outcome, time.Now())
		})
		if !errors.Is(err, store.ErrRaced) {
			break
		}
	}
	return outcome, err
}

// takeApart applies each delivery in a transaction of its own. It returns an error while any of them waits for
// another attempt, and nil once all are applied or quarantined.
func (w *applyWorker) takeApart(ctx context.Context, svixIDs []string) error {
	var errs []error
	for _, id := range svixIDs {
		err := w.inTx(ctx, []string{id})
		if err == nil {
			continue
		}
		err = fmt.Errorf("delivery %s: %w", id, err)
		if ctx.Err() != nil || blameFor(err) == ofDatabase {
			return err
		}
		if blameFor(err) == ofDelivery {
			state, failErr := store.FailDelivery(ctx, w.pool, id, err, maxDeliveryAttempts)
			if failErr != nil {
				return failErr
			}
			if state != clerksync.StateReceived {
				w.ended(state)
				logQuarantine(ctx, w.logger, clerksync.Delivery{ID: id, State: state, Reason: err.Error()})
				continue
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// logQuarantine tells that a delivery was set aside: somebody should look at it.
func logQuarantine(ctx context.Context, logger *slog.Logger, d clerksync.Delivery) {
	if d.State == clerksync.StateQuarantined {
		logger.ErrorContext(ctx, "delivery quarantined", "svix_id", d.ID, "event_type", d.Type, "error", d.Reason)
	}
}
