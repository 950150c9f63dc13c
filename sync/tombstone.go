package sync

import "cmp"

// Tombstone records that an object is gone. It absorbs: once set, no event unsets it, because Clerk never reuses an id.
// Only an answer of Clerk's API, asked for after the deletion was known here, that shows the very id alive, lifts it: the
// deletion was another instance's, or a look-up erred. The zero Tombstone means alive.
type Tombstone struct {
	OccurredAt int64  // the envelope's timestamp of the deletion, or when the API was asked, epoch milliseconds
	DeliveryID string // svix-id of the deletion, or the sweep that found it
	ReceivedAt int64  // when the deletion became known here, epoch milliseconds by Rolecall's clock
	LiftedAt   int64  // when the API was asked that showed the object alive after all; 0: never
}

// liftSkew is how far Clerk's clock and ours may be apart. A deletion that happened, by Clerk's clock, less than that before
// a tombstone was lifted, and became known after it, is another one and counts.
const liftSkew = 60_000

// Dead reports whether the object is gone.
func (t Tombstone) Dead() bool {
	deleted := t.OccurredAt != 0 || t.DeliveryID != ""
	return deleted && (t.LiftedAt == 0 || t.ReceivedAt >= t.LiftedAt && t.OccurredAt >= t.LiftedAt-liftSkew)
}

// merge keeps the later of two deletions of one object and the later of two answers that it lives, so that the result
// doesn't depend on their order. A deletion that was lifted is forgotten.
func (t Tombstone) merge(o Tombstone) Tombstone {
	lifted := max(t.LiftedAt, o.LiftedAt)
	if cmp.Or(cmp.Compare(t.OccurredAt, o.OccurredAt), cmp.Compare(t.DeliveryID, o.DeliveryID), cmp.Compare(t.ReceivedAt, o.ReceivedAt)) < 0 {
		t = o
	}
	t.LiftedAt = lifted
	if !t.Dead() {
		return Tombstone{LiftedAt: lifted}
	}
	return t
}
