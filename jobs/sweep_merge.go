package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// maxMergeAttempts is how often a page is merged again at once because a webhook was first, or held a row for long.
const maxMergeAttempts = 5

// answer is what Clerk showed at one time, of objects of one resource.
type answer struct {
	resource clerksync.Resource
	askedAt  time.Time // by the database's clock, before the request
	facts    []clerksync.Facts
	ids      []string // of all objects, in Clerk's order
	listed   bool     // they were listed, not looked up
	unread   int      // objects that can't be read
	final    bool     // whatever the versions say, as a look-up has confirmed
	settling bool     // it settles a doubt, and raises none

	gone map[clerksync.Resource]int // what goes with the object of the last facts, which is gone; nil if it isn't
}

// merge merges a page, and records it as seen and the sweep's progress, in one transaction.
func (r *sweepRun) merge(ctx context.Context, a answer, next progress, total int) error {
	report := r.report.clone()
	report.Listed += len(a.ids)
	a.listed = true
	if err := r.commit(ctx, a, next, report); err != nil {
		return err
	}
	r.tell(SweepProgress{Resource: a.resource, Listed: next.Offset, Total: total})
	return r.settleDoubts(ctx)
}

// read decodes objects from Clerk. One that can't be read is logged and counted; it was seen all the same, so it isn't
// removed. One that doesn't even say its id makes the whole answer useless.
func (r *sweepRun) read(ctx context.Context, resource clerksync.Resource, askedAt time.Time, objects []json.RawMessage) (answer, error) {
	a := answer{resource: resource, askedAt: askedAt, ids: make([]string, len(objects)), facts: make([]clerksync.Facts, 0, len(objects))}
	for i, raw := range objects {
		f, err := clerksync.DecodeObservation(clerksync.Observation{
			Resource: resource, Object: raw, AskedAt: askedAt.UnixMilli(), Cause: r.sweep.Name(),
		})
		if err == nil {
			if resource != clerksync.ResourceRole || !r.nested {
				f = f.Own() // what is nested was listed itself, before
			}
			a.ids[i], a.facts = f.Subject, append(a.facts, f)
			continue
		}
		id, idErr := clerksync.ObservedID(raw)
		if idErr != nil {
			return a, incomplete(resource, "%v", idErr)
		}
		r.cfg.Logger.ErrorContext(ctx, "object from Clerk can't be read", "resource", resource, "object_id", id, "error", err)
		a.ids[i], a.unread = id, a.unread+1
	}
	return a, nil
}

// commit merges an answer, and records what it showed, where the sweep goes on and what it has counted so far.
func (r *sweepRun) commit(ctx context.Context, a answer, next progress, report SweepReport) error {
	var found []store.FoundDrift
	var fresh int
	report.Unreadable += a.unread
	next.Failures = 0
	var counted SweepReport
	doubts := next.Doubts
	err := r.inTx(ctx, func(tx pgx.Tx) (err error) {
		counted = report.clone()
		var refs []clerksync.Reference
		if found, refs, err = r.apply(ctx, tx, a, &counted); err != nil {
			return err
		}
		next.Doubts = slices.Clone(doubts)
		for _, ref := range refs {
			next.Doubts = append(next.Doubts, inDoubt(a.resource, ref))
		}
		if a.listed {
			if fresh, err = store.MarkListed(ctx, tx, r.sweep, a.resource, a.ids); err != nil {
				return err
			}
		}
		if err := r.pack(next, counted); err != nil {
			return err
		}
		return store.SaveSweep(ctx, tx, r.sweep)
	})
	if err != nil {
		return fmt.Errorf("merge %s: %w", a.resource, err)
	}
	r.progress, r.report, r.fresh = next, counted, fresh
	r.found(found)
	return nil
}

// save records where the sweep goes on.
func (r *sweepRun) save(ctx context.Context, next progress) error {
	if err := r.pack(next, r.report); err != nil {
		return err
	}
	r.progress = next
	return store.SaveSweep(ctx, r.conn, r.sweep)
}

// inTx runs a transaction on the connection that holds the lock, again if it was in the way of webhooks, or they of it. It waits
// briefly for each lock, and longer in between: a page holds rows of many workspaces.
func (r *sweepRun) inTx(ctx context.Context, do func(pgx.Tx) error) error {
	until := time.Now().Add(maxMergeAttempts * lockPatience)
	for attempt := 1; ; attempt++ {
		err := pgx.BeginTxFunc(ctx, r.conn, bounds{lock: lockWait}.options(), do)
		switch {
		case err == nil || ctx.Err() != nil || r.conn.Conn().IsClosed() || blameFor(err) != ofCircumstances:
			return err
		case isCode(err, lockNotAvailable) && time.Now().Before(until) && waitFor(ctx, lockPause) == nil:
		case attempt >= maxMergeAttempts:
			return err
		}
	}
}

// apply merges an answer into the mirror, and counts what it showed to differ. What changed after Clerk was asked is
// left alone. It returns which objects Clerk showed otherwise than later versions here say.
func (r *sweepRun) apply(ctx context.Context, tx pgx.Tx, a answer, report *SweepReport) ([]store.FoundDrift, []clerksync.Reference, error) {
	if a.final {
		found, err := r.change(ctx, tx, a, a.facts, report)
		return found, nil, err
	}
	followed, err := followers(ctx, tx, a, r.lags())
	if err != nil {
		return nil, nil, err
	}
	a.facts = followed.facts
	known, err := store.ReadMirror(ctx, tx, a.facts)
	if err != nil {
		return nil, nil, err
	}
	news := known.News(a.facts)
	doubtful, err := r.doubtfulOf(ctx, tx, a, known.Mirror, followed.doubtful)
	if err != nil || len(news) == 0 {
		return nil, doubtful, err
	}
	found, err := r.change(ctx, tx, a, news, report)
	return found, doubtful, err
}

