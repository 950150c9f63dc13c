package jobs

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// stage is a step of committing a batch. It sets the receipts of the entries that it settles, and
// returns the others, which the next stage settles.
type stage func(context.Context, []*entry) (left []*entry, err error)

// storeNew commits the deliveries that the ledger doesn't have, each with a job: in one round trip.
func (in *Inbox) storeNew(ctx context.Context, batch []*entry) (left []*entry, err error) {
	first, unique := leaders(batch)
	receipts, err := in.accept(ctx, unique, traceparentsOf(batch))
	if err != nil {
		return nil, fmt.Errorf("store deliveries: %w", err)
	}
	in.reportEnded(ctx, unique, receipts)
	setReceipts(batch, first, receipts)
	if len(receipts) == len(unique) {
		return nil, nil
	}
	stored := func(e *entry) bool { return receipts[e.delivery.ID].Stored }
	return slices.DeleteFunc(slices.Clone(batch), stored), nil
}

// accept commits deliveries, and leaves the wake-up of their workers to a later commit if it isn't
// due yet.
func (in *Inbox) accept(ctx context.Context, deliveries []clerksync.Delivery, from traceparents) (map[string]clerksync.Receipt, error) {
	jobs, due := applyJobs(from), in.wakes.due()
	if !due {
		jobs.Quiet = []string{QueueApply}
	}
	receipts, err := store.AcceptDeliveries(ctx, in.cfg.Pool, deliveries, jobs)
	for _, d := range deliveries {
		if queue, _ := jobs.Of(d); queue == QueueApply && (err != nil || receipts[d.ID].Stored) {
			in.wakes.committed(due && err == nil) // after an error, the job may be there all the same
			break
		}
	}
	return receipts, err
}

// storeCopies commits copies of deliveries that the ledger has: in the place of quarantined ones.
func (in *Inbox) storeCopies(ctx context.Context, batch []*entry) (left []*entry, err error) {
	first, unique := leaders(batch)
	var receipts map[string]clerksync.Receipt
	err = pgx.BeginFunc(ctx, in.cfg.Pool, func(tx pgx.Tx) error {
		receipts, err = store.ReplaceQuarantined(ctx, tx, unique, applyJobs(traceparentsOf(batch)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store copies of deliveries: %w", err)
	}
	in.reportEnded(ctx, unique, receipts)
	setReceipts(batch, first, receipts)
	return nil, nil
}

// reportEnded counts and logs the deliveries that end in the inbox.
func (in *Inbox) reportEnded(ctx context.Context, stored []clerksync.Delivery, receipts map[string]clerksync.Receipt) {
	for _, d := range stored {
		if d.State != clerksync.StateReceived && receipts[d.ID].Stored {
			in.cfg.Ended(d.State)
			logQuarantine(ctx, in.cfg.Logger, d)
		}
	}
}

// setReceipts gives each entry of a batch its receipt.
func setReceipts(batch []*entry, first map[string]*entry, receipts map[string]clerksync.Receipt) {
	for _, e := range batch {
		e.receipt = receipts[e.delivery.ID]
		e.receipt.Quarantined = e.receipt.Stored && e.delivery.State == clerksync.StateQuarantined
		if leader := first[e.delivery.ID]; leader != e { // a copy that came at the same moment
			e.receipt = clerksync.Receipt{Differs: e.delivery.BodySHA256 != leader.delivery.BodySHA256, Busy: e.receipt.Busy}
		}
		if e.receipt.Busy {
			e.err = ErrCopyLocked
		}
	}
}

// leaders picks one entry for each svix-id: the first one. If that is quarantined, the first copy
// that can be applied takes its place. The other entries are copies that came at the same moment.
// leaders also returns the deliveries of the picked entries, in the order of the batch.
func leaders(batch []*entry) (first map[string]*entry, unique []clerksync.Delivery) {
	first = make(map[string]*entry, len(batch))
	for _, e := range batch {
		known := first[e.delivery.ID]
		if known == nil || known.delivery.State == clerksync.StateQuarantined && e.delivery.State == clerksync.StateReceived {
			first[e.delivery.ID] = e
		}
	}
	for _, e := range batch {
		if first[e.delivery.ID] == e {
			unique = append(unique, e.delivery)
		}
	}
	return first, unique
}
