package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// The receiver of webhooks and the workers use the ledger through this file; operators use
// ledger.go.

// Jobs says which job applies a delivery.
type Jobs struct {
	Kind        string
	MaxAttempts int16
	// Of returns where the job of a delivery waits. A queue "" means that it gets none. Nil gives
	// none to any delivery.
	Of func(clerksync.Delivery) (queue string, priority int16)
	// Metadata is a JSON object that each job keeps beside its arguments. Nil for an empty one.
	Metadata []byte
	// Quiet are queues whose workers aren't woken at the commit. Optional.
	Quiet []string
}

// AcceptDeliveries adds deliveries to the ledger together with the jobs that apply them: one job
// for all that have one queue and priority. It returns the receipts of the new ones by svix-id. A
// delivery whose svix-id the ledger has gets no receipt: see [ReplaceQuarantined]. The svix-ids
// must differ. AcceptDeliveries is a single statement, so it needs no transaction.
//
// The row of a job is what River's own client inserts, which would need a transaction of five round
// trips. It skips what River does for hooks, middleware and unique jobs, which these jobs don't
// have, and River's checks of names and numbers, which are constants here. Its times are those of
// Postgres, so that no clock that runs ahead delays a job.
func AcceptDeliveries(ctx context.Context, db DBTX, deliveries []clerksync.Delivery, jobs Jobs) (map[string]clerksync.Receipt, error) {
	if len(deliveries) == 0 {
		return map[string]clerksync.Receipt{}, nil
	}
	stored, err := queries().AcceptDeliveries(ctx, db, accepting(deliveries, jobs))
	if err != nil {
		return nil, fmt.Errorf("insert deliveries: %w", err)
	}
	receipts := make(map[string]clerksync.Receipt, len(stored))
	for _, id := range stored {
		receipts[id] = clerksync.Receipt{Stored: true}
	}
	return receipts, nil
}

func accepting(deliveries []clerksync.Delivery, jobs Jobs) dbsqlc.AcceptDeliveriesParams {
	p := dbsqlc.AcceptDeliveriesParams{Kind: jobs.Kind, MaxAttempts: jobs.MaxAttempts, Quiet: append([]string{}, jobs.Quiet...), Metadata: jobs.Metadata}
	for _, d := range deliveries {
		queue, priority := "", int16(0)
		if jobs.Of != nil {
			queue, priority = jobs.Of(d)
		}
		p.Queues = append(p.Queues, queue)
		p.Priorities = append(p.Priorities, priority)
		p.SvixIds = append(p.SvixIds, d.ID)
		p.EventTypes = append(p.EventTypes, string(d.Type))
		p.ObjectIds = append(p.ObjectIds, d.ObjectID)
		p.OrganizationIds = append(p.OrganizationIds, d.OrganizationID)
		p.InstanceIds = append(p.InstanceIds, d.InstanceID)
		p.OccurredAt = append(p.OccurredAt, time.UnixMilli(d.OccurredAt))
		p.ReceivedAt = append(p.ReceivedAt, d.ReceivedAt)
		p.Bodies = append(p.Bodies, string(d.Body))
		p.BodySha256 = append(p.BodySha256, d.BodySHA256[:])
		p.States = append(p.States, string(d.State))
		p.LastErrors = append(p.LastErrors, d.Reason)
	}
	return p
}

