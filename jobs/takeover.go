package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// takeOverEvery is how often an instance looks for deliveries that no job will apply.
	takeOverEvery = 2 * time.Second
	// takeOverAfter is how long a delivery must have waited before an instance looks whether it has
	// a job.
	takeOverAfter = 5 * time.Second
	// takeOverLimit bounds one round; the next one continues.
	takeOverLimit = 100 * MaxBatch
)

// takeOverLoop takes over now and every few seconds, until ctx ends. River's own rescue can wait
// for the lease of a dead leader, and doesn't know of jobs that were discarded or deleted by hand.
func (w *Workers) takeOverLoop(ctx context.Context) {
	ticker := time.NewTicker(takeOverEvery)
	defer ticker.Stop()
	for {
		if n, err := w.takeOver(ctx, time.Now()); err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "take over stranded deliveries", "error", err)
		} else if n > 0 {
			w.cfg.Logger.WarnContext(ctx, "stranded deliveries taken over", "count", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// takeOver enqueues again every delivery that has waited for long without a job that will apply it,
// and returns their number. Enqueuing one twice does no harm: the ledger's state says whether it
// still waits.
func (w *Workers) takeOver(ctx context.Context, now time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	oldest, err := store.OldestReceived(ctx, w.cfg.Pool)
	if err != nil || oldest.IsZero() || oldest.After(now.Add(-takeOverAfter)) {
		return 0, err
	}
	var stranded []clerksync.Delivery
	err = pgx.BeginFunc(ctx, w.cfg.Pool, func(tx pgx.Tx) error {
		if locked, err := store.TryTakeOver(ctx, tx); err != nil || !locked {
			return err
		}
		stranded, err = store.StrandedDeliveries(ctx, tx, store.Stranded{
			Kind: applyKind, ReceivedBefore: now.Add(-takeOverAfter), AttemptedAfter: now.Add(-jobTimeout), Limit: takeOverLimit,
		})
		if err != nil {
			return err
		}
		return enqueue(ctx, w.client, tx, stranded)
	})
	if err != nil {
		return 0, fmt.Errorf("enqueue stranded deliveries: %w", err)
	}
	return len(stranded), nil
}
