package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// store commits a batch: a row of the ledger for each new delivery, and one job for all of them.
func (in *Inbox) store(batch []*entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), acceptTimeout)
	defer cancel()
	first := leaders(batch)
	unique := make([]clerksync.Delivery, 0, len(first))
	for _, e := range batch {
		if first[e.delivery.ID] == e {
			unique = append(unique, e.delivery)
		}
	}
	var receipts map[string]clerksync.Receipt
	err := pgx.BeginFunc(ctx, in.cfg.Pool, func(tx pgx.Tx) error {
		var err error
		if receipts, err = store.InsertDeliveries(ctx, tx, unique); err != nil {
			return err
		}
		var fresh []clerksync.Delivery
		for _, d := range unique {
			if d.State == clerksync.StateReceived && receipts[d.ID].Stored {
				fresh = append(fresh, d)
			}
		}
		return enqueue(ctx, in.client, tx, fresh)
	})
	if err != nil {
		return fmt.Errorf("store deliveries: %w", err)
	}
	in.reportEnded(ctx, unique, receipts)
	setReceipts(batch, first, receipts)
	return nil
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
func leaders(batch []*entry) map[string]*entry {
	first := make(map[string]*entry, len(batch))
	for _, e := range batch {
		known := first[e.delivery.ID]
		if known == nil || known.delivery.State == clerksync.StateQuarantined && e.delivery.State == clerksync.StateReceived {
			first[e.delivery.ID] = e
		}
	}
	return first
}
