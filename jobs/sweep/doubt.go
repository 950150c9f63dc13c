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

// maxBehind is how many objects a sweep looks up because Clerk listed them in an old state. Of the others the listing
// itself counts: so many mean that Clerk's reads are behind as a whole.
const maxBehind = 50

// doubt is what keeps an answer about one object from being believed.
type doubt struct {
	judgement clerksync.Judgement
	shadowed  bool // a membership of the same pair ended here, and ranks above the one that Clerk shows
	follows   bool // the membership that Clerk shows proves to have come after those that ended
	recent    bool // what contradicts the answer became known here a moment ago
}

// doubtful is an object that Clerk showed otherwise than later versions here say.
type doubtful struct {
	Resource       clerksync.Resource `json:"resource"`
	ID             string             `json:"id"`
	OrganizationID string             `json:"organization_id,omitempty"`
	UserID         string             `json:"user_id,omitempty"`
}

func inDoubt(r clerksync.Resource, ref clerksync.Reference) doubtful {
	return doubtful{r, ref.ID, ref.OrganizationID, ref.UserID}
}

func (d doubtful) reference() clerksync.Reference {
	return clerksync.Reference{ID: d.ID, OrganizationID: d.OrganizationID, UserID: d.UserID}
}

// settleDoubts looks up what Clerk showed otherwise than later versions here say. The doubts are stored with the answer
// that raised them, so that a sweep which is cut off settles them when it continues.
func (r *sweepRun) settleDoubts(ctx context.Context) error {
	for len(r.progress.Doubts) > 0 {
		d, next := r.progress.Doubts[0], r.progress
		next.Doubts = slices.Clone(r.progress.Doubts[1:])
		if err := r.withoutLookUp(ctx, next, r.settleDoubt(ctx, d.Resource, d.reference(), next)); err != nil {
			return err
		}
		if len(r.progress.Doubts) > len(next.Doubts) {
			if err := r.save(ctx, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleDoubt looks up one object, and continues at next. Where a lag of Clerk's reads explains the difference, nothing
// changes and the object counts as behind; else Clerk's word counts.
func (r *sweepRun) settleDoubt(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference, next progress) error {
	if r.report.Behind >= maxBehind {
		return r.noteBehind(ctx, resource, ref.ID, next)
	}
	for range 2 {
		a, err := r.find(ctx, resource, ref)
		if err != nil {
			return err
		}
		a.facts = slices.DeleteFunc(a.facts, func(f clerksync.Facts) bool { return f.Subject != ref.ID })
		if len(a.facts) == 0 {
			return nil
		}
		d, err := r.doubtAbout(ctx, a)
		if err != nil {
			return err
		}
		if !d.recent {
			return r.conclude(ctx, a, d, next)
		}
		if err := r.waitUntil(ctx, a.askedAt.Add(r.cfg.Settle)); err != nil { // perhaps not all of Clerk knows yet
			return err
		}
	}
	return nil // it changes all the time: the next sweep will see
}

// doubtAbout compares a look-up's answer about one object with the mirror.
func (r *sweepRun) doubtAbout(ctx context.Context, a answer) (doubt, error) {
	known, err := store.ReadMirror(ctx, r.conn, a.facts)
	if err != nil {
		return doubt{}, err
	}
	lately, err := r.changedSince(ctx, a, r.cfg.ReadLag)
	if err != nil {
		return doubt{}, err
	}
	justNow, err := r.changedSince(ctx, a, r.cfg.Settle)
	if err != nil {
		return doubt{}, err
	}
	followed, err := merge.Follow(ctx, r.conn, a.facts, a.askedAt, r.lags())
	d := doubt{
		judgement: known.Judge(a.facts[0], clerksync.Circumstances{
			AskedAt: a.askedAt.UnixMilli(), Settled: !lately, Trusted: r.opts.TrustClerk,
		}),
		shadowed: len(followed.Shadowed) > 0, follows: followed.Marked,
	}
	contradicts := d.judgement.Behind || d.judgement.Overruling.Subject != ""
	d.recent = contradicts && justNow || followed.Recent
	return d, err
}

// changedSince reports whether the object of a look-up's answer changed here less than a while before it was asked for.
func (r *sweepRun) changedSince(ctx context.Context, a answer, ago time.Duration) (bool, error) {
	changed, err := store.ChangedAfter(ctx, r.conn, []string{a.facts[0].Subject}, a.askedAt.Add(-ago))
	return len(changed) > 0, err
}

// conclude changes what the answer proves, and reports what it doesn't.
func (r *sweepRun) conclude(ctx context.Context, a answer, d doubt, next progress) error {
	a.settling = true
	if d.follows {
		if err := r.commit(ctx, a, r.progress, r.report.clone()); err != nil {
			return err
		}
		a.unread = 0 // they are counted
	}
	if d.judgement.Overruling.Subject != "" {
		overruling := a
		overruling.facts, overruling.final = []clerksync.Facts{d.judgement.Overruling}, true
		if err := r.commit(ctx, overruling, r.progress, r.report.clone()); err != nil {
			return err
		}
	}
	if d.judgement.Behind || d.shadowed {
		return r.noteBehind(ctx, a.resource, a.facts[0].Subject, next)
	}
	return nil
}

// noteBehind reports that Clerk showed an object as it was before what is applied here, and continues at next.
func (r *sweepRun) noteBehind(ctx context.Context, resource clerksync.Resource, id string, next progress) error {
	var found []store.FoundDrift
	report := r.report.clone()
	report.Behind++
	report.kind(resource).Behind++
	err := r.inTx(ctx, func(tx pgx.Tx) (err error) {
		drift := []clerksync.Drift{{ID: id, Difference: clerksync.Behind}}
		if found, err = store.RecordDrift(ctx, tx, resource, drift, store.CauseLag, !r.sweep.DryRun); err != nil {
			return err
		}
		if err := r.pack(next, report); err != nil {
			return err
		}
		return store.SaveSweep(ctx, tx, r.sweep)
	})
	if err != nil {
		return fmt.Errorf("record what Clerk showed of before: %w", err)
	}
	r.progress, r.report = next, report
	r.found(found)
	return nil
}

// tooYoung reports whether reads that are known to be behind explain why an object isn't there: it changed here not long
// ago, so it may have been made after the state that they show.
func (r *sweepRun) tooYoung(ctx context.Context, id string, askedAt time.Time) (bool, error) {
	if r.report.Behind == 0 {
		return false, nil
	}
	changed, err := store.ChangedAfter(ctx, r.conn, []string{id}, askedAt.Add(-r.cfg.ReadLag))
	return len(changed) > 0, err
}

func (r *sweepRun) lags() merge.Lags { return merge.Lags{Settle: r.cfg.Settle, Read: r.cfg.ReadLag} }
