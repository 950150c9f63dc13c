package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Entry is a row of the ledger as operators see it.
type Entry struct {
	SvixID         string              `json:"svix_id"`
	EventType      clerksync.EventType `json:"event_type"`
	ObjectID       string              `json:"object_id"`
	OrganizationID string              `json:"organization_id"`
	InstanceID     string              `json:"instance_id"`
	OccurredAt     time.Time           `json:"occurred_at"`
	ReceivedAt     time.Time           `json:"received_at"`
	ReplayedAt     *time.Time          `json:"replayed_at"` // the last time
	State          clerksync.State     `json:"state"`
	Attempts       int                 `json:"attempts"` // that failed
	LastError      string              `json:"last_error"`
	AppliedAt      *time.Time          `json:"applied_at"`
	BodySHA256     string              `json:"body_sha256"`    // hex, of the bytes as received
	Body           *string             `json:"body,omitempty"` // redacted; nil in lists, and once pruned
}

// LockEntry returns one delivery and locks it until the transaction ends, or ErrNotFound.
func LockEntry(ctx context.Context, db DBTX, svixID string) (Entry, error) {
	return entryOf(queries().LockEntry(ctx, db, svixID))
}

// FindEntry returns one delivery, or ErrNotFound.
func FindEntry(ctx context.Context, db DBTX, svixID string) (Entry, error) {
	return entryOf(queries().FindEntry(ctx, db, svixID))
}

func entryOf(r dbsqlc.RolecallDelivery, err error) (Entry, error) {
	if err := oneRow(err, "read delivery"); err != nil {
		return Entry{}, err
	}
	return Entry{
		SvixID: r.SvixID, EventType: clerksync.EventType(r.EventType), ObjectID: r.ObjectID, OrganizationID: r.OrganizationID,
		InstanceID: r.InstanceID, OccurredAt: r.OccurredAt.UTC(), ReceivedAt: r.ReceivedAt.UTC(), State: clerksync.State(r.State),
		Attempts: int(r.Attempts), LastError: r.LastError, AppliedAt: inUTC(r.AppliedAt), ReplayedAt: inUTC(r.ReplayedAt),
		BodySHA256: hex.EncodeToString(r.BodySha256), Body: r.Body,
	}, nil
}

// Filter selects deliveries. Empty fields filter nothing.
type Filter struct {
	State          clerksync.State
	EventType      clerksync.EventType
	OrganizationID string
	Since, Until   time.Time // by time of receipt; Until is exclusive
	Limit          int
}

// ListEntries returns deliveries without their bodies, the newest first.
func ListEntries(ctx context.Context, db DBTX, f Filter) ([]Entry, error) {
	until := f.Until
	if until.IsZero() {
		until = time.Unix(maxUnix, 0)
	}
	rows, err := queries().ListEntries(ctx, db, dbsqlc.ListEntriesParams{
		State: string(f.State), EventType: string(f.EventType), OrganizationID: f.OrganizationID, Since: f.Since, Until: until,
		PageSize: pageSize(f.Limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	entries := make([]Entry, len(rows))
	for i, r := range rows {
		entries[i] = Entry{
			SvixID: r.SvixID, EventType: clerksync.EventType(r.EventType), ObjectID: r.ObjectID, OrganizationID: r.OrganizationID,
			InstanceID: r.InstanceID, OccurredAt: r.OccurredAt.UTC(), ReceivedAt: r.ReceivedAt.UTC(), State: clerksync.State(r.State),
			Attempts: int(r.Attempts), LastError: r.LastError, AppliedAt: inUTC(r.AppliedAt), ReplayedAt: inUTC(r.ReplayedAt),
			BodySHA256: hex.EncodeToString(r.BodySha256),
		}
	}
	return entries, nil
}

// maxUnix is the end of the year 9999.
const maxUnix = 253_402_300_799

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

// ReceiveAgain puts a delivery that ended back among those that wait, with what was now read of it. It came when it
// came. The caller has locked it, and enqueues it.
func ReceiveAgain(ctx context.Context, db DBTX, d clerksync.Delivery) error {
	err := queries().ReceiveAgain(ctx, db, dbsqlc.ReceiveAgainParams{
		SvixID: d.ID, EventType: string(d.Type), ObjectID: d.ObjectID, OrganizationID: d.OrganizationID,
		InstanceID: d.InstanceID, OccurredAt: time.UnixMilli(d.OccurredAt),
	})
	if err != nil {
		return fmt.Errorf("receive delivery again: %w", err)
	}
	return nil
}

// PruneBodies forgets the bodies of at most limit deliveries that ended and were received before an instant, and
// returns of how many.
func PruneBodies(ctx context.Context, db DBTX, receivedBefore time.Time, limit int) (int, error) {
	pruned, err := queries().PruneBodies(ctx, db, dbsqlc.PruneBodiesParams{
		ReceivedBefore: receivedBefore, Batch: pageSize(limit),
	})
	if err != nil {
		return 0, fmt.Errorf("prune bodies: %w", err)
	}
	return int(pruned), nil
}
