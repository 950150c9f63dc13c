package sweep

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// confirmer looks up, one by one, the objects in which the listings and the mirror differ.
type confirmer struct {
	*state

	reader  *reader
	merger  *merger
	settler *settler
}

// brake stops a sweep that would remove more memberships than is plausible, unless an operator has
// confirmed it. It counts the memberships that weren't listed, and those whose organization or user
// wasn't listed. It comes before the look-ups, the first ones and those that are made again.
func (c *confirmer) brake(ctx context.Context) error {
	if c.progress.Decided {
		return nil
	}
	counted, err := c.countStakes(ctx, c.sweep.OrganizationID)
	if err != nil {
		return err
	}
	limit := max(minRemovals, int(c.cfg.MaxRemovalRatio*float64(counted.Live)))
	if counted.AtStake >= c.report.AtStake { // of both counts, the report has the one with more at stake
		c.report.Memberships = counted.Live
		c.report.AtStake = counted.AtStake
		c.report.RemovalLimit = limit
	}
	if counted.AtStake > max(limit, c.report.confirmedUpTo()) && !c.opts.Confirm {
		return c.stop(counted, limit)
	}
	next := progress{Again: c.progress.Again, LookedUp: c.progress.LookedUp}
	if !next.Again {
		if next.Early, err = c.early(ctx); err != nil {
			return err
		}
	}
	return c.save(ctx, next.confirming(c.confirmed()[0]))
}

// early reports whether a delivery that came before the sweep isn't applied. It may show an object
// that was gone before the listing, and whose deletion nobody reports.
func (c *confirmer) early(ctx context.Context) (bool, error) {
	if c.sweep.DryRun {
		return false, nil
	}
	return store.AnyWaiting(ctx, c.conn, c.sweep.StartedAt)
}

// commitsWithin is how long before its commit a delivery's transaction may have written an object.
const commitsWithin = time.Minute

// confirmAgain confirms once more what has changed since the sweep began, as soon as older
// deliveries are applied.
func (c *confirmer) confirmAgain(ctx context.Context) error {
	if !c.progress.Early {
		return nil
	}
	if err := c.awaitEarly(ctx); err != nil {
		return err
	}
	next := progress{Listed: true, Resource: c.confirmed()[0], LookedUp: c.progress.LookedUp, Again: true}
	if err := c.save(ctx, next); err != nil {
		return err
	}
	if err := c.brake(ctx); err != nil {
		return err
	}
	return c.confirm(ctx)
}

// awaitEarly waits until the deliveries that came before the sweep are applied, for ApplyWait at
// most. An ordered sweep is worked in slices, which may be shorter than that.
func (c *confirmer) awaitEarly(ctx context.Context) error {
	for {
		waiting, err := c.early(ctx)
		if err != nil || !waiting {
			return err
		}
		now, err := store.Now(ctx, c.conn)
		if err != nil {
			return err
		}
		if c.progress.Awaits.IsZero() {
			next := c.progress
			next.Awaits = now.Add(c.cfg.ApplyWait)
			if err := c.save(ctx, next); err != nil {
				return err
			}
		}
		left := c.progress.Awaits.Sub(now)
		if left <= 0 {
			return nil
		}
		if err := merge.Wait(ctx, min(50*time.Millisecond, left)); err != nil {
			return err
		}
	}
}

// stop is the error of a sweep that would remove too many memberships. The report then says which
// workspaces would lose most of them.
func (c *confirmer) stop(counted tally, limit int) error {
	c.report.Stakes = counted.most()
	c.report.Extra += counted.AtStake
	c.report.kind(clerksync.ResourceMembership).Extra += counted.AtStake
	removed := fmt.Sprintf("%d of %d memberships would be removed", counted.AtStake, counted.Live)
	detail := fmt.Sprintf("%s, but without confirmation at most %d may be", removed, limit)
	if confirmed := c.report.confirmedUpTo(); confirmed > limit {
		detail = fmt.Sprintf("%s, and only %d were confirmed", removed, confirmed)
	}
	return &guardError{ReasonRemovalRatio, detail}
}

// confirmed returns the kinds in the order of their look-ups. Organizations and users come first,
// because other objects end with them.
func (c *confirmer) confirmed() []clerksync.Resource {
	first := []clerksync.Resource{clerksync.ResourceOrganization, clerksync.ResourceUser}
	rest := slices.DeleteFunc(c.resources(), func(x clerksync.Resource) bool { return slices.Contains(first, x) || c.unlisted(x) })
	return append(first, rest...)
}

