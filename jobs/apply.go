package jobs

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// apply brings the named deliveries into the mirror, within the caller's transaction, and returns them with the
// states that they ended in, and what changed: the caller counts that at the end of the transaction. The ledger's state is the guard: a delivery that somebody else has applied, or is
// applying, is left out.
func apply(ctx context.Context, tx pgx.Tx, svixIDs []string, now time.Time) (finished []clerksync.Delivery, changed clerksync.Mirror, err error) {
	defer func() {
		// A panic is one delivery's fault, like an error, and must not take its batch along for ever.
		if p := recover(); p != nil {
			err = fmt.Errorf("apply deliveries: panic: %v\n%s", p, debug.Stack())
		}
	}()
	deliveries, err := store.LockReceived(ctx, tx, svixIDs)
	if err != nil || len(deliveries) == 0 {
		return nil, changed, err
	}
	facts := make([]clerksync.Facts, len(deliveries))
	for i := range deliveries {
		d := &deliveries[i]
		f, known, err := clerksync.Decode(*d)
		switch {
		case err != nil:
			d.Quarantine(err.Error())
		case !known:
			d.State = clerksync.StateIgnored
		default:
			facts[i] = f
		}
	}
	mirror, err := store.LockMirror(ctx, tx, facts)
	if err != nil {
		return nil, changed, err
	}
	changed, entries := mirror.ApplyAll(deliveries, facts)
	if err := store.SaveMirror(ctx, tx, changed); err != nil {
		return nil, changed, err
	}
	if err := store.AppendAudit(ctx, tx, entries); err != nil {
		return nil, changed, err
	}
	if err := store.FinishDeliveries(ctx, tx, deliveries, now); err != nil {
		return nil, changed, err
	}
	return deliveries, changed, nil
}
