package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// LedgerRow is a row of the ledger as operators see it. Workers use the same table through
// deliveries.go.
type LedgerRow struct {
	SvixID         string              `json:"svix_id"`
	EventType      clerksync.EventType `json:"event_type"`
	ObjectID       string              `json:"object_id"`
	OrganizationID string              `json:"organization_id"`
	InstanceID     string              `json:"instance_id"`
	OccurredAt     time.Time           `json:"occurred_at"`
	ReceivedAt     time.Time           `json:"received_at"`
	ReplayedAt     *time.Time          `json:"replayed_at"` // when it was replayed last
	State          clerksync.State     `json:"state"`
	Attempts       int                 `json:"attempts"` // failed ones
	LastError      string              `json:"last_error"`
	AppliedAt      *time.Time          `json:"applied_at"`
	BodySHA256     string              `json:"body_sha256"`    // hex, of the bytes as received
	Body           *string             `json:"body,omitempty"` // redacted; nil in lists, and once pruned
}

// LockLedgerRow returns one delivery and locks it until the transaction ends, or ErrNotFound.
func LockLedgerRow(ctx context.Context, db DBTX, svixID string) (LedgerRow, error) {
	return ledgerRowOf(queries().LockLedgerRow(ctx, db, svixID))
}

// FindLedgerRow returns one delivery, or ErrNotFound.
func FindLedgerRow(ctx context.Context, db DBTX, svixID string) (LedgerRow, error) {
	return ledgerRowOf(queries().FindLedgerRow(ctx, db, svixID))
}

func ledgerRowOf(r dbsqlc.RolecallDelivery, err error) (LedgerRow, error) {
	if err := oneRow(err, "read delivery"); err != nil {
		return LedgerRow{}, err
	}
	return LedgerRow{
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

// LedgerRows returns deliveries without their bodies, the newest first.
func LedgerRows(ctx context.Context, db DBTX, f Filter) ([]LedgerRow, error) {
	until := f.Until
	if until.IsZero() {
		until = time.Unix(maxUnix, 0)
	}
	rows, err := queries().ListLedgerRows(ctx, db, dbsqlc.ListLedgerRowsParams{
		State: string(f.State), EventType: string(f.EventType), OrganizationID: f.OrganizationID, Since: f.Since, Until: until,
		PageSize: pageSize(f.Limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	listed := make([]LedgerRow, len(rows))
	for i, r := range rows {
		listed[i] = LedgerRow{
			SvixID: r.SvixID, EventType: clerksync.EventType(r.EventType), ObjectID: r.ObjectID, OrganizationID: r.OrganizationID,
			InstanceID: r.InstanceID, OccurredAt: r.OccurredAt.UTC(), ReceivedAt: r.ReceivedAt.UTC(), State: clerksync.State(r.State),
			Attempts: int(r.Attempts), LastError: r.LastError, AppliedAt: inUTC(r.AppliedAt), ReplayedAt: inUTC(r.ReplayedAt),
			BodySHA256: hex.EncodeToString(r.BodySha256),
		}
	}
	return listed, nil
}

// maxUnix is the end of the year 9999.
const maxUnix = 253_402_300_799

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

// ReceiveAgain puts a delivery that ended back among those that wait, with the envelope as it was
// read again. The time of receipt stays. The caller has locked the delivery, and enqueues it.
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

// PruneBodies deletes the bodies of at most limit deliveries that ended and were received before an
// instant. It returns their number.
func PruneBodies(ctx context.Context, db DBTX, receivedBefore time.Time, limit int) (int, error) {
	pruned, err := queries().PruneBodies(ctx, db, dbsqlc.PruneBodiesParams{
		ReceivedBefore: receivedBefore, Batch: pageSize(limit),
	})
	if err != nil {
		return 0, fmt.Errorf("prune bodies: %w", err)
	}
	return int(pruned), nil
}
