package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/store"
)

const (
	// judgeEvery is how often the leader looks whether a round over the workspaces is due.
	judgeEvery = time.Minute
	// judgeFor is how long one job judges at most. The next one continues, so that other upkeep
	// waits only briefly.
	judgeFor = 20 * time.Second
	// judgeTimeout is above judgeFor by the time that the largest workspace takes. A job that runs
	// longer belongs to a dead process.
	judgeTimeout = 50 * time.Second
	// judgeWorkspaces and judgeMembers bound one slice of a round, which takes some tens of
	// milliseconds.
	judgeWorkspaces, judgeMembers = 1000, 20_000
)

// JudgeArgs asks for a job that continues the round over all workspaces, or begins one if that is
// due. A round finds the workspaces that need attention.
type JudgeArgs struct{}

// Kind implements river.JobArgs. It is stored with every job; it must never change.
func (JudgeArgs) Kind() string { return "judge_workspaces" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (JudgeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

// judging makes the leader judge now and then.
func judging() []*river.PeriodicJob {
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(judgeEvery),
		func() (river.JobArgs, *river.InsertOpts) { return JudgeArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})}
}

type judgeWorker struct {
	river.WorkerDefaults[JudgeArgs]

	pool *pgxpool.Pool
}

// Timeout implements river.Worker.
func (*judgeWorker) Timeout(*river.Job[JudgeArgs]) time.Duration { return judgeTimeout }

// Work implements river.Worker. Each slice of the round commits with its position, so that the job
// may end at any moment. After each slice the job pauses for as long as the slice took.
func (w *judgeWorker) Work(ctx context.Context, _ *river.Job[JudgeArgs]) error {
	ends := time.Now().Add(judgeFor)
	for time.Now().Before(ends) {
		took, more, err := w.slice(ctx)
		if errors.Is(err, store.ErrRaced) { // another process judges
			return nil
		}
		if err != nil || !more {
			return riverResult(ctx, err)
		}
		select {
		case <-ctx.Done():
			return riverResult(ctx, ctx.Err())
		case <-time.After(took):
		}
	}
	return nil
}

// slice judges the next workspaces, and records what it found. It begins a round if one is due.
// more reports whether some workspaces are left.
func (w *judgeWorker) slice(ctx context.Context) (took time.Duration, more bool, err error) {
	began := time.Now()
	evidence, err := store.NeedsEvidence(ctx, w.pool)
	if err != nil || evidence.Unjudged() != "" {
		return 0, false, err
	}
	round, err := store.ReadNeedsRound(ctx, w.pool)
	if err == nil && !round.UnderWay && round.Due {
		err = store.BeginNeedsRound(ctx, w.pool)
	}
	if err != nil || !round.UnderWay && !round.Due {
		return 0, false, err
	}
	judged, err := store.JudgeSlice(ctx, w.pool, round.Position, evidence.CreatedBefore(), judgeWorkspaces, judgeMembers)
	if err != nil {
		return 0, false, err
	}
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		return store.SaveSlice(ctx, tx, judged, evidence.SettledBefore(), time.Since(began))
	})
	if err != nil {
		return 0, false, fmt.Errorf("judge workspaces: %w", err)
	}
	return time.Since(began), !judged.Last, nil
}
