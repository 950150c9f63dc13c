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

// applied is what came of a set of deliveries within a transaction.
type applied struct {
	store.Writes // with which the caller finishes the transaction

	facts      []clerksync.Facts // of Writes.Deliveries
	aside      []part            // deliveries that were left out: what they are about may be held up
	asideSure  []part            // and those that are sure to be
	locked     time.Time         // when all that is to change was locked
	slow       bool              // it took long
	rolesMoved bool              // members may have other roles now without an event
}

// apply brings the named deliveries into the mirror, within the caller's transaction. The ledger's state is the guard: a
// delivery that another worker has applied, or is applying, is left out. So are those that heldUp names; nil names none.
func apply(ctx context.Context, tx pgx.Tx, svixIDs []string, heldUp func(part) certainty) (done applied, err error) {
	defer func() {
		// A panic is one delivery's fault, like an error, and must not take its batch along for ever.
		if p := recover(); p != nil {
			err = fmt.Errorf("apply deliveries: panic: %v\n%s", p, debug.Stack())
		}
	}()
	deliveries, err := store.LockReceived(ctx, tx, svixIDs)
	if err != nil || len(deliveries) == 0 {
		return done, err
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
	if heldUp != nil {
		if deliveries, facts, err = done.leaveOut(ctx, tx, deliveries, facts, heldUp); err != nil || len(deliveries) == 0 {
			return done, err
		}
	}
	locked, err := store.LockMirror(ctx, tx, facts)
	if err != nil {
		return done, err
	}
	done.locked = time.Now()
	changes := locked.ApplyAll(deliveries, facts)
	if err := store.SaveMirror(ctx, tx, locked, changes.Mirror); err != nil {
		return done, err
	}
	done.Writes = store.Writes{Deliveries: deliveries, Entries: changes.Entries, Changed: changes.Mirror}
	done.facts, done.rolesMoved = facts, changes.RolesMoved
	return done, nil
}

// leaveOut returns deliveries and facts without those of which the part is held up.
func (a *applied) leaveOut(ctx context.Context, db store.DBTX, deliveries []clerksync.Delivery, facts []clerksync.Facts,
	heldUp func(part) certainty,
) (apart []clerksync.Delivery, factsApart []clerksync.Facts, err error) {
	singles, err := singlesOf(ctx, db, deliveries, facts)
	if err != nil {
		return nil, nil, err
	}
	out := map[string]bool{}
	for _, p := range inParts(singles) {
		switch heldUp(p) {
		case notStalled:
			continue
		case suspected:
			a.aside = append(a.aside, p)
		default:
			a.asideSure = append(a.asideSure, p)
		}
		for _, id := range p.ids {
			out[id] = true
		}
	}
	for i, d := range deliveries {
		if !out[d.ID] {
			apart, factsApart = append(apart, d), append(factsApart, facts[i])
		}
	}
	return apart, factsApart, nil
}
