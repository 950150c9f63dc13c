package sweep

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// merger merges Clerk's answers into the mirror. Each answer is one transaction, in which the
// sweep's progress and report change, too.
type merger struct{ *state }

// commit merges a look-up's answer, and records where the sweep continues and what it has counted
// so far.
func (m *merger) commit(ctx context.Context, a answer, next progress, report Report) error {
	_, err := m.commitPage(ctx, a, next, report)
	return err
}

// commitPage does the same for a look-up's answer or a page. It marks the objects of a page as
// listed, and returns how many of them the sweep hadn't seen before.
func (m *merger) commitPage(ctx context.Context, a answer, next progress, report Report) (fresh int, err error) {
	var found []store.FoundDrift
	report.Unreadable += a.unreadable
	next.Failures = 0
	var counted Report
	doubts, seen := next.Doubts, next.Seen
	err = m.inTx(ctx, func(tx pgx.Tx) (err error) {
		counted = report.clone()
		var refs []clerksync.Reference
		if found, refs, err = m.apply(ctx, tx, a, &counted); err != nil {
			return err
		}
		next.Doubts = slices.Clone(doubts)
		for _, ref := range refs {
			next.Doubts = append(next.Doubts, inDoubt(a.resource, ref))
		}
		if a.listed {
			if fresh, err = store.MarkListed(ctx, tx, m.sweep, a.resource, a.ids); err != nil {
				return err
			}
			if seen != nil {
				next.Seen = new(*seen + fresh)
			}
		}
		if err := m.pack(next, counted); err != nil {
			return err
		}
		return store.SaveAnswer(ctx, tx, m.sweep, found)
	})
	if err != nil {
		return 0, fmt.Errorf("merge %s: %w", a.resource, err)
	}
	m.progress, m.report = next, counted
	m.reportDrift(found)
	return fresh, nil
}

// apply merges an answer into the mirror, and counts and returns the drift that it showed. Objects
// that changed here after Clerk was asked stay as they are. It also returns the doubtful objects.
func (m *merger) apply(ctx context.Context, tx pgx.Tx, a answer, report *Report) ([]store.FoundDrift, []clerksync.Reference, error) {
	merged, err := merge.Observation(ctx, tx, merge.Observed{
		Facts: a.facts, AskedAt: a.askedAt, Cause: report.SweepID, Lags: m.lags(),
		SpareNewer: true, Overrule: a.final, DryRun: m.sweep.DryRun,
	})
	if err != nil {
		return nil, nil, err
	}
	at := updatedAt(merged.Facts)
	drift := m.count(a, merged, at, report)
	found, err := store.FindCauses(ctx, tx, a.resource, drift, m.undelivered())
	if err != nil {
		return nil, nil, err
	}
	report.noteNewest(found, at)
	report.noteFound(found)
	return found, m.newDoubts(a, merged.Doubtful), nil
}

// newDoubts returns the doubts that an answer raises. It leaves out objects that two pages share,
// because the page before has settled those. An answer that settles a doubt raises none.
func (m *merger) newDoubts(a answer, doubtful []clerksync.Reference) []clerksync.Reference {
	return slices.DeleteFunc(doubtful, func(ref clerksync.Reference) bool {
		return a.settling || a.listed && slices.Contains(m.progress.Tail, ref.ID)
	})
}

// undelivered returns the cause of drift that no delivery explains. Until one full sweep was clean,
// the mirror is still being filled.
func (m *merger) undelivered() store.DriftCause {
	if m.lastClean.IsZero() {
		return store.CauseFirstFill
	}
	return store.CauseUndelivered
}

// count counts the drift, and returns it. An object that is gone is drift, too, and counts with its
// dependents.
func (m *merger) count(a answer, merged merge.Merged, at map[string]time.Time, report *Report) []clerksync.Drift {
	drift := merged.Drift
	if m.sweep.DryRun && a.listed { // nothing is written, so that objects that two pages share are found twice
		drift = slices.DeleteFunc(drift, func(d clerksync.Drift) bool { return slices.Contains(m.progress.Tail, d.ID) })
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
	at[id] = m.lastClean
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

// noteBehind reports that Clerk showed an older state of an object than is applied here, and
// continues at next.
func (m *merger) noteBehind(ctx context.Context, resource clerksync.Resource, id string, next progress) error {
	var found []store.FoundDrift
	var noted Report
	report := m.report.clone()
	report.Behind++
	report.kind(resource).Behind++
	err := m.inTx(ctx, func(tx pgx.Tx) (err error) {
		drift := []clerksync.Drift{{ID: id, Difference: clerksync.Behind}}
		if found, err = store.FindCauses(ctx, tx, resource, drift, store.CauseLag); err != nil {
			return err
		}
		noted = report.clone()
		noted.noteFound(found)
		if err := m.pack(next, noted); err != nil {
			return err
		}
		return store.SaveAnswer(ctx, tx, m.sweep, found)
	})
	if err != nil {
		return fmt.Errorf("record that Clerk's reads are behind: %w", err)
	}
	m.progress, m.report = next, noted
	m.reportDrift(found)
	return nil
}