// confirm goes through the kinds. Of each, it looks up the live objects that weren't listed, and
// then, the first time, the listed ones that have a tombstone.
func (c *confirmer) confirm(ctx context.Context) error {
	resources := c.confirmed()
	for i := slices.Index(resources, c.progress.Resource); i < len(resources); i++ {
		if resource := resources[i]; resource != c.progress.Resource {
			if err := c.save(ctx, c.progress.confirming(resource)); err != nil {
				return err
			}
		}
		if !c.progress.Lifting {
			if err := c.confirmUnlisted(ctx, resources[i]); err != nil {
				return err
			}
		}
		if c.progress.Again {
			continue
		}
		if err := c.confirmTombstones(ctx, resources[i]); err != nil {
			return err
		}
	}
	return nil
}

// confirmUnlisted looks up the live objects that weren't listed.
func (c *confirmer) confirmUnlisted(ctx context.Context, resource clerksync.Resource) error {
	var since time.Time
	if c.progress.Again {
		since = c.sweep.StartedAt.Add(-commitsWithin)
	}
	for {
		refs, last, err := store.Unlisted(ctx, c.conn, c.sweep, resource, since, c.progress.After, c.cfg.examined)
		if err != nil {
			return err
		}
		if last == "" {
			return c.save(ctx, c.progress.lifting())
		}
		for _, ref := range refs {
			err := c.lookUp(ctx, resource, ref)
			if err := c.settler.withoutLookUp(ctx, c.progress.lookedUp(ref.ID), err); err != nil {
				return err
			}
		}
		if err := c.examined(ctx, resource, last); err != nil {
			return err
		}
	}
}

// examined notes that the objects up to one are confirmed.
func (c *confirmer) examined(ctx context.Context, resource clerksync.Resource, last string) error {
	if c.progress.After == last {
		return nil
	}
	if err := c.save(ctx, c.progress.after(last)); err != nil {
		return err
	}
	c.reportProgress(Progress{Resource: resource, Confirming: true, LookedUp: c.progress.LookedUp, Total: -1})
	return nil
}

// lookUp asks Clerk for one object that wasn't listed. If Clerk has none, the object gets a
// tombstone. All that the look-up shows is merged.
func (c *confirmer) lookUp(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) error {
	a, err := c.findSettled(ctx, resource, ref)
	if err != nil {
		return err
	}
	next := c.progress.lookedUp(ref.ID)
	if slices.Contains(a.ids, ref.ID) {
		report := c.report.clone()
		report.Vindicated++
		err = c.merger.commit(ctx, a, next, report)
	} else {
		err = c.setTombstone(ctx, a, ref, next)
	}
	if err != nil {
		return err
	}
	c.reportProgress(Progress{Resource: resource, Confirming: true, LookedUp: next.LookedUp, Total: -1})
	return c.settler.settle(ctx)
}

// setTombstone gives a tombstone to an object that a look-up didn't show, unless the lag of Clerk's
// reads explains that. If the object is a membership, the others of its pair are then in doubt: it
// may rank above the one that Clerk has.
func (c *confirmer) setTombstone(ctx context.Context, a answer, ref clerksync.Reference, next progress) error {
	young, err := c.tooYoung(ctx, ref.ID, a.askedAt)
	if err != nil {
		return err
	}
	if young {
		return c.merger.noteBehind(ctx, a.resource, ref.ID, next)
	}
	if a.gone, err = c.countGone(ctx, a.resource, ref); err != nil {
		return err
	}
	if a.resource == clerksync.ResourceMembership {
		mates, err := store.LiveMates(ctx, c.conn, ref)
		if err != nil {
			return err
		}
		for _, id := range mates {
			mate := clerksync.Reference{ID: id, OrganizationID: ref.OrganizationID, UserID: ref.UserID}
			next.Doubts = append(next.Doubts, inDoubt(a.resource, mate))
		}
	}
	a.facts = append(a.facts, clerksync.Gone(a.resource, ref, a.askedAt.UnixMilli(), c.report.SweepID))
	return c.merger.commit(ctx, a, next, c.report.clone())
}

// findSettled looks an object up. If Clerk has none, but the object changed here a moment ago, it
// waits and asks again: not all of Clerk's servers may know the change yet.
func (c *confirmer) findSettled(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) (answer, error) {
	a, err := c.reader.find(ctx, resource, ref)
	if err != nil || slices.Contains(a.ids, ref.ID) {
		return a, err
	}
	recent, err := store.ChangedAfter(ctx, c.conn, []string{ref.ID}, a.askedAt.Add(-c.cfg.Settle))
	if err != nil || len(recent) == 0 {
		return a, err
	}
	if err := c.waitUntil(ctx, a.askedAt.Add(c.cfg.Settle)); err != nil {
		return a, err
	}
	return c.reader.find(ctx, resource, ref)
}

