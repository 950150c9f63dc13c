package sync

import "cmp"

// Tombstone records that an object is gone. The zero Tombstone means alive.
//
// A deletion from a signed event or the answer to a command is final. Clerk never reuses an id, so
// a later read that shows the object was answered from an old state. A deletion that a read found
// is only what Clerk answered at that moment, so a later look-up that shows the same id lifts it.
type Tombstone struct {
	OccurredAt int64  // the envelope's timestamp of the deletion, or when the API was asked, epoch milliseconds
	DeliveryID string // the cause: svix-id, command, or the sweep or look-up that found the object gone
	ReceivedAt int64  // when the deletion became known here, epoch milliseconds by Rolecall's clock
	LiftedAt   int64  // when the API was asked that showed the object alive after all; 0 for never
}

// liftSkew is how far Clerk's clock and ours may be apart, in milliseconds. After a tombstone was
// lifted, a deletion counts if it became known later, and if Clerk dates it at most this long
// before the lifting.
const liftSkew = 60_000

// Dead reports whether the object is gone.
func (t Tombstone) Dead() bool {
	return t.Final() || t.told() && (t.LiftedAt == 0 || t.ReceivedAt >= t.LiftedAt && t.OccurredAt >= t.LiftedAt-liftSkew)
}

// Final reports whether nothing lifts the tombstone.
func (t Tombstone) Final() bool { return t.told() && !wasRead(t.DeliveryID) }

// tombstone gives generic code access to what an object embeds.
func (t *Tombstone) tombstone() *Tombstone { return t }

// told reports whether a deletion is recorded.
func (t Tombstone) told() bool { return t.OccurredAt != 0 || t.DeliveryID != "" }

// merge prefers a final deletion to one that a read found; of two of the same sort it keeps the
// later. Of two answers that the object lives, it keeps the later, too. So the result doesn't
// depend on the order. A lifted deletion is forgotten.
func (t Tombstone) merge(o Tombstone) Tombstone {
	lifted := max(t.LiftedAt, o.LiftedAt)
	if t.compare(o) < 0 {
		t = o
	}
	t.LiftedAt = lifted
	if !t.Dead() {
		return Tombstone{LiftedAt: lifted}
	}
	return t
}

func (t Tombstone) compare(o Tombstone) int {
	final := func(t Tombstone) int {
		if t.Final() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(final(t), final(o)), cmp.Compare(t.OccurredAt, o.OccurredAt),
		cmp.Compare(t.DeliveryID, o.DeliveryID), cmp.Compare(t.ReceivedAt, o.ReceivedAt))
}
