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

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// heldUpWorkers is how many jobs of what is held up run at once. Each is busy for some tens of
	// ms, but for maxPatients.
	heldUpWorkers = 4
	// maxPatients is how many of them may take their time, so that the others stay free for what
	// has just come.
	maxPatients = 2
	// heldUpPause is how long a job waits, on average, that is still held up. It costs no attempt:
	// a removal is enforced within twice this time after its lock is gone.
	heldUpPause = 500 * time.Millisecond
	// passTime is how long one job continues with the next of its deliveries, and patientPass how
	// long one that may take its time.
	passTime    = merge.LockWait
	patientPass = 2 * time.Second
)

// workHeldUp tries again what is held up: together, then one by one. It gives back what still is.
func (w *applyWorker) workHeldUp(ctx context.Context, job *river.Job[ApplyArgs]) error {
	singles, err := readSingles(ctx, w.pool, job.Args.SvixIDs)
	if err != nil || len(singles) == 0 {
		return err
	}
	parts := inParts(singles)
	if known := w.stalls.of(time.Now(), parts[0].named()); len(parts) == 1 && known >= sure {
		switch {
		case job.Priority <= laterBy:
			return w.move(ctx, &river.InsertOpts{Queue: QueueHeldUp, Priority: job.Priority + laterBy}, parts)
		case known == justSeen:
			return river.JobSnooze(aWhile())
		}
	}
	locked, err := w.lockedIDs(ctx, lockableOf(singles))
	if heldUp(err) && ctx.Err() == nil { // the database is slow for all
		return river.JobSnooze(aWhile())
	}
	if err != nil {
		return err
	}
	if len(parts) == 1 && len(singles) > 1 && (!parts[0].spans() || len(locked) == 0) {
		if err := w.try(ctx, w.brief(len(singles)), parts[0]); err == nil || ctx.Err() != nil || merge.BlameFor(err) == merge.OfDatabase {
			return err
		}
	}
	return w.giveBack(ctx, job, w.oneByOne(ctx, singles, locked))
}

// try applies a part in one transaction. If it went through quickly, the part is held up no more.
func (w *applyWorker) try(ctx context.Context, b merge.Bounds, p part) error {
	slow, err := w.inTx(ctx, attempt{ids: p.ids, bounds: b, queue: QueueHeldUp})
	if err == nil && !slow {
		w.stalls.clear(p.named())
	}
	return err
}

// leftover is what of a job isn't done.
type leftover struct {
	held []part // deliveries that wait for a lock or a slow row, or whose turn didn't come
	err  error  // of those that failed otherwise
}

// oneByOne applies each delivery in a transaction of its own, in any order, so that each comes
// first at times.
func (w *applyWorker) oneByOne(ctx context.Context, singles []part, locked map[string]bool) (rest leftover) {
	began := time.Now()
	until := began.Add(passTime)
	for _, i := range rand.Perm(len(singles)) { //nolint:gosec // any order will do
		p := singles[i]
		if p.hopeless(locked) || time.Now().After(until) {
			rest.held = append(rest.held, p)
			if p.hopeless(locked) {
				w.confirm(p, locked)
			}
			continue
		}
		err := w.one(ctx, p)
		if slow(err) && ctx.Err() == nil {
			w.takeTime(func() { err = w.try(ctx, w.patient(), p) })
		}
		switch {
		case err == nil:
			until = earlier(time.Now().Add(passTime), began.Add(patientPass))
		case ctx.Err() != nil || merge.BlameFor(err) == merge.OfDatabase: // nothing else would succeed either
			return leftover{err: fmt.Errorf("delivery %s: %w", p.ids[0], err)}
		case heldUp(err):
			rest.held = append(rest.held, p)
			w.confirm(p, locked)
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

// hopeless reports whether a single delivery needn't be tried, as ids of rows are locked by other
// sessions. Where only the rows of its one workspace are, it is tried: they may be our own
// transactions', and end at once.
func (p part) hopeless(locked map[string]bool) bool {
	isLocked := func(id string) bool { return locked[id] }
	for id := range p.rows {
		if isLocked(id) && !p.orgs[id] {
			return true
		}
	}
	return p.spans() && slices.ContainsFunc(slices.Collect(maps.Keys(p.orgs)), isLocked)
}

// one applies a single delivery, and counts a failure that is its own fault. It returns nil once
// the delivery is applied or quarantined.
func (w *applyWorker) one(ctx context.Context, p part) error {
	err := w.try(ctx, w.brief(1), p)
	if err == nil || ctx.Err() != nil || merge.BlameFor(err) != merge.OfDelivery {
		return err
	}
	id := p.ids[0]
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

// giveBack says what becomes of a job of which not all is done. A fault is tried again as often as
// River counts, and waits ever longer. What is held up waits shortly, behind what wasn't tried yet.
func (w *applyWorker) giveBack(ctx context.Context, job *river.Job[ApplyArgs], rest leftover) error {
	switch {
	case len(rest.held) == 0:
		return rest.err
	case job.Priority > laterBy && rest.err == nil:
		return river.JobSnooze(aWhile())
	}
	later := job.Priority
	if later <= laterBy {
		later += laterBy
	}
	return errors.Join(rest.err, w.move(ctx, &river.InsertOpts{Queue: QueueHeldUp, Priority: later}, inParts(rest.held)))
}

// confirm remembers what holds up a single delivery. One that spans several workspaces says of each
// only that such may be held up, unless a row of that one is locked. One of a single workspace says
// so, too.
func (w *applyWorker) confirm(p part, locked map[string]bool) {
	var isSure, maybe []string
	for key := range p.keys {
		switch {
		case !p.orgs[key]:
			isSure = append(isSure, key)
		case !p.spans():
			isSure, maybe = append(isSure, key), append(maybe, spanned(key))
		case locked[key]:
			isSure = append(isSure, spanned(key))
		default:
			maybe = append(maybe, spanned(key))
		}
	}
	w.stalls.note(time.Now(), false, maybe)
	w.stalls.note(time.Now(), true, isSure)
}

// aWhile is how long a job waits that is still held up: not all of them the same time.
func aWhile() time.Duration { return heldUpPause/2 + rand.N(heldUpPause) } //nolint:gosec // no secret
