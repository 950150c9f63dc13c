package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
)

// This file keeps the workers of new deliveries free: a delivery that can't be applied at once goes
// aside, into [QueueHeldUp]. The deliveries of other workspaces stay.

// setAside divides a batch that failed. Parts with a row that another session keeps locked go
// aside. The others are tried again: together, then each by itself, behind all new jobs. A part
// that fails alone goes aside.
func (w *applyWorker) setAside(ctx context.Context, job *river.Job[ApplyArgs], cause error) error {
	singles, err := readSingles(ctx, w.pool, job.Args.SvixIDs)
	if err != nil {
		return errors.Join(cause, err)
	}
	parts := inParts(singles)
	held, free := parts, []part(nil)
	if len(parts) > 1 || merge.IsCode(cause, merge.LockNotAvailable) {
		if held, free, err = w.divide(ctx, parts); err != nil {
			return errors.Join(cause, err)
		}
	}
	if len(held) == 0 && len(parts) == 1 && job.Priority >= retryPriority && merge.IsCode(cause, merge.LockNotAvailable) {
		held, free = parts, nil // it waits for a lock that no row shows, such as an advisory one
	}
	if heldUp(cause) {
		w.noteStalled(ctx, held, cause)
	}
	if err := w.move(ctx, heldUpOpts(job.Queue), held); err != nil {
		return err
	}
	if len(held) > 0 && len(free) > 0 {
		ids := idsOf(free)
		if _, err := w.inTx(ctx, attempt{ids: ids, bounds: w.brief(len(ids)), queue: job.Queue}); err == nil {
			return nil
		}
	}
	return w.move(ctx, &river.InsertOpts{Queue: job.Queue, Priority: retryPriority}, free)
}

// divide separates the parts with a row that another session has locked from the others.
func (w *applyWorker) divide(ctx context.Context, parts []part) (held, free []part, err error) {
	locked, err := w.lockedIDs(ctx, lockableOf(parts))
	if err != nil {
		return nil, nil, err
	}
	for _, p := range parts {
		if slices.ContainsFunc(p.lockable(), func(id string) bool { return locked[id] }) {
			held = append(held, p)
		} else {
			free = append(free, p)
		}
	}
	return held, free, nil
}

// errRollBack ends a transaction that was only to find locked rows.
var errRollBack = errors.New("roll back")

// lockedIDs returns the ids of rows that one and the same transaction keeps locked for [lockedFor].
// Our workers lock the rows of a workspace in turn. So a row counts as free if a different
// transaction has locked it by then.
func (w *applyWorker) lockedIDs(ctx context.Context, ids []string) (map[string]bool, error) {
	locked := map[string]bool{}
	before, err := w.lockedRows(ctx, ids)
	if err != nil || len(before) == 0 {
		return locked, err
	}
	if err := merge.Wait(ctx, lockedFor); err != nil {
		return nil, err
	}
	after, err := w.lockedRows(ctx, ids)
	for _, row := range after {
		locked[row.ID] = locked[row.ID] || slices.Contains(before, row)
	}
	maps.DeleteFunc(locked, func(_ string, kept bool) bool { return !kept })
	return locked, err
}

// lockedFor is how long one transaction must keep a row locked before that row counts as locked.
// Our own transactions keep theirs for some milliseconds.
const lockedFor = 30 * time.Millisecond

// lockedRows returns the rows of ids that another session has locked now.
func (w *applyWorker) lockedRows(ctx context.Context, ids []string) (rows []store.LockedRow, err error) {
	err = pgx.BeginTxFunc(ctx, w.pool, w.brief(len(ids)).Options(), func(tx pgx.Tx) (err error) {
		if rows, err = store.LockedRows(ctx, tx, ids); err != nil {
			return err
		}
		return errRollBack
	})
	if errors.Is(err, errRollBack) {
		err = nil
	}
	return rows, err
}

// Priorities of jobs; River works the lowest number first. Fresh jobs have 1 and 2 (see
// insertOpts).
const (
	// retryPriority is that of a part that is tried once more in the queue of its failed batch.
	retryPriority = 3
	// laterBy is added when a held-up job was tried and must wait, so that it goes behind those
	// that weren't tried yet.
	laterBy = 2
)

// heldUpOpts returns how a job of a queue goes into [QueueHeldUp]. Removals go first there, too.
func heldUpOpts(queue string) *river.InsertOpts {
	if queue == QueueRevocations {
		return &river.InsertOpts{Queue: QueueHeldUp, Priority: 1}
	}
	return &river.InsertOpts{Queue: QueueHeldUp, Priority: 2}
}

