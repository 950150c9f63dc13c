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
)

// QueueSweeps is the queue of sweeps.
const QueueSweeps = "sweeps"

const (
	// sweepSlice is how long one job sweeps. Then it gives itself back, and goes on from the last page: so a process that
	// dies holds nothing up for long, and a stop waits for one page.
	sweepSlice = 30 * time.Second
	// sweepTimeout is above sweepSlice. A job that runs for longer is its dead process'.
	sweepTimeout = 45 * time.Second
	// sweepPause is how long a sweep waits while another one runs, or while Clerk is away.
	sweepPause = 5 * time.Second
	// rolesSettle is how long a sweep waits after a role changed: Clerk moves members to other roles in the background.
	rolesSettle = 10 * time.Second
	// maxSweepAttempts bounds a sweep that fails for another reason than Clerk. The next interval brings another one.
	maxSweepAttempts = 5
)

// SweepArgs tells a job to see that a whole sweep that began after RequestedAt has gone through.
type SweepArgs struct {
	Trigger     Trigger   `json:"trigger"`
	RequestedAt time.Time `json:"requested_at"`
}

// Kind implements river.JobArgs. It is stored with every job; it must never change.
func (SweepArgs) Kind() string { return "sweep" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueSweeps, MaxAttempts: maxSweepAttempts}
}

// sweeping makes the leader sweep when it becomes one, and then at intervals. An interval of 0 turns both off.
func sweeping(interval time.Duration) []*river.PeriodicJob {
	if interval <= 0 {
		return nil
	}
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(interval), func() (river.JobArgs, *river.InsertOpts) {
		return SweepArgs{Trigger: TriggerInterval, RequestedAt: time.Now()}, nil
	}, &river.PeriodicJobOpts{RunOnStart: true})}
}

// sweepSoon enqueues a sweep because roles changed, of which Clerk sends no event for each member.
func sweepSoon(ctx context.Context, tx pgx.Tx, now time.Time) error {
	client, err := river.ClientFromContextSafely[pgx.Tx](ctx)
	if err != nil {
		return fmt.Errorf("find queue for a sweep: %w", err)
	}
	opts := SweepArgs{}.InsertOpts()
	opts.ScheduledAt = now.Add(rolesSettle)
	if _, err := client.InsertTx(ctx, tx, SweepArgs{Trigger: TriggerRoles, RequestedAt: now}, &opts); err != nil {
		return fmt.Errorf("enqueue sweep: %w", err)
	}
	return nil
}

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]

	pool    *pgxpool.Pool
	sweeper *Sweeper
	logger  *slog.Logger
}

// Timeout implements river.Worker.
func (*sweepWorker) Timeout(*river.Job[SweepArgs]) time.Duration { return sweepTimeout }

// Work implements river.Worker. It sweeps for a while, and gives the job back until a sweep that began late enough has
// gone through, or was stopped by a guard: then somebody has to look, and trying again at once would find the same.
func (w *sweepWorker) Work(ctx context.Context, job *river.Job[SweepArgs]) error {
	clean, err := store.LastCleanSweep(ctx, w.pool)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return outcome(ctx, err)
	}
	if clean.StartedAt.After(job.Args.RequestedAt) {
		return nil
	}
	slice, cancel := context.WithTimeout(ctx, sweepSlice)
	defer cancel()
	report, err := w.sweeper.Run(slice, SweepOptions{Trigger: job.Args.Trigger})
	switch {
	case err == nil && report.Aborted:
		return nil
	case err == nil: // a sweep that went on may have begun too early
		return river.JobSnooze(0)
	case errors.Is(err, ErrSweepRunning):
		return river.JobSnooze(sweepPause)
	case slice.Err() != nil && ctx.Err() == nil:
		return river.JobSnooze(0)
	case report.Aborted: // Clerk is away, or at its limit
		w.logger.WarnContext(ctx, "sweep waits for Clerk", "sweep_id", report.SweepID, "reason", report.Reason, "error", err)
		return river.JobSnooze(sweepPause)
	default:
		w.logger.WarnContext(ctx, "sweep", "sweep_id", report.SweepID, "error", err)
		return outcome(ctx, err)
	}
}
