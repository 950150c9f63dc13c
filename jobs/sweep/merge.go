package sweep

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

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
	r.tell(Progress{Resource: a.resource, Listed: next.Offset, Total: total})
	return r.settleDoubts(ctx)
}

// read decodes objects from Clerk. One that can't be read is logged and counted; it was seen all the same, so it isn't
// removed. One that doesn't even say its id makes the whole answer useless.
func (r *sweepRun) read(ctx context.Context, resource clerksync.Resource, askedAt time.Time, objects []json.RawMessage) (answer, error) {
	a := answer{resource: resource, askedAt: askedAt, ids: make([]string, len(objects)), facts: make([]clerksync.Facts, 0, len(objects))}
	for i, raw := range objects {
		f, err := clerksync.DecodeObservation(clerksync.Observation{
			Resource: resource, Object: raw, AskedAt: askedAt.UnixMilli(), Cause: clerksync.SweepCause(r.sweep.ID),
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
func (r *sweepRun) commit(ctx context.Context, a answer, next progress, report Report) error {
	var found []store.FoundDrift
	var fresh int
	report.Unreadable += a.unread
	next.Failures = 0
	var counted Report
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
			if fresh, err = store.See(ctx, tx, r.sweep, a.resource, a.ids); err != nil {
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

// inTx runs a transaction on the connection that holds the lock. It waits briefly for each lock, and longer in between: a page
// holds rows of many workspaces.
func (r *sweepRun) inTx(ctx context.Context, do func(pgx.Tx) error) error {
	trying, giveUp := context.WithCancel(ctx)
	defer giveUp()
	return merge.Thorough().Run(trying, func() error {
		err := pgx.BeginTxFunc(ctx, r.conn, merge.Bounds{Lock: merge.LockWait}.Options(), do)
		if r.conn.Conn().IsClosed() { // and the lock of sweeps is gone
			giveUp()
		}
		return err
	})
}

// apply merges an answer into the mirror, and counts what it showed to differ. What changed after Clerk was asked is
// left alone. It returns which objects Clerk showed otherwise than later versions here say.
func (r *sweepRun) apply(ctx context.Context, tx pgx.Tx, a answer, report *Report) ([]store.FoundDrift, []clerksync.Reference, error) {
	merged, err := merge.Observation(ctx, tx, merge.Observed{
		Facts: a.facts, AskedAt: a.askedAt, Cause: report.SweepID, Lags: r.lags(),
		SpareNewer: true, Overrule: a.final, DryRun: r.sweep.DryRun,
	})
	if err != nil {
		return nil, nil, err
	}
	at := updatedAt(merged.Facts)
	drift := r.count(a, merged, at, report)
	found, err := store.RecordDrift(ctx, tx, a.resource, drift, r.untold(), !r.sweep.DryRun)
	if err != nil {
		return nil, nil, err
	}
	report.noteNewest(found, at)
	return found, r.raised(a, merged.Doubtful), nil
}

// raised returns the doubts that an answer raises. The page before has settled those of the objects that two pages share.
func (r *sweepRun) raised(a answer, doubtful []clerksync.Reference) []clerksync.Reference {
	return slices.DeleteFunc(doubtful, func(ref clerksync.Reference) bool {
		return a.settling || a.listed && slices.Contains(r.progress.Tail, ref.ID)
	})
}

// untold returns the cause of drift that no delivery tells of. Until one sweep of everything went
// through, the mirror is being filled.
func (r *sweepRun) untold() store.DriftCause {
	if r.lastClean.IsZero() {
		return store.CauseFirstFill
	}
	return store.CauseUndelivered
}

// count counts what differed, and returns it. An object that is gone is drift too, and takes others along.
func (r *sweepRun) count(a answer, merged merge.Merged, at map[string]time.Time, report *Report) []clerksync.Drift {
	drift := merged.Drift
	if r.sweep.DryRun && a.listed { // nothing is written, so that what two pages share is found twice
		drift = slices.DeleteFunc(drift, func(d clerksync.Drift) bool { return slices.Contains(r.progress.Tail, d.ID) })
	}
	for _, d := range drift {
		report.count(a.resource, d.Difference, 1)
	}
	if a.gone == nil {
		return drift
	}
	id := a.facts[len(a.facts)-1].Subject
	if !slices.ContainsFunc(merged.Facts, func(f clerksync.Facts) bool { return f.Subject == id }) {
		return drift // it changed here meanwhile, and is left alone
	}
	for kind, n := range a.gone {
		report.count(kind, clerksync.Extra, n)
	}
	at[id] = r.lastClean
	return append(drift, clerksync.Drift{ID: id, Difference: clerksync.Extra})
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
func (r *sweepRun) tell(p Progress) {
	if r.opts.Progress != nil {
		r.opts.Progress(p)
	}
}
