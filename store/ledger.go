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
	UserID         string         // those about this user: the account, memberships, sessions, invitations
	Since, Until   time.Time      // by time of receipt; Until is exclusive
	Before         LedgerPosition // only deliveries that are listed after this one
	Limit          int
}

// LedgerPosition is a delivery's place in the list.
type LedgerPosition struct {
	ReceivedAt time.Time
	SvixID     string
}

// Position returns the delivery's place in the list.
func (r LedgerRow) Position() LedgerPosition { return LedgerPosition{r.ReceivedAt, r.SvixID} }

// LedgerRows returns deliveries without their bodies, the newest first.
func LedgerRows(ctx context.Context, db DBTX, f Filter) ([]LedgerRow, error) {
	rows, _, err := SearchLedger(ctx, db, f, 0)
	return rows, err
}

const (
	// firstRange is the latest range of time that a search reads: a busy service takes hundreds of
	// deliveries in a second. rangeGrowth is how much longer each range is than the one after it.
	firstRange, rangeGrowth = time.Second, 8
	// longestRange keeps ranges far below the longest time.Duration.
	longestRange = 20 * 365 * 24 * time.Hour
)

// SearchLedger is like [LedgerRows], and stops if it takes longer than patience; 0 never stops. It
// then returns the instant back to which it has searched: a search of what is before that instant
// continues it. The instant is zero if all was searched, or Limit deliveries were found.
//
// It reads the ledger backwards in ranges of time that grow, so that it can stop between them.
// Without filters, the first range has enough deliveries.
func SearchLedger(ctx context.Context, db DBTX, f Filter, patience time.Duration) (listed []LedgerRow, back time.Time, err error) {
	end := time.Unix(maxUnix, 0)
	if f.Before == (LedgerPosition{}) {
		f.Before.ReceivedAt = end
	}
	until := earliest(end, f.Until, f.Before.ReceivedAt.Add(time.Microsecond))
	listed = []LedgerRow{}
	began := time.Now()
	var enough time.Time // since when enough deliveries came, if that is known
	if f.takesAll() {
		if enough, err = newestWithBody(ctx, db, until, f.Limit); err != nil {
			return nil, time.Time{}, err
		}
	}
	for span := firstRange; len(listed) < f.Limit && until.After(f.Since); {
		since := earliest(time.Now(), until).Add(-span)
		if !enough.IsZero() {
			since, enough = enough, time.Time{}
		}
		if span > longestRange || since.Before(f.Since) {
			since = f.Since
		}
		asked := time.Now()
		rows, err := queries().ListLedgerRows(ctx, db, dbsqlc.ListLedgerRowsParams{
			State: string(f.State), EventType: string(f.EventType), OrganizationID: f.OrganizationID, UserID: f.UserID,
			Since: since, Until: until, BeforeAt: f.Before.ReceivedAt, BeforeID: f.Before.SvixID, PageSize: pageSize(f.Limit - len(listed)),
		})
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("list deliveries: %w", err)
		}
		for _, r := range rows {
			listed = append(listed, ledgerRowWithoutBody(dbsqlc.LedgerRowsByIDRow(r)))
		}
		until = since
		left := patience - time.Since(began)
		if patience > 0 && left <= 0 && len(listed) < f.Limit && until.After(f.Since) {
			return listed, until, nil
		}
		span = nextRange(span, time.Since(asked), left)
	}
	return listed, time.Time{}, nil
}

// takesAll reports whether the filter takes any delivery of its time.
func (f Filter) takesAll() bool {
	return f.State == "" && f.EventType == "" && f.OrganizationID == "" && f.UserID == ""
}

// newestWithBody returns when the delivery came that has so many newer ones with bodies, of those
// before an instant; zero if there is none.
func newestWithBody(ctx context.Context, db DBTX, until time.Time, newer int) (time.Time, error) {
	at, err := queries().NewestWithBody(ctx, db, dbsqlc.NewestWithBodyParams{Until: until, Newer: pageSize(newer)})
	return at, atMostOneRow(err, "find a place in the ledger")
}

// nextRange returns how long the next range of a search is, which took so long for its last one,
// and has so much time left; 0 or less for no limit. A longer range takes longer.
func nextRange(last, took, left time.Duration) time.Duration {
	growth := float64(rangeGrowth)
	if left > 0 {
		growth = min(growth, float64(left)/float64(took+1))
	}
	return max(firstRange, time.Duration(float64(last)*growth))
}

// earliest returns the earliest of instants. Zero ones don't count.
func earliest(first time.Time, others ...time.Time) time.Time {
	for _, at := range others {
		if !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

func ledgerRowWithoutBody(r dbsqlc.LedgerRowsByIDRow) LedgerRow {
	return LedgerRow{
		SvixID: r.SvixID, EventType: clerksync.EventType(r.EventType), ObjectID: r.ObjectID, OrganizationID: r.OrganizationID,
		InstanceID: r.InstanceID, OccurredAt: r.OccurredAt.UTC(), ReceivedAt: r.ReceivedAt.UTC(), State: clerksync.State(r.State),
		Attempts: int(r.Attempts), LastError: r.LastError, AppliedAt: inUTC(r.AppliedAt), ReplayedAt: inUTC(r.ReplayedAt),
		BodySHA256: hex.EncodeToString(r.BodySha256),
	}
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

// Place is how far pruning has come, by times of receipt. Its zero value is the beginning.
type Place struct{ receivedAt time.Time }

// PruneBodies deletes the bodies of at most limit deliveries that ended and were received before an
// instant. It goes on from a place, which it moves, so that it reads no row twice. It returns their
// number.
func PruneBodies(ctx context.Context, db DBTX, from *Place, receivedBefore time.Time, limit int) (int, error) {
	r, err := queries().PruneBodies(ctx, db, dbsqlc.PruneBodiesParams{
		ReceivedFrom: from.receivedAt, ReceivedBefore: receivedBefore, Batch: pageSize(limit),
	})
	if err != nil {
		return 0, fmt.Errorf("prune bodies: %w", err)
	}
	from.receivedAt = r.Reached
	return int(r.Pruned), nil
}

// PruneDeliveries deletes at most limit deliveries that ended and were received before an instant,
// but never the newest one. It goes on from a place as [PruneBodies] does. It returns their number.
// A repeat of a deleted delivery is a new one, which changes nothing: neither the mirror nor the
// audit log, whose entries name the delivery.
func PruneDeliveries(ctx context.Context, db DBTX, from *Place, receivedBefore time.Time, limit int) (int, error) {
	r, err := queries().PruneDeliveries(ctx, db, dbsqlc.PruneDeliveriesParams{
		ReceivedFrom: from.receivedAt, ReceivedBefore: receivedBefore, Batch: pageSize(limit),
	})
	if err != nil {
		return 0, fmt.Errorf("prune deliveries: %w", err)
	}
	from.receivedAt = r.Reached
	return int(r.Pruned), nil
}
