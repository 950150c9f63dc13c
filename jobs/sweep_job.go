package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// QueueSweeps is the queue of sweeps.
const QueueSweeps = "sweeps"

const (
	// sweepSlice is how long one job sweeps. Then it is given back, and continues from the last
	// page. So a process that dies delays the sweep only briefly, and a stop waits for one page.
	sweepSlice = 30 * time.Second
	// sweepTimeout is above sweepSlice. A job that runs longer belongs to a dead process.
	sweepTimeout = 45 * time.Second
	// sweepPause is how long a sweep waits while another one runs, or while Clerk is away.
	sweepPause = 5 * time.Second
	// sweepAgain is how long a job waits before it sweeps again. It waits after an incomplete or
	// refused listing, and if Clerk's reads are behind. After any other guard the job ends, and an
	// operator has to act.
	sweepAgain = 5 * time.Minute
	// rolesSettle is how long a sweep waits after a role changed: Clerk moves members to other
	// roles in the background.
	rolesSettle = 10 * time.Second
	// maxSweepAttempts is how often a job is tried that fails for another reason than Clerk. The
	// next interval brings another one.
	maxSweepAttempts = 5
)

// SweepArgs asks for a full sweep that begins after the job was made. With [sweep.TriggerRoles], it
// must begin at least rolesSettle after that. The job ends once such a sweep has gone through, or
// once only an operator can help.
type SweepArgs struct {
	Trigger sweep.Trigger `json:"trigger"`
}

// since returns the instant after which the sweep must begin. It is by the database's clock, like
// all instants of sweeps.
func (a SweepArgs) since(made time.Time) time.Time {
	if a.Trigger == sweep.TriggerRoles {
		return made.Add(rolesSettle)
	}
	return made
}

// Kind implements river.JobArgs. It is stored with every job; it must never change.
func (SweepArgs) Kind() string { return "sweep" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueSweeps, MaxAttempts: maxSweepAttempts}
}

// sweeping makes the leader sweep at intervals. Each process enqueues the first sweep at its start,
// because the leader may be a process that doesn't sweep.
func sweeping(interval time.Duration) []*river.PeriodicJob {
	if interval <= 0 {
		return nil
	}
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(interval), func() (river.JobArgs, *river.InsertOpts) {
		return SweepArgs{Trigger: sweep.TriggerInterval}, nil
	}, nil)}
}

// sweepAtStart enqueues a sweep, unless that is turned off.
func (w *Workers) sweepAtStart(ctx context.Context) error {
	if w.cfg.Sweeper == nil || w.cfg.SweepInterval <= 0 {
		return nil
	}
	if _, err := w.client.Insert(ctx, SweepArgs{Trigger: sweep.TriggerInterval}, nil); err != nil {
		return fmt.Errorf("enqueue sweep: %w", err)
	}
	return nil
}

// sweepSoon enqueues a sweep because roles changed: Clerk sends no event for each member concerned.
func sweepSoon(ctx context.Context, tx pgx.Tx, now time.Time) error {
	client, err := river.ClientFromContextSafely[pgx.Tx](ctx)
	if err != nil {
		return fmt.Errorf("find queue for a sweep: %w", err)
	}
	opts := SweepArgs{}.InsertOpts()
	opts.ScheduledAt = now.Add(rolesSettle)
	if _, err := client.InsertTx(ctx, tx, SweepArgs{Trigger: sweep.TriggerRoles}, &opts); err != nil {
		return fmt.Errorf("enqueue sweep: %w", err)
	}
	return nil
}

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]

	pool    *pgxpool.Pool
	sweeper *sweep.Sweeper
	logger  *slog.Logger
}

// Timeout implements river.Worker.
func (*sweepWorker) Timeout(*river.Job[SweepArgs]) time.Duration { return sweepTimeout }

// Work implements river.Worker. It sweeps for sweepSlice and gives the job back, until a sweep that
// began late enough has gone through. After most guards it ends the job instead: the next try would
// find the same, and an operator has to look.
func (w *sweepWorker) Work(ctx context.Context, job *river.Job[SweepArgs]) error {
	clean, err := store.LastCleanSweep(ctx, w.pool)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return riverResult(ctx, err)
	}
	since := job.Args.since(job.CreatedAt)
	if job.Args.Trigger == sweep.TriggerFailover {
		identity, err := store.KnownIdentity(ctx, w.pool)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return riverResult(ctx, err)
		}
		if at := identity.ChangedAt; at != nil && at.After(since) { // the old primary's clock was ahead
			since = *at
		}
	}
	if clean.StartedAt.After(since) {
		return nil
	}
	slice, cancel := context.WithTimeout(ctx, sweepSlice)
	defer cancel()
	report, err := runSlice(ctx, slice, w.sweeper, w.logger, sweep.Options{Trigger: job.Args.Trigger})
	switch {
	case err == nil && slices.Contains([]sweep.GuardReason{sweep.ReasonListingIncomplete, sweep.ReasonListRefused, sweep.ReasonReadsBehind}, report.Reason):
		return river.JobSnooze(sweepAgain)
	case err == nil && report.Aborted:
		return nil
	case err == nil: // a sweep that was continued may have begun too early
		return river.JobSnooze(0)
	default:
		return whenInterrupted(ctx, slice, w.logger, report, err)
	}
}

// runSlice sweeps until the slice is over. If the sweep ends, what it listed is forgotten soon,
// by another job.
func runSlice(ctx, slice context.Context, sweeper *sweep.Sweeper, logger *slog.Logger, opts sweep.Options) (sweep.Report, error) {
	report, err := sweeper.Run(slice, opts)
	if err == nil || errors.Is(err, sweep.ErrUnreadable) {
		if err := pruneSoon(ctx); err != nil { // the job of the next hour does it
			logger.WarnContext(ctx, "what a sweep listed isn't forgotten yet", "sweep_id", report.SweepID, "error", err)
		}
	}
	return report, err
}

// whenInterrupted returns what becomes of a job whose sweep returned an error.
func whenInterrupted(ctx, slice context.Context, logger *slog.Logger, report sweep.Report, err error) error {
	switch {
	case errors.Is(err, sweep.ErrUnreadable): // an operator has to look
		return nil
	case errors.Is(err, sweep.ErrRunning):
		return river.JobSnooze(sweepPause)
	case (slice.Err() != nil || errors.Is(err, context.DeadlineExceeded)) && ctx.Err() == nil: // the slice is over, or would be before the next call
		return river.JobSnooze(0)
	case clerkIsAway(err):
		logger.WarnContext(ctx, "sweep waits for Clerk", "sweep_id", report.SweepID, "reason", report.Reason, "error", err)
		return river.JobSnooze(sweepPause)
	default:
		logger.WarnContext(ctx, "the sweep failed, and is tried again", "sweep_id", report.SweepID, "error", err)
		return riverResult(ctx, err)
	}
}
