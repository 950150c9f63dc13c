package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/store"
)

const (
	// cutEvery is how often the leader cuts the audit log, and erases what came since an erasure.
	cutEvery = time.Hour
	// cutSlack is how long entries may outlive the log's life. So each chain is cut once a day at
	// most, however often the job runs.
	cutSlack = 24 * time.Hour
	// cutChains is how many chains one query looks at, and one transaction cuts.
	cutChains = 200
	// cutEntries is how many entries one transaction deletes, give or take one chain, of which it
	// deletes [store.MostCut] at most. Meanwhile, no other transaction can append to the instance's
	// chain: that is for some ten milliseconds.
	cutEntries = 500
)

// CutArgs asks for a job that cuts the audit log at the end of its life, and erases what came late
// of people who were erased.
type CutArgs struct{}

// Kind implements river.JobArgs. It is stored with every job; it must never change.
func (CutArgs) Kind() string { return "cut_and_erase" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (CutArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

// cutting makes the leader cut and erase now and then.
func cutting() []*river.PeriodicJob {
	return []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(cutEvery),
		func() (river.JobArgs, *river.InsertOpts) { return CutArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})}
}

type cutWorker struct {
	river.WorkerDefaults[CutArgs]

	pool      *pgxpool.Pool
	retention time.Duration // of the audit log; 0: for ever
}

// Timeout implements river.Worker.
func (*cutWorker) Timeout(*river.Job[CutArgs]) time.Duration { return pruneTimeout }

// Work implements river.Worker. It may end after any transaction.
func (w *cutWorker) Work(ctx context.Context, _ *river.Job[CutArgs]) error {
	err := CutAndErase(ctx, w.pool, w.retention)
	if errors.Is(err, store.ErrUnnoted) { // in a moment, it is
		return river.JobSnooze(databasePause)
	}
	return riverResult(ctx, err)
}

// CutAndErase does what the job does. A retention of 0 keeps the audit log for ever.
func CutAndErase(ctx context.Context, pool *pgxpool.Pool, retention time.Duration) error {
	if err := eraseAgain(ctx, pool); err != nil || retention == 0 {
		return err
	}
	now, err := store.Now(ctx, pool) // a wrong clock of this process cuts nothing too early
	if err != nil {
		return err
	}
	return CutLog(ctx, pool, now.Add(-retention), cutSlack)
}

// CutLog cuts every chain of the audit log whose oldest entries happened before an instant, less
// the slack. What still holds is kept: see [store.PlanCut].
func CutLog(ctx context.Context, pool *pgxpool.Pool, before time.Time, slack time.Duration) error {
	var after *string
	for {
		page, err := store.ChainsToCut(ctx, pool, after, before.Add(-slack), cutChains)
		if err != nil {
			return err
		}
		var due []string
		for _, chain := range page {
			if chain.Due {
				due = append(due, chain.OrganizationID)
			}
			after = &chain.OrganizationID
		}
		for len(due) > 0 {
			if due, err = cutSome(ctx, pool, due, before); err != nil {
				return err
			}
		}
		if len(page) < cutChains {
			return nil
		}
	}
}

// cutSome cuts chains in one transaction, and returns those that aren't done.
func cutSome(ctx context.Context, pool *pgxpool.Pool, chains []string, before time.Time) (left []string, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := store.LockVouching(ctx, tx); err != nil {
			return err
		}
		left = nil
		var cuts []store.PlannedCut
		gone := 0
		for i, id := range chains {
			if gone >= cutEntries {
				left = append(left, chains[i:]...)
				break
			}
			planned, err := store.PlanCut(ctx, tx, id, before)
			if err != nil {
				return err
			}
			if planned == nil {
				continue
			}
			cuts = append(cuts, *planned)
			gone += len(planned.Gone)
			if planned.More {
				left = append(left, id)
			}
		}
		return store.CutChains(ctx, tx, cuts, before)
	})
	return left, err
}