// move enqueues parts, each in a job of its own.
func (w *applyWorker) move(ctx context.Context, opts *river.InsertOpts, parts []part) error {
	if len(parts) == 0 {
		return nil
	}
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error { return moveIn(ctx, tx, opts, parts) })
	if err != nil {
		return fmt.Errorf("set deliveries aside: %w", err)
	}
	return nil
}

// moveOut enqueues parts that aren't applied now: the suspects, and behind them those that are
// certainly held up.
func moveOut(ctx context.Context, tx pgx.Tx, queue string, suspects, certain []part) error {
	opts := heldUpOpts(queue)
	if err := moveIn(ctx, tx, opts, suspects); err != nil {
		return err
	}
	return moveIn(ctx, tx, &river.InsertOpts{Queue: opts.Queue, Priority: opts.Priority + laterBy}, certain)
}

// moveIn enqueues parts within a transaction, in jobs of MaxBatch deliveries at most.
func moveIn(ctx context.Context, tx pgx.Tx, opts *river.InsertOpts, parts []part) error {
	params := jobsOf(traceparentsIn(ctx), opts, parts)
	if len(params) == 0 {
		return nil
	}
	client, err := river.ClientFromContextSafely[pgx.Tx](ctx)
	if err != nil {
		return fmt.Errorf("find queue for deliveries that go aside: %w", err)
	}
	return insertJobs(ctx, client, tx, params)
}

// jobsOf returns the jobs of parts. They keep the traceparents of their deliveries.
func jobsOf(from traceparents, opts *river.InsertOpts, parts []part) (params []river.InsertManyParams) {
	for _, p := range parts {
		for batch := range slices.Chunk(p.ids, MaxBatch) {
			with := *opts
			with.Metadata = from.of(batch).metadata()
			params = append(params, river.InsertManyParams{Args: ApplyArgs{SvixIDs: batch}, InsertOpts: &with})
		}
	}
	return params
}

// heldUp reports whether an error says that rows were locked or slow, and nothing about the
// delivery.
func heldUp(err error) bool {
	return merge.IsCode(err, merge.LockNotAvailable) || slow(err)
}

// slow reports whether an error says that something took too long, for another reason than a lock.
func slow(err error) bool {
	return merge.IsCode(err, merge.QueryCanceled) || errors.Is(err, context.DeadlineExceeded)
}

// remembered returns a function that says how sure it is that a part is held up. It returns nil if
// nothing is remembered.
func (w *applyWorker) remembered(a attempt) func(part) certainty {
	if a.queue == "" || a.queue == QueueHeldUp || w.stalls.none() {
		return nil
	}
	now := time.Now()
	return func(p part) certainty { return w.stalls.of(now, p.stallKeys()) }
}

// noteStalled remembers that parts are held up, and logs it.
func (w *applyWorker) noteStalled(ctx context.Context, parts []part, cause error) {
	orgs := map[string]bool{}
	for _, p := range parts {
		w.stalls.note(time.Now(), false, p.stallKeys())
		maps.Copy(orgs, p.orgs)
	}
	if len(parts) > 0 {
		w.logger.WarnContext(ctx, "deliveries are held up: another session has locked rows of these workspaces, or a trigger is slow",
			"organization_ids", slices.Sorted(maps.Keys(orgs)), "count", len(idsOf(parts)), "error", cause)
	}
}

// slowApply is how long writing one part may take where removals wait. That is many times the usual
// time. A part counts as slow only if writing it also took slowerThanLocking times as long as
// locking its rows. On a slow database, locking is slow, too.
const (
	slowApply         = 40 * time.Millisecond
	slowerThanLocking = 8
)

// timing says when a transaction began, and when it had locked its rows.
type timing struct{ began, locked time.Time }

// slow reports whether a transaction that is about to end took long to write.
func (t timing) slow() bool {
	wrote := time.Since(t.locked)
	return wrote >= slowApply && wrote >= slowerThanLocking*t.locked.Sub(t.began)
}

// noteSlow remembers a part that took long: a hundred like it would hold up all others. If the
// database doesn't say which part it was, the next one that takes long is remembered.
func (w *applyWorker) noteSlow(ctx context.Context, db store.DBTX, done merge.Applied) {
	singles, err := singlesOf(ctx, db, done.Deliveries, done.Facts)
	if parts := inParts(singles); err == nil && len(parts) == 1 {
		w.stalls.note(time.Now(), false, parts[0].stallKeys())
	}
}
