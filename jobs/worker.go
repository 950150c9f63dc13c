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
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// applyWorker applies batches of deliveries.
type applyWorker struct {
	river.WorkerDefaults[ApplyArgs]

	pool    *pgxpool.Pool
	logger  *slog.Logger
	applied func(clerksync.State)
}

// Work implements river.Worker. Mirror, ledger and job change in one transaction. If that fails for another reason
// than the database, the batch is taken apart: each delivery is tried alone, and only those that fail are kept.
func (w *applyWorker) Work(ctx context.Context, job *river.Job[ApplyArgs]) error {
	err := w.inTx(ctx, job.Args.SvixIDs, func(tx pgx.Tx) error {
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
	if err == nil || ctx.Err() != nil || store.Unavailable(err) {
		return outcome(ctx, err)
	}
	return outcome(ctx, w.takeApart(ctx, job.Args.SvixIDs))
}

// inTx applies deliveries and runs also in one transaction.
func (w *applyWorker) inTx(ctx context.Context, svixIDs []string, also func(pgx.Tx) error) error {
	var finished []clerksync.Delivery
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) (err error) {
		if finished, err = apply(ctx, tx, svixIDs, time.Now()); err != nil {
			return err
		}
		return also(tx)
	})
	if err != nil {
		return fmt.Errorf("apply %d deliveries: %w", len(svixIDs), err)
	}
	for _, d := range finished {
		w.report(ctx, d)
	}
	return nil
}

// takeApart applies each delivery in a transaction of its own. It returns an error while any of them waits for
// another attempt, and nil once all are applied or quarantined.
func (w *applyWorker) takeApart(ctx context.Context, svixIDs []string) error {
	var errs []error
	for _, id := range svixIDs {
		err := w.inTx(ctx, []string{id}, func(pgx.Tx) error { return nil })
		if err == nil {
			continue
		}
		if ctx.Err() != nil || store.Unavailable(err) {
			return err
		}
		state, failErr := store.FailDelivery(ctx, w.pool, id, err, maxDeliveryAttempts)
		switch {
		case failErr != nil:
			return failErr
		case state == clerksync.StateQuarantined:
			w.report(ctx, clerksync.Delivery{ID: id, State: state, Reason: err.Error()})
		case state == clerksync.StateReceived:
			errs = append(errs, fmt.Errorf("delivery %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// report counts a delivery that ended, and logs one that is set aside: somebody should look at it.
func (w *applyWorker) report(ctx context.Context, d clerksync.Delivery) {
	w.applied(d.State)
	if d.State == clerksync.StateQuarantined {
		w.logger.ErrorContext(ctx, "delivery quarantined", "svix_id", d.ID, "event_type", d.Type, "error", d.Reason)
	}
}
