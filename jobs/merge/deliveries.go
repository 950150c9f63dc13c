package merge

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Batch is a set of deliveries that one transaction applies.
type Batch struct {
	SvixIDs []string
	// Select returns which of the waiting deliveries are applied now; the others stay as they are.
	// Nil selects all.
	Select func([]clerksync.Delivery, []clerksync.Facts) ([]clerksync.Delivery, []clerksync.Facts, error)
	// Written is called once the mirror is written, and before the transaction waits for others
	// that write into the same workspaces. Optional.
	Written func(Applied) error
	// Commit lets the last statements also commit the transaction: see [store.Writes].
	Commit bool
}

// Applied is what a transaction applied.
type Applied struct {
	store.Writes

	Facts      []clerksync.Facts // of Writes.Deliveries
	Locked     time.Time         // when all that is to change was locked
	RolesMoved bool              // members may have other roles now, and no event says so

	saved store.Saved
}

// Deliveries merges deliveries into the mirror and finishes them, within the caller's transaction.
// It leaves out a delivery that another worker has applied, or is applying: the ledger's state
// tells. The caller may add to the transaction only what takes no lock that others wait for.
func Deliveries(ctx context.Context, tx pgx.Tx, b Batch) (done Applied, err error) {
	deliveries, facts, err := b.read(ctx, tx)
	if err != nil || len(deliveries) == 0 {
		return done, err
	}
	err = contained(func() error {
		done, err = write(ctx, tx, deliveries, facts)
		return err
	})
	if err != nil {
		return done, err
	}
	if b.Written != nil {
		if err := b.Written(done); err != nil {
			return done, err
		}
	}
	done.Commit = b.Commit
	return done, store.Finish(ctx, tx, done.Writes, done.saved, time.Now())
}

// write merges deliveries and saves what changed.
func write(ctx context.Context, tx pgx.Tx, deliveries []clerksync.Delivery, facts []clerksync.Facts) (done Applied, err error) {
	locked, err := store.LockMirror(ctx, tx, facts)
	if err != nil {
		return done, err
	}
	done.Locked = time.Now()
	changes := locked.ApplyAll(deliveries, facts)
	done.Writes = store.Writes{
		Deliveries: deliveries, Entries: changes.Entries, Changed: changes.Mirror, EndedSessions: changes.EndedSessions,
	}
	done.Facts, done.RolesMoved = facts, changes.RolesMoved
	done.saved, err = store.Save(ctx, tx, locked, done.Writes)
	return done, err
}

// contained turns a panic of do into an error. Such a panic is the fault of one delivery, and must
// not fail its whole batch for ever. Select and Written run outside: a panic of the queue's code is
// no delivery's fault.
func contained(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("apply deliveries: panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// read locks the deliveries that still wait, decodes them, and returns those that are to be applied
// now.
func (b Batch) read(ctx context.Context, tx pgx.Tx) ([]clerksync.Delivery, []clerksync.Facts, error) {
	deliveries, err := store.LockReceived(ctx, tx, b.SvixIDs)
	if err != nil {
		return nil, nil, err
	}
	facts := make([]clerksync.Facts, len(deliveries))
	err = contained(func() error {
		for i := range deliveries {
			facts[i] = decode(&deliveries[i])
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if b.Select == nil || len(deliveries) == 0 {
		return deliveries, facts, nil
	}
	return b.Select(deliveries, facts)
}

// decode returns the facts of a delivery. It quarantines a delivery that can't be read, and ignores
// one that the mirror doesn't need.
func decode(d *clerksync.Delivery) clerksync.Facts {
	facts, known, err := clerksync.Decode(*d)
	switch {
	case err != nil:
		d.Quarantine(err.Error())
	case !known:
		d.State = clerksync.StateIgnored
	default:
		return facts
	}
	return clerksync.Facts{}
}
