package sweep

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// maxBehind is how many objects must be found behind before a sweep stops looking up doubtful
// objects. Further ones count as behind without a look-up: so many mean that Clerk's reads are
// behind as a whole.
const maxBehind = 50

// doubt says how far an answer about one object can be believed.
type doubt struct {
	judgement clerksync.Judgement
	shadowed  bool // a membership of the same pair ended here, and ranks above the one that Clerk shows
	follows   bool // the membership that Clerk shows proves to have come after those that ended
	recent    bool // what contradicts the answer became known here a moment ago
}

// doubtful is an object whose later version here contradicts what Clerk showed.
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

// settler looks up the doubtful objects, and decides which version counts.
type settler struct {
	*state

	reader *reader
	merger *merger
}

// settle looks up all doubtful objects. The doubts are stored with the answer that raised them, so
// that an interrupted sweep settles them when it continues.
func (s *settler) settle(ctx context.Context) error {
	for len(s.progress.Doubts) > 0 {
		d, next := s.progress.Doubts[0], s.progress
		next.Doubts = slices.Clone(s.progress.Doubts[1:])
		if err := s.withoutLookUp(ctx, next, s.settleDoubt(ctx, d.Resource, d.reference(), next)); err != nil {
			return err
		}
		if len(s.progress.Doubts) > len(next.Doubts) {
			if err := s.save(ctx, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleDoubt looks up one object; the sweep then continues at next. If the lag of Clerk's reads
// explains the difference, nothing changes and the object counts as behind. Otherwise Clerk's
// answer counts.
func (s *settler) settleDoubt(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference, next progress) error {
	if s.report.Behind >= maxBehind {
		return s.merger.noteBehind(ctx, resource, ref.ID, next)
	}
	for range 2 {
		a, err := s.reader.find(ctx, resource, ref)
		if err != nil {
			return err
		}
		a.facts = slices.DeleteFunc(a.facts, func(f clerksync.Facts) bool { return f.Subject != ref.ID })
		if len(a.facts) == 0 {
			return nil
		}
		d, err := s.doubtAbout(ctx, a)
		if err != nil {
			return err
		}
		if !d.recent {
			return s.conclude(ctx, a, d, next)
		}
		if err := s.waitUntil(ctx, a.askedAt.Add(s.cfg.Settle)); err != nil { // not all of Clerk's servers may know the change yet
			return err
		}
	}
	return nil // it keeps changing: the next sweep settles it
}

// doubtAbout compares a look-up's answer about one object with the mirror.
func (s *settler) doubtAbout(ctx context.Context, a answer) (doubt, error) {
	known, err := store.ReadMirror(ctx, s.conn, a.facts)
	if err != nil {
		return doubt{}, err
	}
	lately, err := s.changedSince(ctx, a, s.cfg.ReadLag)
	if err != nil {
		return doubt{}, err
	}
	justNow, err := s.changedSince(ctx, a, s.cfg.Settle)
	if err != nil {
		return doubt{}, err
	}
	followed, err := merge.Follow(ctx, s.conn, a.facts, a.askedAt, s.lags())
	d := doubt{
		judgement: known.Judge(a.facts[0], clerksync.Circumstances{
			AskedAt: a.askedAt.UnixMilli(), Settled: !lately, Trusted: s.opts.TrustClerk,
		}),
		shadowed: len(followed.Shadowed) > 0, follows: followed.Marked,
	}
	contradicts := d.judgement.Behind || d.judgement.Overruling.Subject != ""
	d.recent = contradicts && justNow || followed.Recent
	return d, err
}

// changedSince reports whether the object of a look-up's answer changed here after the answer was
// asked for, or within the time ago before.
func (s *settler) changedSince(ctx context.Context, a answer, ago time.Duration) (bool, error) {
	changed, err := store.ChangedAfter(ctx, s.conn, []string{a.facts[0].Subject}, a.askedAt.Add(-ago))
	return len(changed) > 0, err
}

// conclude merges what the answer proves. If something in the answer stays in doubt, the object
// counts as behind.
func (s *settler) conclude(ctx context.Context, a answer, d doubt, next progress) error {
	a.settling = true
	if d.follows {
		if err := s.merger.commit(ctx, a, s.progress, s.report.clone()); err != nil {
			return err
		}
		a.unreadable = 0 // these objects are counted now
	}
	if d.judgement.Overruling.Subject != "" {
		overruling := a
		overruling.facts = []clerksync.Facts{d.judgement.Overruling}
		overruling.final = true
		if err := s.merger.commit(ctx, overruling, s.progress, s.report.clone()); err != nil {
			return err
		}
	}
	if d.judgement.Behind || d.shadowed {
		return s.merger.noteBehind(ctx, a.resource, a.facts[0].Subject, next)
	}
	return nil
}

// withoutLookUp continues at next if Clerk refuses a look-up. The object stays as it is.
func (s *settler) withoutLookUp(ctx context.Context, next progress, err error) error {
	refused, ok := errors.AsType[*refusedError](err)
	if !ok {
		return err
	}
	refused.LookUps = 1
	i := slices.IndexFunc(s.report.Refused, func(f Refused) bool { return f.Resource == refused.Resource && f.LookUps > 0 })
	if i < 0 {
		i = len(s.report.Refused)
		s.report.Refused = append(s.report.Refused, refused.Refused)
		s.report.Refused[i].LookUps = 0
		s.warnRefused(ctx, refused.Refused)
	}
	s.report.Refused[i].LookUps++
	return s.save(ctx, next)
}