// ReplaceQuarantined takes copies of deliveries that the ledger has, and returns a receipt for each
// by svix-id. A copy takes the place of a quarantined delivery, and gets a job as in
// [AcceptDeliveries]. Otherwise the delivery in the ledger stays. ReplaceQuarantined never waits
// for a row that another session has locked. A commit after it waits for the synchronous standby,
// even if nothing was changed.
func ReplaceQuarantined(ctx context.Context, db DBTX, copies []clerksync.Delivery, jobs Jobs) (map[string]clerksync.Receipt, error) {
	ids := make([]string, len(copies))
	for i, d := range copies {
		ids[i] = d.ID
	}
	known, err := queries().KnownDigests(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("read digests of deliveries: %w", err)
	}
	digests := make(map[string][]byte, len(known))
	quarantined := make(map[string]bool, len(known))
	for _, k := range known {
		digests[k.SvixID], quarantined[k.SvixID] = k.BodySha256, k.State == string(clerksync.StateQuarantined)
	}
	gone, err := queries().DeleteQuarantined(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("replace quarantined deliveries: %w", err)
	}
	again := slices.DeleteFunc(slices.Clone(copies), func(d clerksync.Delivery) bool {
		_, there := digests[d.ID] // a failover may have lost the copy since
		return there && !slices.Contains(gone, d.ID)
	})
	receipts, err := AcceptDeliveries(ctx, db, again, jobs)
	if err != nil {
		return nil, err
	}
	for _, d := range copies {
		r := receipts[d.ID]
		digest, there := digests[d.ID]
		r.Differs = there && !bytes.Equal(digest, d.BodySHA256[:])
		r.Busy = quarantined[d.ID] && !r.Stored
		receipts[d.ID] = r
	}
	return receipts, nil
}

// LockReceived returns those of the named deliveries that still wait to be applied, in the order of
// their svix-ids, and locks them until the transaction ends. The holder of the locks applies them;
// any later caller finds none.
func LockReceived(ctx context.Context, db DBTX, svixIDs []string) ([]clerksync.Delivery, error) {
	rows, err := queries().LockReceivedDeliveries(ctx, db, svixIDs)
	if err != nil {
		return nil, fmt.Errorf("lock deliveries: %w", err)
	}
	deliveries := make([]clerksync.Delivery, len(rows))
	for i, r := range rows {
		deliveries[i] = received(r)
	}
	return deliveries, nil
}

// FailDelivery counts a failed attempt to apply a delivery and quarantines it at the limit. It
// returns the delivery's state: received, quarantined, or "" if another worker has finished it
// meanwhile.
func FailDelivery(ctx context.Context, db DBTX, svixID string, cause error, maxAttempts int) (clerksync.State, error) {
	state, err := queries().FailDelivery(ctx, db, dbsqlc.FailDeliveryParams{
		SvixID: svixID, LastError: scrub(cause.Error()), MaxAttempts: int32(min(maxAttempts, 1<<30)), //nolint:gosec // bounded
	})
	return clerksync.State(state), atMostOneRow(err, "count failed attempt of delivery "+svixID)
}

// scrub makes any text fit for Postgres, which holds UTF-8 without NUL. An error may quote the text
// that it is about.
func scrub(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Stranded asks for deliveries that wait without a job that will apply them.
type Stranded struct {
	Kind           string    // of the job that would apply them
	ReceivedBefore time.Time // younger ones are left alone
	AttemptedAfter time.Time // a job that was started before this belongs to a dead process
	Limit          int       // at most so many, the oldest first
}

// StrandedDeliveries returns the svix-ids and types of deliveries that wait without a job that will
// apply them.
func StrandedDeliveries(ctx context.Context, db DBTX, q Stranded) ([]clerksync.Delivery, error) {
	rows, err := queries().StrandedDeliveries(ctx, db, dbsqlc.StrandedDeliveriesParams{
		Kind: q.Kind, ReceivedBefore: q.ReceivedBefore, AttemptedAfter: q.AttemptedAfter,
		Batch: pageSize(q.Limit),
	})
	if err != nil {
		return nil, fmt.Errorf("find stranded deliveries: %w", err)
	}
	deliveries := make([]clerksync.Delivery, len(rows))
	for i, r := range rows {
		t := clerksync.EventType(r.EventType)
		deliveries[i] = clerksync.Delivery{ID: r.SvixID, Type: t, Urgency: t.Urgency()}
	}
	return deliveries, nil
}

// TryTakeOver reports whether this transaction alone looks for stranded deliveries now. The lock
// ends with the transaction.
func TryTakeOver(ctx context.Context, db DBTX) (bool, error) {
	locked, err := queries().TryTakeOver(ctx, db, takeOverLock)
	if err != nil {
		return false, fmt.Errorf("lock taking over: %w", err)
	}
	return locked, nil
}

// takeOverLock is the advisory lock of taking over. The number is arbitrary; it must never change.
const takeOverLock = 0x726f6c6563616c6d // "rolecalm", next to the migrations' lock
