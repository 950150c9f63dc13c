package jobs

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/store"
)

// QueueUpkeep is the queue of jobs that no caller waits for.
const QueueUpkeep = "upkeep"

const (
	// pruneEvery is how often the leader prunes. A process also prunes when it becomes leader.
	pruneEvery = time.Hour
	// pruneBatch bounds one statement, so that it locks nothing for long.
	pruneBatch = 1000
	// pruneTimeout bounds one job; the next one continues.
	pruneTimeout = 10 * time.Minute
)

// PruneArgs asks for a job that forgets old commands, ended sessions and the bodies of old
// deliveries. The rows of deliveries stay in the ledger for ever.
type PruneArgs struct{}

// Kind implements river.JobArgs. It is stored with every job; it must never change.
func (PruneArgs) Kind() string { return "prune_bodies" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (PruneArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

// pruning makes the leader prune now and then.
func pruning() []*river.PeriodicJob {
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(pruneEvery),
		func() (river.JobArgs, *river.InsertOpts) { return PruneArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})}
}

type pruneWorker struct {
	river.WorkerDefaults[PruneArgs]

	pool      *pgxpool.Pool
	retention time.Duration
}

// Timeout implements river.Worker.
func (*pruneWorker) Timeout(*river.Job[PruneArgs]) time.Duration { return pruneTimeout }

// Work implements river.Worker. Each batch is a transaction of its own, so that the job may end at
// any moment.
func (w *pruneWorker) Work(ctx context.Context, _ *river.Job[PruneArgs]) error {
	if w.retention > 0 {
		if err := prune(func() (int, error) {
			return store.PruneBodies(ctx, w.pool, time.Now().Add(-w.retention), pruneBatch)
		}); err != nil {
			return riverResult(ctx, err)
		}
	}
	err := prune(func() (int, error) { return store.PruneSessions(ctx, w.pool, pruneBatch) })
	if err == nil {
		err = prune(func() (int, error) { return store.PruneCommands(ctx, w.pool, pruneBatch) })
	}
	return riverResult(ctx, err)
}

// prune repeats a batch until one forgets fewer than pruneBatch rows.
func prune(batch func() (int, error)) error {
	for {
		if pruned, err := batch(); err != nil || pruned < pruneBatch {
			return err
		}
	}
}
