package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// heldUpWorkers is how many jobs of what is held up run at once. Each is busy for some tens of ms, but for maxPatients.
	heldUpWorkers = 4
	// maxPatients is how many of them may take their time, so that the others stay free for what has just come.
	maxPatients = 2
	// heldUpPause is how long a job waits, on average, that is still held up. It costs no attempt: a removal is enforced
	// within twice this time after its lock is gone.
	heldUpPause = 500 * time.Millisecond
	// passTime is how long one job goes on to the next of its deliveries, and patientPass how long one that may take its time.
	passTime    = lockWait
	patientPass = 2 * time.Second
)

// workHeldUp tries again what is held up: together, then one by one. It gives back what still is.
func (w *applyWorker) workHeldUp(ctx context.Context, job *river.Job[ApplyArgs]) error {
	singles, err := readSingles(ctx, w.pool, job.Args.SvixIDs)
	if err != nil || len(singles) == 0 {
		return err
	}
	locked, err := w.lockedIDs(ctx, lockableOf(singles))
	if err != nil {
		return err
	}
	parts := inParts(singles)
	if len(parts) == 1 && (len(parts[0].orgs) <= 1 || len(locked) == 0) { // to wait for one workspace would hold rows of the others
		err := w.try(ctx, brief(len(singles)), idsOf(singles)...)
		if err == nil || ctx.Err() != nil || blameFor(err) == ofDatabase {
			w.clearStalled(parts, err)
			return err
		}
	}
	return w.giveBack(ctx, job, w.oneByOne(ctx, singles, locked))
}

// try applies deliveries in one transaction.
func (w *applyWorker) try(ctx context.Context, b bounds, ids ...string) error {
	return w.inTx(ctx, attempt{ids: ids, bounds: b})
}

// clearStalled forgets that parts were held up, if they were applied.
func (w *applyWorker) clearStalled(parts []part, err error) {
	for _, p := range parts {
		if err == nil {
			w.stalls.clear(p.named())
		}
	}
}

// leftover is what of a job isn't done.
type leftover struct {
	held []part // deliveries that wait for a lock or a slow row, or whose turn didn't come
	err  error  // of those that failed otherwise
}

// oneByOne applies each delivery in a transaction of its own, in any order, so that each comes first at times.
func (w *applyWorker) oneByOne(ctx context.Context, singles []part, locked map[string]bool) (rest leftover) {
	began := time.Now()
	until := began.Add(passTime)
	for _, i := range rand.Perm(len(singles)) {
		p := singles[i]
		if p.hopeless(locked) || time.Now().After(until) {
			rest.held = append(rest.held, p)
			continue
		}
		err := w.one(ctx, p.ids[0])
		if slow(err) && ctx.Err() == nil {
			w.takeTime(func() { err = w.try(ctx, patient(), p.ids...) })
		}
		switch {
		case err == nil:
			until = earlier(time.Now().Add(passTime), began.Add(patientPass))
		case ctx.Err() != nil || blameFor(err) == ofDatabase: // nothing else would succeed either
			return leftover{err: fmt.Errorf("delivery %s: %w", p.ids[0], err)}
		case heldUp(err):
			rest.held = append(rest.held, p)
		default:
			rest.err = errors.Join(rest.err, fmt.Errorf("delivery %s: %w", p.ids[0], err))
		}
	}
	return rest
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// hopeless reports whether a single delivery needn't be tried, as ids of rows are locked by other sessions. Where only the rows
// of its one workspace are, it is tried: they may be our own transactions', and end at once.
func (p part) hopeless(locked map[string]bool) bool {
	isLocked := func(id string) bool { return locked[id] }
	for id := range p.rows {
		if isLocked(id) && !p.orgs[id] {
			return true
		}
	}
	return len(p.orgs) > 1 && slices.ContainsFunc(slices.Collect(maps.Keys(p.orgs)), isLocked)
}

// one applies one delivery, and counts a failure that is its own fault. It returns nil once the delivery is applied or quarantined.
func (w *applyWorker) one(ctx context.Context, id string) error {
	err := w.try(ctx, brief(1), id)
	if err == nil || ctx.Err() != nil || blameFor(err) != ofDelivery {
		return err
	}
	state, failErr := store.FailDelivery(ctx, w.pool, id, err, maxDeliveryAttempts)
	if failErr != nil {
		return failErr
	}
	if state == clerksync.StateReceived {
		return err
	}
	w.ended(state)
	logQuarantine(ctx, w.logger, clerksync.Delivery{ID: id, State: state, Reason: err.Error()})
	return nil
}

// takeTime does what may take long, unless enough others do.
func (w *applyWorker) takeTime(do func()) {
	defer w.patients.Add(-1)
	if w.patients.Add(1) <= maxPatients {
		do()
	}
}

// giveBack says what becomes of a job of which not all is done. A fault is tried again as often as River counts, and waits ever
// longer. What is held up waits shortly, behind what wasn't tried yet.
func (w *applyWorker) giveBack(ctx context.Context, job *river.Job[ApplyArgs], rest leftover) error {
	for _, p := range rest.held {
		w.stalls.note(time.Now(), p.named())
	}
	switch {
	case len(rest.held) == 0:
		return rest.err
	case job.Priority > laterBy && rest.err == nil:
		return river.JobSnooze(heldUpPause/2 + rand.N(heldUpPause)) //nolint:gosec // no secret
	}
	later := job.Priority
	if later <= laterBy {
		later += laterBy
	}
	return errors.Join(rest.err, w.move(ctx, &river.InsertOpts{Queue: QueueHeldUp, Priority: later}, inParts(rest.held)))
}
