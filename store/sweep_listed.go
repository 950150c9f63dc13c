package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// SaveAnswer records an answer of Clerk's in a sweep: its drift, which a dry run doesn't count, the
// objects that it listed, and how far the sweep has come. It sends these statements together. It
// returns how many of the listed objects the sweep hadn't seen before.
func SaveAnswer(ctx context.Context, db DBTX, s Sweep, drift []FoundDrift, r clerksync.Resource, listed []string) (fresh int, err error) {
	var p pipeline
	if !s.DryRun {
		countDrift(&p, drift)
	}
	if len(listed) > 0 {
		p.exec(dbsqlc.MarkListed, func(rows int64) error {
			fresh = int(rows)
			return nil
		}, s.ID, string(r), listed)
	}
	p.exec(dbsqlc.SaveSweep, nil, s.Progress, s.Report, s.ID)
	if err := p.run(ctx, db); err != nil {
		return 0, fmt.Errorf("record an answer: %w", err)
	}
	return fresh, nil
}

// CountListed returns how many objects of a resource are listed in a sweep.
func CountListed(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource) (int, error) {
	n, err := queries().CountListed(ctx, db, dbsqlc.CountListedParams{SweepID: s.ID, Resource: string(r)})
	if err != nil {
		return 0, fmt.Errorf("count what was listed: %w", err)
	}
	return int(n), nil
}

// PlanForManyRows makes Postgres plan the queries about a sweep as if the sweep had many rows,
// until the end of the transaction.
func PlanForManyRows(ctx context.Context, tx DBTX) error {
	if err := queries().PlanForManyRows(ctx, tx); err != nil {
		return fmt.Errorf("plan for many rows: %w", err)
	}
	return nil
}

// Unlisted returns at most limit objects after the given id, in the order of ids: those that live
// here, haven't changed since the sweep began, and weren't listed.
func Unlisted(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, after string, limit int) ([]clerksync.Reference, error) {
	rows, err := queries().Unlisted(ctx, db, dbsqlc.UnlistedParams{
		SweepID: s.ID, Resource: string(r), After: after, Began: s.StartedAt, OrganizationID: s.OrganizationID,
		PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("find what wasn't listed: %w", err)
	}
	refs := make([]clerksync.Reference, len(rows))
	for i, row := range rows {
		refs[i] = clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID}
	}
	return refs, nil
}

// ListedTombstone is an object with a tombstone here that Clerk listed all the same.
type ListedTombstone struct {
	clerksync.Reference

	KnownAt time.Time // when its deletion became known here
	Final   bool      // nothing lifts its tombstone
}

// ListedTombstones returns at most limit objects after the given id, in the order of ids: those
// that had a tombstone before the sweep began, and that Clerk listed all the same.
func ListedTombstones(ctx context.Context, db DBTX, s Sweep, r clerksync.Resource, after string, limit int) ([]ListedTombstone, error) {
	rows, err := queries().ListedTombstones(ctx, db, dbsqlc.ListedTombstonesParams{
		SweepID: s.ID, Resource: string(r), After: after, Began: s.StartedAt,
		PageSize: pageSize(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("find listed tombstones: %w", err)
	}
	tombstones := make([]ListedTombstone, len(rows))
	for i, row := range rows {
		ref := clerksync.Reference{ID: row.ID, OrganizationID: row.OrganizationID, UserID: row.UserID}
		final := clerksync.Tombstone{OccurredAt: row.KnownAt.UnixMilli(), DeliveryID: row.Cause}.Final()
		tombstones[i] = ListedTombstone{Reference: ref, KnownAt: row.KnownAt, Final: final}
	}
	return tombstones, nil
}

// CountDependents counts the live objects that weren't listed and would end with the given
// organization or user. One of the two ids is "".
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

// MembershipsAtStake returns the number of live memberships, and how many of them would end if
// every unlisted object were gone.
func MembershipsAtStake(ctx context.Context, db DBTX, s Sweep) (live, atStake int, err error) {
	r, err := queries().MembershipsAtStake(ctx, db, dbsqlc.MembershipsAtStakeParams{
		SweepID: s.ID, Began: s.StartedAt, OrganizationID: s.OrganizationID,
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count memberships at stake: %w", err)
	}
	return int(r.Live), int(r.AtStake), nil
}

// ChangedAfter returns the ids of objects that were written after the given instant.
func ChangedAfter(ctx context.Context, db DBTX, ids []string, at time.Time) ([]string, error) {
	changed, err := queries().ChangedAfter(ctx, db, dbsqlc.ChangedAfterParams{Ids: ids, AskedAt: at})
	if err != nil {
		return nil, fmt.Errorf("find what changed since: %w", err)
	}
	return changed, nil
}