// countGone counts an object that is gone, and those that end with it. Dependents of an
// organization or a user need no tombstone of their own.
func (c *confirmer) countGone(ctx context.Context, resource clerksync.Resource, ref clerksync.Reference) (map[clerksync.Resource]int, error) {
	gone := map[clerksync.Resource]int{}
	var err error
	switch {
	case c.sweep.DryRun: // nothing gets a tombstone, so that each of them is looked up itself
	case resource == clerksync.ResourceOrganization:
		gone, err = c.countHanging(ctx, ref.ID)
	case resource == clerksync.ResourceUser:
		gone, err = store.CountDependents(ctx, c.conn, c.sweep, "", ref.ID)
	}
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(gone, func(kind clerksync.Resource, _ int) bool { return c.unlisted(kind) })
	gone[resource]++
	return gone, nil
}

// countHanging counts the objects that end with an organization.
func (c *confirmer) countHanging(ctx context.Context, organizationID string) (map[clerksync.Resource]int, error) {
	counted, err := c.countStakes(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	gone, err := store.CountDependents(ctx, c.conn, c.sweep, organizationID, "")
	if err != nil {
		return nil, err
	}
	gone[clerksync.ResourceMembership] = counted.Unlisted
	return gone, nil
}

// confirmTombstones looks up the listed objects that have a tombstone.
func (c *confirmer) confirmTombstones(ctx context.Context, resource clerksync.Resource) error {
	for {
		tombstones, last, err := store.ListedTombstones(ctx, c.conn, c.sweep, resource, c.progress.After, c.cfg.examined)
		if err != nil || last == "" {
			return err
		}
		for _, tombstone := range tombstones {
			err := c.confirmDeleted(ctx, resource, tombstone)
			if err := c.settler.withoutLookUp(ctx, c.progress.lookedUp(tombstone.ID), err); err != nil {
				return err
			}
		}
		if err := c.examined(ctx, resource, last); err != nil {
			return err
		}
	}
}

// confirmDeleted asks Clerk for one listed object that has a tombstone. If Clerk shows it, the
// tombstone is lifted. A final tombstone stays. One that was set recently also stays if Clerk's
// reads are known to be behind, by this answer or another one: it may predate the deletion.
func (c *confirmer) confirmDeleted(ctx context.Context, resource clerksync.Resource, tombstone store.ListedTombstone) error {
	if err := c.waitUntil(ctx, tombstone.KnownAt.Add(c.cfg.Settle)); err != nil {
		return err
	}
	a, err := c.reader.find(ctx, resource, tombstone.Reference)
	if err != nil {
		return err
	}
	next := c.progress.lookedUp(tombstone.ID)
	for i, f := range a.facts {
		if f.Subject != tombstone.ID {
			continue
		}
		behind, err := c.predates(ctx, f, a.askedAt, tombstone)
		if err != nil {
			return err
		}
		if behind {
			return c.merger.noteBehind(ctx, resource, tombstone.ID, next)
		}
		a.facts[i] = f.Alive(a.askedAt.UnixMilli())
	}
	if err := c.merger.commit(ctx, a, next, c.report.clone()); err != nil {
		return err
	}
	return c.settler.settle(ctx)
}

// predates reports whether an answer that shows an object may be older than its tombstone.
func (c *confirmer) predates(ctx context.Context, f clerksync.Facts, askedAt time.Time, tombstone store.ListedTombstone) (bool, error) {
	if tombstone.Final {
		return true, nil
	}
	if askedAt.Sub(tombstone.KnownAt) >= c.cfg.ReadLag {
		return false, nil
	}
	if c.report.Behind > 0 {
		return true, nil
	}
	known, err := store.ReadMirror(ctx, c.conn, []clerksync.Facts{f})
	return known.Older(f, clerksync.Circumstances{AskedAt: askedAt.UnixMilli(), Trusted: c.opts.TrustClerk}), err
}

// tooYoung reports whether Clerk's reads are known to be behind and the object changed here
// recently. Such an object may be younger than the state that the reads show.
func (c *confirmer) tooYoung(ctx context.Context, id string, askedAt time.Time) (bool, error) {
	if c.report.Behind == 0 {
		return false, nil
	}
	changed, err := store.ChangedAfter(ctx, c.conn, []string{id}, askedAt.Add(-c.cfg.ReadLag))
	return len(changed) > 0, err
}
