package jobs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// confirmBatch is how many objects to look up are read at once.
	confirmBatch = 1000
	// defaultSettle is how long something must have been known here before a look-up may contradict it: an answer given
	// sooner could be of before, if not all of Clerk knows at once.
	defaultSettle = 10 * time.Second
)

// brake stops a sweep that would remove more memberships than is plausible, before it looks anything up: those that weren't
// listed, and those whose organization or user wasn't. Somebody has to confirm it.
func (r *sweepRun) brake(ctx context.Context) error {
	if r.progress.Decided {
		return nil
	}
	var live, atStake int
	err := r.compareAll(ctx, func(tx pgx.Tx) (err error) {
		live, atStake, err = store.MembershipsAtStake(ctx, tx, r.sweep)
		return err
	})
	if err != nil {
		return err
	}
	limit := max(minRemovals, int(r.cfg.MaxRemovalRatio*float64(live)))
	r.report.Memberships, r.report.AtStake, r.report.RemovalLimit = live, atStake, limit
	if atStake > limit && !r.opts.Confirm {
		r.report.Extra += atStake
		r.report.kind(clerksync.ResourceMembership).Extra += atStake
		return &guardError{ReasonRemovalRatio, fmt.Sprintf(
			"%d of %d memberships would go, and at most %d may without being confirmed", atStake, live, limit)}
	}
	return r.save(ctx, progress{Listed: true, Decided: true, Resource: r.confirmed()[0]})
}

// compareAll runs a query over everything that was seen, in a read-only transaction of its own.
func (r *sweepRun) compareAll(ctx context.Context, ask func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, r.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := store.PlanForManyRows(ctx, tx); err != nil {
			return err
		}
		return ask(tx)
	})
}

// confirmed are the resources in the order in which what differs is looked up: what takes others along comes first.
func (r *sweepRun) confirmed() []clerksync.Resource {
	first := []clerksync.Resource{clerksync.ResourceOrganization, clerksync.ResourceUser}
	rest := slices.DeleteFunc(r.resources(), func(x clerksync.Resource) bool { return slices.Contains(first, x) || r.unlisted(x) })
	return append(first, rest...)
}

// confirm looks up, resource by resource, what lives here and wasn't listed, then what has a tombstone here and was listed.
func (r *sweepRun) confirm(ctx context.Context) error {
	resources := r.confirmed()
	for i := slices.Index(resources, r.progress.Resource); i < len(resources); i++ {
		if resource := resources[i]; resource != r.progress.Resource {
			if err := r.save(ctx, r.lookUpNext(resource, "", false, 0)); err != nil {
				return err
			}
		}
		if !r.progress.Lifting {
			if err := r.confirmUnseen(ctx, resources[i]); err != nil {
				return err
			}
		}
		if err := r.confirmBuried(ctx, resources[i]); err != nil {
			return err
		}
	}
	return nil
}

// lookUpNext is where confirming goes on.
func (r *sweepRun) lookUpNext(resource clerksync.Resource, after string, lifting bool, lookedUp int) progress {
	return progress{
		Listed: true, Decided: true, Resource: resource, After: after, Lifting: lifting, LookedUp: r.progress.LookedUp + lookedUp,
	}
}

