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

// This file keeps the workers of the first queues free: what can't be applied at once goes aside,
// into [QueueHeldUp], and takes nothing along that has to do with other workspaces.

// setAside divides a batch that failed. Parts of which another session keeps a row locked go aside,
// the others are tried again: together, then each for itself behind all that is new. A part that
// fails alone goes aside.
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
	return w.move(ctx, &river.InsertOpts{Queue: job.Queue, Priority: againPriority}, free)
}

// divide tells the parts of which another session has locked a row from the others.
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

// errRollBack ends a transaction that has only looked.
var errRollBack = errors.New("roll back")

// lockedIDs returns those of the ids of which one transaction keeps a row locked for the time
// [keeps]. Workers that write into the same workspace lock its rows in turn: what another
// transaction has locked by then isn't held up.
func (w *applyWorker) lockedIDs(ctx context.Context, ids []string) (map[string]bool, error) {
	locked := map[string]bool{}
	before, err := w.lockedRows(ctx, ids)
	if err != nil || len(before) == 0 {
		return locked, err
	}
	if err := merge.Wait(ctx, keeps); err != nil {
		return nil, err
	}
	after, err := w.lockedRows(ctx, ids)
	for _, row := range after {
		locked[row.ID] = locked[row.ID] || slices.Contains(before, row)
	}
	maps.DeleteFunc(locked, func(_ string, kept bool) bool { return !kept })
	return locked, err
}

// keeps is how long one transaction must keep a row locked to hold up others: ours keep theirs for
// some milliseconds.
const keeps = 30 * time.Millisecond

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
	// againPriority is that of a part that is tried once more, in the queue in which its batch
	// failed.
	againPriority = 3
	// laterBy is added when a held-up job was tried and must wait, so that it goes behind those
	// that never were tried there.
	laterBy = 2
)

// heldUpOpts says how a job of a queue goes into the queue of what is held up: removals first
// there, too.
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

// moveOut enqueues parts that aren't applied now: those that are sure to be held up behind those
// that may be.
func moveOut(ctx context.Context, tx pgx.Tx, queue string, suspects, certain []part) error {
	opts := heldUpOpts(queue)
	if err := moveIn(ctx, tx, opts, suspects); err != nil {
		return err
	}
	return moveIn(ctx, tx, &river.InsertOpts{Queue: opts.Queue, Priority: opts.Priority + laterBy}, certain)
}

// moveIn does so within a transaction.
func moveIn(ctx context.Context, tx pgx.Tx, opts *river.InsertOpts, parts []part) error {
	var params []river.InsertManyParams
	for _, p := range parts {
		for batch := range slices.Chunk(p.ids, MaxBatch) {
			params = append(params, river.InsertManyParams{Args: ApplyArgs{SvixIDs: batch}, InsertOpts: opts})
		}
	}
	if len(params) == 0 {
		return nil
	}
	client, err := river.ClientFromContextSafely[pgx.Tx](ctx)
	if err != nil {
		return fmt.Errorf("find queue for deliveries that go aside: %w", err)
	}
	return insertJobs(ctx, client, tx, params)
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

// heldUp returns what tells how sure it is that a part is held up, by what is remembered; nil if
// there is nothing to ask.
func (w *applyWorker) heldUp(a attempt) func(part) certainty {
	if a.queue == "" || a.queue == QueueHeldUp || w.stalls.none() {
		return nil
	}
	now := time.Now()
	return func(p part) certainty { return w.stalls.of(now, p.named()) }
}

// noteStalled remembers what holds up parts, and says so once.
func (w *applyWorker) noteStalled(ctx context.Context, parts []part, cause error) {
	orgs := map[string]bool{}
	for _, p := range parts {
		w.stalls.note(time.Now(), false, p.named())
		maps.Copy(orgs, p.orgs)
	}
	if len(parts) > 0 {
		w.logger.WarnContext(ctx, "deliveries are held up: another session has locked rows of these workspaces, or a trigger is slow",
			"organization_ids", slices.Sorted(maps.Keys(orgs)), "count", len(idsOf(parts)), "error", cause)
	}
}

// slowApply is how long writing one part may take where removals wait, many times what it does
// take, and slowerThanLocking how many times as long as locking its rows: where all is slow, that
// is, too.
const (
	slowApply         = 40 * time.Millisecond
	slowerThanLocking = 8
)

// watch tells how long the steps of a transaction took.
type watch struct{ began, locked time.Time }

// slowly reports whether a transaction that is about to end took long to write.
func (w watch) slowly() bool {
	wrote := time.Since(w.locked)
	return wrote >= slowApply && wrote >= slowerThanLocking*w.locked.Sub(w.began)
}

// noteSlow remembers what took long: a hundred of the same would hold up all others.
func (w *applyWorker) noteSlow(ctx context.Context, db store.DBTX, done merge.Applied) error {
	singles, err := singlesOf(ctx, db, done.Deliveries, done.Facts)
	if parts := inParts(singles); err == nil && len(parts) == 1 {
		w.stalls.note(time.Now(), false, parts[0].named())
	}
	return err
}
