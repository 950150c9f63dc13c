package jobs

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// apply brings the named deliveries into the mirror, within the caller's transaction, and returns the outcome, with which
// the caller finishes the transaction, and whether members may have other roles now without an event. The ledger's state is the guard: a delivery that somebody else has applied, or is
// applying, is left out.
func apply(ctx context.Context, tx pgx.Tx, svixIDs []string) (outcome store.Outcome, rolesMoved bool, err error) {
	defer func() {
		// A panic is one delivery's fault, like an error, and must not take its batch along for ever.
		if p := recover(); p != nil {
			err = fmt.Errorf("apply deliveries: panic: %v\n%s", p, debug.Stack())
		}
	}()
	deliveries, err := store.LockReceived(ctx, tx, svixIDs)
	if err != nil || len(deliveries) == 0 {
		return outcome, false, err
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
	locked, err := store.LockMirror(ctx, tx, facts)
	if err != nil {
		return outcome, false, err
	}
	changes := locked.ApplyAll(deliveries, facts)
	if err := store.SaveMirror(ctx, tx, locked, changes.Mirror); err != nil {
		return outcome, false, err
	}
	return store.Outcome{Deliveries: deliveries, Entries: changes.Entries, Changed: changes.Mirror}, changes.RolesMoved, nil
}