func (r *sweepRun) confirmUnseen(ctx context.Context, resource clerksync.Resource) error {
	for {
		var refs []clerksync.Reference
		err := r.compareAll(ctx, func(tx pgx.Tx) (err error) {
			refs, err = store.Unlisted(ctx, tx, r.sweep, resource, r.progress.After, confirmBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, ref := range refs {
			err := r.lookUp(ctx, resource, ref)
			if err := r.withoutLookUp(ctx, r.lookUpNext(resource, ref.ID, false, 1), err); err != nil {
				return err
			}
		}
		if len(refs) < confirmBatch {
			return r.save(ctx, r.lookUpNext(resource, "", true, 0))
		}
	}
}

// lookUp asks Clerk for one object that wasn't listed. If there is none, it gets a tombstone. Whatever
// else the look-up shows is merged.
func (r *sweepRun) lookUp(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) error {
	a, err := r.findSettled(ctx, resource, ref)
	if err != nil {
		return err
	}
	next := r.lookUpNext(resource, ref.ID, false, 1)
	if slices.Contains(a.ids, ref.ID) {
		report := r.report.clone()
		report.Vindicated++
		err = r.commit(ctx, a, next, report)
	} else {
		err = r.bury(ctx, a, ref, next)
	}
	if err != nil {
		return err
	}
	r.tell(SweepProgress{Resource: resource, Confirming: true, LookedUp: next.LookedUp, Total: -1})
	return r.settleDoubts(ctx)
}

// bury gives an object that a look-up didn't show its tombstone, unless reads that are behind explain why it isn't there.
// The other memberships of its pair are in doubt then: it may rank above the one that Clerk has.
func (r *sweepRun) bury(ctx context.Context, a answer, ref clerksync.Reference, next progress) error {
	young, err := r.tooYoung(ctx, ref.ID, a.askedAt)
	if err != nil {
		return err
	}
	if young {
		return r.noteBehind(ctx, a.resource, ref.ID, next)
	}
	if a.gone, err = r.goingWith(ctx, a.resource, ref); err != nil {
		return err
	}
	if a.resource == clerksync.ResourceMembership {
		mates, err := store.LiveMates(ctx, r.conn, ref)
		if err != nil {
			return err
		}
		for _, id := range mates {
			mate := clerksync.Reference{ID: id, OrganizationID: ref.OrganizationID, UserID: ref.UserID}
			next.Doubts = append(next.Doubts, inDoubt(a.resource, mate))
		}
	}
	a.facts = append(a.facts, clerksync.Gone(a.resource, ref, a.askedAt.UnixMilli(), r.report.SweepID))
	return r.commit(ctx, a, next, r.report.clone())
}

// findSettled looks an object up. If there is none, but it changed here a moment ago, it waits and asks again: perhaps not all of
// Clerk knows of it yet.
func (r *sweepRun) findSettled(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) (answer, error) {
	a, err := r.find(ctx, resource, ref)
	if err != nil || slices.Contains(a.ids, ref.ID) {
		return a, err
	}
	recent, err := store.ChangedAfter(ctx, r.conn, []string{ref.ID}, a.askedAt.Add(-r.cfg.Settle))
	if err != nil || len(recent) == 0 {
		return a, err
	}
	if err := r.waitUntil(ctx, a.askedAt.Add(r.cfg.Settle)); err != nil {
		return a, err
	}
	return r.find(ctx, resource, ref)
}

// goingWith counts what goes with an object that is gone, itself included: what hangs on an organization or a user needs no
// tombstone of its own.
func (r *sweepRun) goingWith(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) (map[clerksync.Resource]int, error) {
	gone := map[clerksync.Resource]int{}
	var err error
	switch {
	case r.sweep.DryRun: // nothing gets a tombstone, so that each of them is looked up itself
	case resource == clerksync.ResourceOrganization:
		gone, err = store.CountDependents(ctx, r.conn, r.sweep, ref.ID, "")
	case resource == clerksync.ResourceUser:
		gone, err = store.CountDependents(ctx, r.conn, r.sweep, "", ref.ID)
	}
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(gone, func(kind clerksync.Resource, _ int) bool { return r.unlisted(kind) })
	gone[resource]++
	return gone, nil
}

func (r *sweepRun) confirmBuried(ctx context.Context, resource clerksync.Resource) error {
	for {
		var graves []store.ListedTombstone
		err := r.compareAll(ctx, func(tx pgx.Tx) (err error) {
			graves, err = store.ListedTombstones(ctx, tx, r.sweep, resource, r.progress.After, confirmBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, grave := range graves {
			err := r.exhume(ctx, resource, grave)
			if err := r.withoutLookUp(ctx, r.lookUpNext(resource, grave.ID, true, 1), err); err != nil {
				return err
			}
		}
		if len(graves) < confirmBatch {
			return nil
		}
	}
}

// exhume asks Clerk for one object that has a tombstone and was listed. If it lives after all, the tombstone is lifted. If
// that is final, or lately set while Clerk's reads are behind, the answer is of before the deletion.
func (r *sweepRun) exhume(ctx context.Context, resource clerksync.Resource, grave store.ListedTombstone) error {
	if err := r.waitUntil(ctx, grave.KnownAt.Add(r.cfg.Settle)); err != nil {
		return err
	}
	a, err := r.find(ctx, resource, grave.Reference)
	if err != nil {
		return err
	}
	next := r.lookUpNext(resource, grave.ID, true, 1)
	for i, f := range a.facts {
		if f.Subject != grave.ID {
			continue
		}
		if grave.Final || r.report.Behind > 0 && a.askedAt.Sub(grave.KnownAt) < r.cfg.ReadLag {
			return r.noteBehind(ctx, resource, grave.ID, next)
		}
		a.facts[i] = f.Alive(a.askedAt.UnixMilli())
	}
	if err := r.commit(ctx, a, next, r.report.clone()); err != nil {
		return err
	}
	return r.settleDoubts(ctx)
}

// find looks an object up.
func (r *sweepRun) find(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) (answer, error) {
	if err := r.gaveUp(resource); err != nil {
		return answer{}, err
	}
	askedAt, err := store.Now(ctx, r.conn)
	if err != nil {
		return answer{}, err
	}
	objects, err := r.directory.Find(ctx, resource, ref)
	if err := askingError(ctx, resource, err); err != nil {
		return answer{}, err
	}
	return r.read(ctx, resource, askedAt, objects)
}

// waitUntil waits until an instant by the database's clock.
func (r *sweepRun) waitUntil(ctx context.Context, at time.Time) error {
	now, err := store.Now(ctx, r.conn)
	if err != nil {
		return err
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