// doubtfulOf returns which objects Clerk showed otherwise than later versions here say, or shadowed by another one that
// ended, unless they changed after it was asked.
func (r *sweepRun) doubtfulOf(ctx context.Context, tx pgx.Tx, a answer, known clerksync.Mirror, shadowed []string) ([]clerksync.Reference, error) {
	var refs []clerksync.Reference
	var ids []string
	for _, f := range a.facts {
		if a.settling || a.listed && slices.Contains(r.progress.Tail, f.Subject) { // the page before has settled it
			continue
		}
		if known.Contradicted(f) || slices.Contains(shadowed, f.Subject) {
			refs, ids = append(refs, f.Reference()), append(ids, f.Subject)
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	changed, err := store.ChangedAfter(ctx, tx, ids, a.askedAt)
	return slices.DeleteFunc(refs, func(ref clerksync.Reference) bool { return slices.Contains(changed, ref.ID) }), err
}

// change merges what is new.
func (r *sweepRun) change(ctx context.Context, tx pgx.Tx, a answer, news []clerksync.Facts, report *SweepReport) ([]store.FoundDrift, error) {
	locked, news, err := r.take(ctx, tx, a, news)
	if err != nil {
		return nil, err
	}
	merge := locked.ObserveAll
	if a.final {
		merge = locked.OverruleAll
	}
	changes := merge(news, a.askedAt.UnixMilli(), report.SweepID)
	at := updatedAt(news)
	r.count(a, news, &changes, at, report)
	found, err := store.RecordDrift(ctx, tx, a.resource, changes.Drift, r.untold(), !r.sweep.DryRun)
	if err != nil {
		return nil, err
	}
	report.noteNewest(found, at)
	if r.sweep.DryRun {
		return found, nil
	}
	if err := store.SaveMirror(ctx, tx, locked, changes.Mirror); err != nil {
		return nil, err
	}
	return found, store.Finish(ctx, tx, store.Writes{Entries: changes.Entries, Changed: changes.Mirror}, a.askedAt)
}

// untold returns the cause of drift that no delivery tells of. Until one sweep of everything went
// through, the mirror is being filled.
func (r *sweepRun) untold() store.DriftCause {
	if r.lastClean.IsZero() {
		return store.CauseFirstFill
	}
	return store.CauseUndelivered
}

// count counts what differed. An object that is gone is drift too, and takes others along.
func (r *sweepRun) count(a answer, news []clerksync.Facts, changes *clerksync.Changes, at map[string]time.Time, report *SweepReport) {
	if r.sweep.DryRun && a.listed { // nothing is written, so that what two pages share is found twice
		changes.Drift = slices.DeleteFunc(changes.Drift, func(d clerksync.Drift) bool { return slices.Contains(r.progress.Tail, d.ID) })
	}
	for _, d := range changes.Drift {
		report.count(a.resource, d.Difference, 1)
	}
	if a.gone == nil {
		return
	}
	id := a.facts[len(a.facts)-1].Subject
	if !slices.ContainsFunc(news, func(f clerksync.Facts) bool { return f.Subject == id }) {
		return // it changed here meanwhile, and is left alone
	}
	for kind, n := range a.gone {
		report.count(kind, clerksync.Extra, n)
	}
	changes.Drift, at[id] = append(changes.Drift, clerksync.Drift{ID: id, Difference: clerksync.Extra}), r.lastClean
}

// take returns what the mirror knows of what is new, locked unless nothing is to be changed, and what of the news may be merged.
func (r *sweepRun) take(ctx context.Context, tx pgx.Tx, a answer, news []clerksync.Facts) (store.Locked, []clerksync.Facts, error) {
	lock := store.LockMirror
	if r.sweep.DryRun {
		lock = store.ReadMirror
	}
	locked, err := lock(ctx, tx, news)
	if err != nil {
		return locked, nil, err
	}
	subjects := make([]string, len(news))
	for i, f := range news {
		subjects[i] = f.Subject
	}
	changed, err := store.ChangedAfter(ctx, tx, subjects, a.askedAt)
	if err != nil {
		return locked, nil, err
	}
	return locked, slices.DeleteFunc(news, func(f clerksync.Facts) bool { return slices.Contains(changed, f.Subject) }), nil
}

// updatedAt returns when the subjects of facts were last updated at Clerk.
func updatedAt(facts []clerksync.Facts) map[string]time.Time {
	at := make(map[string]time.Time, len(facts))
	for _, f := range facts {
		at[f.Subject] = time.UnixMilli(f.Version().UpdatedAt)
	}
	return at
}

// found tells whoever asked of drift.
func (r *sweepRun) found(drift []store.FoundDrift) {
	if r.opts.Found == nil {
		return
	}
	for _, d := range drift {
		r.opts.Found(d)
	}
}

// tell tells whoever asked of progress.
func (r *sweepRun) tell(p SweepProgress) {
	if r.opts.Progress != nil {
		r.opts.Progress(p)
	}
}
