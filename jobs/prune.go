package jobs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/store"
)

// QueueUpkeep is the queue of jobs that no caller waits for.
const QueueUpkeep = "upkeep"

const (
	// pruneEvery is how often the leader prunes. A process also prunes when it becomes leader.
	pruneEvery = 5 * time.Minute
	// pruneFor is how long one job prunes at most. The next one continues, so that other upkeep waits
	// only briefly, and a backlog of millions takes a tenth of one connection.
	pruneFor = 30 * time.Second
	// pruneBatch bounds one statement, so that it locks nothing for long.
	pruneBatch = 1000
	// pruneTimeout bounds one job, which also forgets all that ended sweeps listed.
	pruneTimeout = 10 * time.Minute
)

// Retention says how long what is only a record is kept. 0 keeps it for ever.
type Retention struct {
	Bodies time.Duration // of deliveries that ended, since their receipt
	// Ledger is how long deliveries that ended are kept, since their receipt, and sweeps that ended.
	Ledger   time.Duration
	Sessions time.Duration // that ended; at least [store.SessionsNamed]
	Commands time.Duration // since they began; at least [store.KeysCount]
	Jobs     time.Duration // that failed for good or were cancelled
	DoneJobs time.Duration // that succeeded: the ledger is the record, and the queue should stay small
	Audit    time.Duration // of entries of the audit log that no longer hold; see cut.go
}

// Prunable is a kind of rows that are pruned. The values are labels of a metric.
type Prunable string

// The kinds of rows that are pruned.
const (
	PrunableSessions   Prunable = "sessions"
	PrunableCommands   Prunable = "commands"
	PrunableSweeps     Prunable = "sweeps"
	PrunableDeliveries Prunable = "deliveries"
	PrunableBodies     Prunable = "bodies"
)

// Prunables lists the kinds.
func Prunables() []Prunable {
	return []Prunable{PrunableSessions, PrunableCommands, PrunableSweeps, PrunableDeliveries, PrunableBodies}
}

// PruneArgs asks for a job that forgets what [Retention] says, and what ended sweeps listed.
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

// pruneSoon enqueues a job that prunes, because what a sweep listed takes room.
func pruneSoon(ctx context.Context) error {
	client, err := river.ClientFromContextSafely[pgx.Tx](ctx)
	if err != nil {
		return fmt.Errorf("find queue for pruning: %w", err)
	}
	if _, err := client.Insert(ctx, PruneArgs{}, nil); err != nil {
		return fmt.Errorf("enqueue pruning: %w", err)
	}
	return nil
}

type pruneWorker struct {
	river.WorkerDefaults[PruneArgs]

	pool   *pgxpool.Pool
	keep   Retention
	pruned func(kind Prunable, rows int)
}

// Timeout implements river.Worker.
func (*pruneWorker) Timeout(*river.Job[PruneArgs]) time.Duration { return pruneTimeout }

// Work implements river.Worker. Each batch is a transaction of its own, so that the job may end at
// any moment. The kinds take turns: a backlog of one doesn't hold up the others.
func (w *pruneWorker) Work(ctx context.Context, _ *river.Job[PruneArgs]) error {
	ends := time.Now().Add(pruneFor)
	if err := store.ForgetListed(ctx, w.pool, pruneBatch); err != nil {
		return riverResult(ctx, err)
	}
	now, err := store.Now(ctx, w.pool) // a wrong clock of this process deletes nothing too early
	if err != nil {
		return riverResult(ctx, err)
	}
	for left := w.pruners(now); len(left) > 0 && time.Now().Before(ends); {
		var more []pruner
		for _, p := range left {
			rows, err := p.batch(ctx, p.life)
			if err != nil {
				return riverResult(ctx, err)
			}
			w.pruned(p.kind, rows)
			if rows == pruneBatch {
				more = append(more, p)
			}
		}
		left = more
	}
	return nil
}

// pruner forgets batches of one kind: rows that are older than their life.
type pruner struct {
	kind  Prunable
	life  time.Duration
	batch func(ctx context.Context, life time.Duration) (rows int, err error)
}

// pruners returns those that have anything to do.
func (w *pruneWorker) pruners(now time.Time) []pruner {
	var deliveries, bodies store.Place
	all := []pruner{
		{PrunableSessions, w.keep.Sessions, func(ctx context.Context, life time.Duration) (int, error) {
			return store.PruneSessions(ctx, w.pool, life, pruneBatch)
		}},
		{PrunableCommands, w.keep.Commands, func(ctx context.Context, life time.Duration) (int, error) {
			return store.PruneCommands(ctx, w.pool, life, pruneBatch)
		}},
		{PrunableSweeps, w.keep.Ledger, func(ctx context.Context, life time.Duration) (int, error) {
			return store.PruneSweeps(ctx, w.pool, life, pruneBatch)
		}},
		{PrunableDeliveries, w.keep.Ledger, func(ctx context.Context, life time.Duration) (int, error) {
			return store.PruneDeliveries(ctx, w.pool, &deliveries, now.Add(-life), pruneBatch)
		}},
		{PrunableBodies, w.keep.Bodies, func(ctx context.Context, life time.Duration) (int, error) {
			return store.PruneBodies(ctx, w.pool, &bodies, now.Add(-life), pruneBatch)
		}},
	}
	return slices.DeleteFunc(all, func(p pruner) bool { return p.life == 0 })
}
