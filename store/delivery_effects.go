package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// effectsSearched is how many entries of the audit log are searched for those of one delivery: at
	// the time of its event, and among those about its objects.
	effectsSearched = 5000
	// effectsNear is how far the time of an entry is from that of its event.
	effectsNear = 2 * time.Second
	// maxEffects is how many are returned. A delivery makes one or two.
	maxEffects = 20
)

// EntriesOfDelivery returns the entries of the audit log that a delivery caused, the oldest first.
// targets are the ids that the delivery is about. An entry isn't found if thousands of others were
// recorded at the same time and about the same objects since.
func EntriesOfDelivery(ctx context.Context, db DBTX, r LedgerRow, targets []string) ([]clerksync.LoggedEntry, error) {
	rows, err := queries().EntriesOfDelivery(ctx, db, dbsqlc.EntriesOfDeliveryParams{
		OrganizationIds: []string{r.OrganizationID, ""}, Since: r.OccurredAt.Add(-effectsNear),
		Until: r.OccurredAt.Add(effectsNear), Cause: r.SvixID, Targets: targets,
		Search: effectsSearched, PageSize: maxEffects,
	})
	if err != nil {
		return nil, fmt.Errorf("find what a delivery changed: %w", err)
	}
	return loggedEntries(rows), nil
}

// LastWriter says where the newest state came from that the mirror has of an object, and when that
// happened. It is zero for an object that the mirror doesn't know.
func LastWriter(ctx context.Context, db DBTX, objectID string) (clerksync.Origin, error) {
	var of []clerksync.Facts
	for _, kind := range clerksync.Resources() { // the id is that of one
		of = append(of, clerksync.Gone(kind, clerksync.Reference{ID: objectID}, 0, ""))
	}
	known, err := ReadMirror(ctx, db, of)
	return known.LastWriter(objectID), err
}

// JobOfDelivery is a job that applies a delivery.
type JobOfDelivery struct {
	ID        int64
	State     string // as River names it
	Queue     string
	Attempt   int
	CreatedAt time.Time
}

// JobsOfDelivery returns the jobs of a kind that apply a delivery, the newest first, as long as the
// queue keeps them.
func JobsOfDelivery(ctx context.Context, db DBTX, kind, svixID string) ([]JobOfDelivery, error) {
	rows, err := queries().JobsOfDelivery(ctx, db, dbsqlc.JobsOfDeliveryParams{Kind: kind, SvixID: svixID})
	if err != nil {
		return nil, fmt.Errorf("find the jobs of a delivery: %w", err)
	}
	jobs := make([]JobOfDelivery, len(rows))
	for i, r := range rows {
		jobs[i] = JobOfDelivery{ID: r.ID, State: r.State, Queue: r.Queue, Attempt: int(r.Attempt), CreatedAt: r.CreatedAt.UTC()}
	}
	return jobs, nil
}
