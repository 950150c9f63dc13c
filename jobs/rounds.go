package jobs

import (
	"context"
	"errors"
	"slices"

	"github.com/riverqueue/river"
	"go.opentelemetry.io/otel/trace"

	"github.com/callmine/rolecall/internal/rounds"
	"github.com/callmine/rolecall/jobs/merge"
)

// This file lets jobs of new deliveries share transactions. Under load a commit of the inbox, and
// so its job, has few deliveries, and a transaction costs as much as dozens of them.

const (
	// jobsInHand is how many jobs of QueueApply run at once. Most of them wait for a round, and hold
	// no connection.
	jobsInHand = 64
	// applyRounds is how many rounds of QueueApply run at once: one keeps Postgres busy while the
	// next gathers. In a trial, more were slower.
	applyRounds = 2
	// worthARound is how many deliveries of QueueApply a second round must have, unless the first
	// one is stuck at a lock.
	worthARound = MaxBatch / 2
	// roundSize is how many deliveries a round takes before it takes no further job. Twice as many
	// again were slower, and would keep a workspace locked for longer than others wait for it.
	roundSize = 2 * MaxBatch
	// revocationRounds is how many rounds of QueueRevocations run at once, and how many of its jobs
	// are in hand. So no removal waits for a locked workspace, or in hand behind updates that have a
	// lower priority.
	revocationRounds = 4
	// jobsAlone is how many jobs of a queue are tried alone at once, after a round failed.
	jobsAlone = 4
)

// inRounds returns the rounds in which the jobs of a queue are applied.
func (w *applyWorker) inRounds(queue string, atOnce, worth int) *rounds.Rounds[string, *trace.SpanContext] {
	return rounds.New(rounds.Config[string, *trace.SpanContext]{
		Ask: func(ctx context.Context, svixIDs []string) ([]*trace.SpanContext, error) {
			ctx, span := startRound(ctx, len(svixIDs))
			_, err := w.inTx(ctx, attempt{ids: svixIDs, bounds: w.brief(len(svixIDs)), queue: queue})
			if err != nil {
				err = &roundError{err, len(svixIDs)}
			}
			endSpan(span, err)
			return slices.Repeat([]*trace.SpanContext{spanContext(span)}, len(svixIDs)), err
		},
		AtOnce: atOnce, Worth: worth, Patience: briefLockWait,
		Batch:   roundSize,
		Waiting: 2 * jobsInHand * MaxBatch, // more than all jobs in hand have
	})
}

// roundError is the failure of a round.
type roundError struct {
	error

	deliveries int // in the round
}

// Unwrap returns why the round failed.
func (e *roundError) Unwrap() error { return e.error }

// workBriefly applies a job's deliveries in a round. If that fails, it tries the job alone, and
// sets aside the parts that fail.
func (w *applyWorker) workBriefly(ctx context.Context, job *river.Job[ApplyArgs]) error {
	in, err := w.rounds[job.Queue].Ask(ctx, job.Args.SvixIDs...)
	linkRound(ctx, in)
	if err == nil || ctx.Err() != nil {
		return err
	}
	release, turnErr := w.turns.Take(ctx, job.Queue)
	if turnErr != nil { // nothing of the job was tried alone, so that it costs no attempt
		return river.JobSnooze(0)
	}
	defer release()
	try := attempt{ids: job.Args.SvixIDs, bounds: w.brief(len(job.Args.SvixIDs)), queue: job.Queue}
	if failed, ok := errors.AsType[*roundError](err); !ok || failed.deliveries > len(try.ids) { // with others, who may be to blame
		_, err = w.inTx(ctx, try)
	}
	if err != nil && ctx.Err() == nil && merge.BlameFor(err) == merge.OfDatabase { // the next connection may work
		_, err = w.inTx(ctx, try)
	}
	if job.Queue != QueueRevocations && merge.IsCode(err, merge.LockNotAvailable) && ctx.Err() == nil {
		_, err = w.inTx(ctx, try) // our own workers hold a workspace's rows for some milliseconds each
	}
	if err == nil || ctx.Err() != nil || merge.BlameFor(err) == merge.OfDatabase {
		return err
	}
	return w.setAside(ctx, job, err)
}
