package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// MarkListed notes that Clerk listed objects. It returns how many of them the sweep hadn't seen
// before.
func MarkListed(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, ids []string) (int, error) {
	fresh, err := queries().MarkListed(ctx, db, dbsqlc.MarkListedParams{SweepID: s.ID, Resource: string(r), Ids: ids})
	if err != nil {
		return 0, fmt.Errorf("mark as listed: %w", err)
	}
	return int(fresh), nil
}

// SaveAnswer records an answer of Clerk's in a sweep: its drift, which a dry run doesn't count, and
// how far the sweep has come. It sends these statements together.
func SaveAnswer(ctx context.Context, db DBTX, s Sweep, drift []FoundDrift) error {
	var p pipeline
	if !s.DryRun {
		countDrift(&p, drift)
	}
	p.exec(dbsqlc.SaveSweep, nil, s.Progress, s.Report, s.ID)
	if err := p.run(ctx, db); err != nil {
		return fmt.Errorf("record an answer: %w", err)
	}
	return nil
}

// CountListed returns how many objects of a resource are listed in a sweep.
func CountListed(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource) (int, error) {
	n, err := queries().CountListed(ctx, db, dbsqlc.CountListedParams{SweepID: s.ID, Resource: string(r)})
	if err != nil {
		return 0, fmt.Errorf("count what was listed: %w", err)
	}
	return int(n), nil
}

// ForgetListed forgets what was listed in sweeps that can't be resumed, so many objects at a time.
// Each such part is a statement of its own: forgetting the millions of a large sweep takes a while.
func ForgetListed(ctx context.Context, db DBTX, limit int) error {
	ended, err := queries().ListedToForget(ctx, db)
	if err != nil {
		return fmt.Errorf("find listings of sweeps that ended: %w", err)
	}
	for _, e := range ended {
		next := dbsqlc.ForgetListedParams{SweepID: e.SweepID, Resource: e.Resource, PageSize: pageSize(limit)}
		for more := true; more; more = next.After != "" {
			if next.After, err = queries().ForgetListed(ctx, db, next); err != nil {
				return fmt.Errorf("forget what was listed: %w", err)
			}
		}
	}
	return nil
}

// Unlisted examines at most limit objects after the given id, in the order of ids. It returns those
// that live here, weren't listed, and weren't changed since the sweep began by anything that
// happened since; if since isn't zero, only those that were changed after it. last is the last id
// that it examined, "" if none was left. In a sweep of one organization, it examines all of its
// objects and returns at most limit.
func Unlisted(
	ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, since time.Time, after string, limit int,
) (refs []clerksync.Reference, last string, err error) {
	if s.OrganizationID != "" {
		refs, err = unlistedIn(ctx, db, s, r, since, after, limit)
		if len(refs) > 0 {
			last = refs[len(refs)-1].ID
		}
		return refs, last, err
	}
	rows, err := queries().Unlisted(ctx, db, dbsqlc.UnlistedParams{
		SweepID: s.ID, Resource: string(r), Since: since, After: after, Began: s.StartedAt, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, "", fmt.Errorf("find what wasn't listed: %w", err)
	}
	for _, row := range rows {
		if last = row.ID; row.Unlisted {
			refs = append(refs, clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID})
		}
	}
	return refs, last, nil
}

func unlistedIn(
	ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, since time.Time, after string, limit int,
) ([]clerksync.Reference, error) {
	rows, err := queries().UnlistedIn(ctx, db, dbsqlc.UnlistedInParams{
		SweepID: s.ID, Resource: string(r), Since: since, After: after, Began: s.StartedAt, OrganizationID: s.OrganizationID, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("find what wasn't listed in %s: %w", s.OrganizationID, err)
	}
	refs := make([]clerksync.Reference, len(rows))
	for i, row := range rows {
		refs[i] = clerksync.Reference(row)
	}
	return refs, nil
}

// ListedTombstone is an object with a tombstone here that Clerk listed all the same.
type ListedTombstone struct {
	clerksync.Reference

	KnownAt time.Time // when its deletion became known here
	Final   bool      // nothing lifts its tombstone
}

// ListedTombstones examines at most limit listed objects after the given id, in the order of ids.
// It returns those that had a tombstone before the sweep began. last is the last id that it
// examined, "" if none was left.
func ListedTombstones(
	ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, after string, limit int,
) (tombstones []ListedTombstone, last string, err error) {
	rows, err := queries().ListedTombstones(ctx, db, dbsqlc.ListedTombstonesParams{
		SweepID: s.ID, Resource: string(r), After: after, Began: s.StartedAt, PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, "", fmt.Errorf("find listed tombstones: %w", err)
	}
	for _, row := range rows {
		if last = row.ID; row.Dead {
			ref := clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID}
			final := clerksync.Tombstone{OccurredAt: row.KnownAt.UnixMilli(), DeliveryID: row.Cause}.Final()
			tombstones = append(tombstones, ListedTombstone{Reference: ref, KnownAt: row.KnownAt, Final: final})
		}
	}
	return tombstones, last, nil
}

// CountDependents counts the live objects that weren't listed and would end with the given
// organization or user; but not an organization's memberships, which may be many: [CountStakes]
// counts them. One of the two ids is "".
func CountDependents(ctx context.Context, db DBTX, s Sweep, organizationID, userID string) (map[clerksync.Resource]int, error) {
	rows, err := queries().CountDependents(ctx, db, dbsqlc.CountDependentsParams{
		SweepID: s.ID, Began: s.StartedAt, OrganizationID: organizationID, UserID: userID,
	})
	if err != nil {
		return nil, fmt.Errorf("count dependents: %w", err)
	}
	counts := map[clerksync.Resource]int{}
	for _, row := range rows {
		counts[clerksync.Resource(row.Resource)] = int(row.Count)
	}
	return counts, nil
}

// AnyWaiting reports whether a delivery that came before an instant isn't applied.
func AnyWaiting(ctx context.Context, db DBTX, cameBefore time.Time) (bool, error) {
	waiting, err := queries().AnyWaiting(ctx, db, cameBefore)
	if err != nil {
		return false, fmt.Errorf("look for waiting deliveries: %w", err)
	}
	return waiting, nil
}

// ChangedAfter returns the ids of objects that were written after the given instant.
func ChangedAfter(ctx context.Context, db DBTX, ids []string, at time.Time) ([]string, error) {
	changed, err := queries().ChangedAfter(ctx, db, dbsqlc.ChangedAfterParams{Ids: ids, AskedAt: at})
	if err != nil {
		return nil, fmt.Errorf("find what changed since: %w", err)
	}
	return changed, nil
}
