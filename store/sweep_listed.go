package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// MarkListed records that a sweep saw objects in a listing, and returns how many of them it hadn't
// seen before.
func MarkListed(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, ids []string) (int, error) {
	fresh, err := queries().MarkListed(ctx, db, dbsqlc.MarkListedParams{SweepID: s.ID, Resource: string(r), Ids: ids})
	if err != nil {
		return 0, fmt.Errorf("record what was seen: %w", err)
	}
	return int(fresh), nil
}

// CountListed returns how many objects of a resource a sweep has seen.
func CountListed(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource) (int, error) {
	n, err := queries().CountListed(ctx, db, dbsqlc.CountListedParams{SweepID: s.ID, Resource: string(r)})
	if err != nil {
		return 0, fmt.Errorf("count what was seen: %w", err)
	}
	return int(n), nil
}

// PlanForManyRows makes Postgres plan what this transaction asks of a sweep as if there were many
// rows, until its end.
func PlanForManyRows(ctx context.Context, tx DBTX) error {
	if err := queries().PlanForManyRows(ctx, tx); err != nil {
		return fmt.Errorf("plan for many rows: %w", err)
	}
	return nil
}

// Unlisted returns at most limit objects after the given id that live here, haven't changed since
// the sweep began, and weren't listed, in the order of ids.
func Unlisted(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, after string, limit int) ([]clerksync.Reference, error) {
	rows, err := queries().Unlisted(ctx, db, dbsqlc.UnlistedParams{
		SweepID: s.ID, Resource: string(r), After: after, Began: s.StartedAt, OrganizationID: s.OrganizationID,
		PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list what wasn't seen: %w", err)
	}
	refs := make([]clerksync.Reference, len(rows))
	for i, row := range rows {
		refs[i] = clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID}
	}
	return refs, nil
}

// ListedTombstone is an object that has a tombstone here and was listed by Clerk all the same.
type ListedTombstone struct {
	clerksync.Reference

	KnownAt time.Time // when its deletion became known here
	Final   bool      // nothing lifts its tombstone
}

// ListedTombstones returns at most limit objects after the given id that had a tombstone before the
// sweep began and that Clerk listed all the same, in the order of ids.
func ListedTombstones(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, after string, limit int) ([]ListedTombstone, error) {
	rows, err := queries().ListedTombstones(ctx, db, dbsqlc.ListedTombstonesParams{
		SweepID: s.ID, Resource: string(r), After: after, Began: s.StartedAt,
		PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list what is dead and was seen: %w", err)
	}
	tombstones := make([]ListedTombstone, len(rows))
	for i, row := range rows {
		ref := clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID}
		final := clerksync.Tombstone{OccurredAt: row.KnownAt.UnixMilli(), DeliveryID: row.Cause}.Final()
		tombstones[i] = ListedTombstone{Reference: ref, KnownAt: row.KnownAt, Final: final}
	}
	return tombstones, nil
}

// CountDependents counts what lives here, wasn't seen, and goes when an organization or a user
// goes. One of the ids is "".
func CountDependents(ctx context.Context, db DBTX, s Sweep, organizationID, userID string) (map[clerksync.Resource]int, error) {
	rows, err := queries().CountDependents(ctx, db, dbsqlc.CountDependentsParams{
		SweepID: s.ID, Began: s.StartedAt, OrganizationID: organizationID, UserID: userID,
	})
	if err != nil {
		return nil, fmt.Errorf("count what hangs on an object: %w", err)
	}
	counts := map[clerksync.Resource]int{}
	for _, row := range rows {
		counts[clerksync.Resource(row.Resource)] = int(row.Count)
	}
	return counts, nil
}

// MembershipsAtStake returns how many memberships live here, and how many of them would go if
// everything that wasn't seen were gone.
func MembershipsAtStake(ctx context.Context, db DBTX, s Sweep) (live, atStake int, err error) {
	r, err := queries().MembershipsAtStake(ctx, db, dbsqlc.MembershipsAtStakeParams{
		SweepID: s.ID, Began: s.StartedAt, OrganizationID: s.OrganizationID,
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count memberships at stake: %w", err)
	}
	return int(r.Live), int(r.AtStake), nil
}

// ChangedAfter returns those of the objects that were written after the given instant.
func ChangedAfter(ctx context.Context, db DBTX, ids []string, at time.Time) ([]string, error) {
	changed, err := queries().ChangedAfter(ctx, db, dbsqlc.ChangedAfterParams{Ids: ids, AskedAt: at})
	if err != nil {
		return nil, fmt.Errorf("find what changed since: %w", err)
	}
	return changed, nil
}
