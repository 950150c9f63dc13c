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
	// heldUpWorkers is how many jobs of held-up deliveries run at once. A job is busy for some tens
	// of milliseconds; only maxPatient of them may take longer.
	heldUpWorkers = 4
	// maxPatient is how many of them may take long at once. The others stay free for new jobs.
	maxPatient = 2
	// heldUpPause is how long a job that is still held up waits on average. The wait costs no
	// attempt. A removal is enforced within twice this time after its lock is gone.
	heldUpPause = 500 * time.Millisecond
	// passTime is how long after its last success a job still begins to apply further deliveries.
	// patientPass is how long after its start it does so at most.
	passTime    = merge.LockWait
	patientPass = 2 * time.Second
)

// workHeldUp tries held-up deliveries again: together, then one by one. It gives back the
// deliveries that are still held up.
func (w *applyWorker) workHeldUp(ctx context.Context, job *river.Job[ApplyArgs]) error {
	singles, err := readSingles(ctx, w.pool, job.Args.SvixIDs)
	if err != nil || len(singles) == 0 {
		return err
	}
	parts := inParts(singles)
	if known := w.stalls.of(time.Now(), parts[0].stallKeys()); len(parts) == 1 && known >= sure {
		switch {
		case job.Priority <= laterBy:
			return w.move(ctx, &river.InsertOpts{Queue: QueueHeldUp, Priority: job.Priority + laterBy}, parts)
		case known == justSeen:
			return river.JobSnooze(heldUpWait())
		}
	}
	locked, err := w.lockedIDs(ctx, lockableOf(singles))
	if heldUp(err) && ctx.Err() == nil { // the database is slow for all
		return river.JobSnooze(heldUpWait())
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

// try applies a part in one transaction. If that was quick, the part no longer counts as held up.
func (w *applyWorker) try(ctx context.Context, b merge.Bounds, p part) error {
	slow, err := w.inTx(ctx, attempt{ids: p.ids, bounds: b, queue: QueueHeldUp})
	if err == nil && !slow {
		w.stalls.clear(p.stallKeys())
	}
	return err
}

// leftover is the part of a job that isn't done.
type leftover struct {
	held []part // deliveries that wait for a lock or a slow row, or whose turn didn't come
	err  error  // of those that failed otherwise
}

// oneByOne applies each delivery in a transaction of its own, in random order, so that each comes
// first at times.
func (w *applyWorker) oneByOne(ctx context.Context, singles []part, locked map[string]bool) (rest leftover) {
	began := time.Now()
	until := began.Add(passTime)
	for _, i := range rand.Perm(len(singles)) { //nolint:gosec // any order will do
		p := singles[i]
		if p.blocked(locked) || time.Now().After(until) {
			rest.held = append(rest.held, p)
			if p.blocked(locked) {
				w.noteHeldUp(p, locked)
			}
			continue
		}
		err := w.one(ctx, p)
		if slow(err) && ctx.Err() == nil {
			w.runPatiently(func() { err = w.try(ctx, w.patient(), p) })
		}
		switch {
		case err == nil:
			until = earlier(time.Now().Add(passTime), began.Add(patientPass))
		case ctx.Err() != nil || merge.BlameFor(err) == merge.OfDatabase: // nothing else would succeed either
			return leftover{err: fmt.Errorf("delivery %s: %w", p.ids[0], err)}
		case heldUp(err):
			rest.held = append(rest.held, p)
			w.noteHeldUp(p, locked)
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

// blocked reports whether locks of other sessions make it pointless to try a single delivery. A
// delivery of one workspace is tried although that workspace's rows are locked: our own
// transactions may hold these locks, and end at once.
func (p part) blocked(locked map[string]bool) bool {
	isLocked := func(id string) bool { return locked[id] }
	for id := range p.rows {
		if isLocked(id) && !p.orgs[id] {
			return true
		}
	}
	return p.spans() && slices.ContainsFunc(slices.Collect(maps.Keys(p.orgs)), isLocked)
}

// one applies a single delivery, and counts a failure that is the delivery's own fault. It returns
// nil once the delivery is applied or quarantined.
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
	w.ended(state, 0)
	logQuarantine(ctx, w.logger, clerksync.Delivery{ID: id, State: state, Reason: err.Error()})
	return nil
}

// runPatiently calls do, which may take long, unless maxPatient others run now.
func (w *applyWorker) runPatiently(do func()) {
	defer w.patientNow.Add(-1)
	if w.patientNow.Add(1) <= maxPatient {
		do()
	}
}

// giveBack decides what becomes of the rest of a job. River tries faulty deliveries again a few
// times, with growing pauses. Held-up deliveries wait briefly, behind those that weren't tried yet.
func (w *applyWorker) giveBack(ctx context.Context, job *river.Job[ApplyArgs], rest leftover) error {
	switch {
	case len(rest.held) == 0:
		return rest.err
	case job.Priority > laterBy && rest.err == nil:
		return river.JobSnooze(heldUpWait())
	}
	later := job.Priority
	if later <= laterBy {
		later += laterBy
	}
	return errors.Join(rest.err, w.move(ctx, &river.InsertOpts{Queue: QueueHeldUp, Priority: later}, inParts(rest.held)))
}

// noteHeldUp remembers the keys of a single delivery that is held up. The keys of objects become
// sure. If the delivery is about one workspace, the workspace's own key becomes sure, and its key
// for spanning deliveries (see spanned) suspected. If it spans several workspaces, only their keys
// for spanning deliveries are noted. Such a key becomes sure if a row of the workspace is locked,
// and otherwise suspected.
func (w *applyWorker) noteHeldUp(p part, locked map[string]bool) {
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

// heldUpWait returns how long a job that is still held up waits. It varies, so that such jobs come
// back at different times.
func heldUpWait() time.Duration { return heldUpPause/2 + rand.N(heldUpPause) } //nolint:gosec // no secret
