package sync

import "cmp"

// Kind orders two states of one object that Clerk stamped with the same updated_at. The state at
// creation is older than any update, and a deletion repeats the last state.
type Kind uint8

// The kinds in rising order. They are stored; never renumber them.
const (
	KindCreated Kind = 1
	KindUpdated Kind = 2
	KindDeleted Kind = 3
	// KindObserved is the kind of a state that Clerk's API showed. It orders like KindUpdated, by
	// when it was asked for.
	KindObserved Kind = 4
)

// order is the kind's place in the order of versions.
func (k Kind) order() Kind {
	if k == KindObserved {
		return KindUpdated
	}
	return k
}

// Rank says how good a source is. A stub is a nested copy of an object inside another object's
// event. It never outranks the object's own event, however new it is: Clerk omits fields in nested
// copies and doesn't date them.
type Rank uint8

// The ranks in rising order. They are stored; never renumber them.
const (
	RankStub Rank = 1
	RankFull Rank = 2
)

// Version orders two states of one object. The order is total: two versions are equal only if one
// delivery carried both. The zero Version is older than every other, and means that nothing is
// known.
type Version struct {
	Rank       Rank   `json:"r"`
	UpdatedAt  int64  `json:"u"` // data.updated_at, epoch milliseconds
	Kind       Kind   `json:"k"`
	OccurredAt int64  `json:"o"` // the envelope's timestamp, or when the API was asked, epoch milliseconds
	DeliveryID string `json:"d"` // svix-id, or the sweep or look-up that asked: the last resort that makes the order total
	// Undated says that UpdatedAt is OccurredAt, because Clerk's updated_at can't be right. The
	// state is then dated by its event, and any later answer of Clerk's API overrules it (see
	// [Mirror.Judge]).
	Undated bool `json:"undated,omitempty"`
}

// How far two clocks may be apart before an instant counts as wrong.
const (
	// clerkSkew is between Clerk's own machines: an updated_at lies a few milliseconds before its
	// event's timestamp.
	clerkSkew = int64(60_000)
	// ownSkew is between Clerk's clocks and ours: the Svix library accepts signatures up to five
	// minutes old or new.
	ownSkew = int64(300_000)
)

// plausible reports whether an instant is at or before the version's event or answer, give or take
// the error of clocks.
func (v Version) plausible(at int64) bool {
	if v.Kind == KindObserved {
		return at <= v.OccurredAt+ownSkew
	}
	return at <= v.OccurredAt+clerkSkew
}

// dated returns the version with an object's updated_at, or with the time of the event if there is
// none. A date from the future is ignored, because it would win against every later event. A date
// that can't be read is ignored, too.
func (v Version) dated(updatedAt member[int64]) Version {
	v.UpdatedAt = cmp.Or(updatedAt.value, v.OccurredAt)
	if updatedAt.err != nil || !v.plausible(v.UpdatedAt) {
		v.UpdatedAt, v.Undated = v.OccurredAt, true
	}
	return v
}

// Compare returns -1, 0 or +1 as v is older than, the same as, or newer than o. An event of the
// very millisecond in which the API was asked is later than the answer.
func (v Version) Compare(o Version) int {
	return cmp.Or(
		cmp.Compare(v.Rank, o.Rank),
		cmp.Compare(v.UpdatedAt, o.UpdatedAt),
		cmp.Compare(v.Kind.order(), o.Kind.order()),
		cmp.Compare(v.OccurredAt, o.OccurredAt),
		-cmp.Compare(v.Kind, o.Kind),
		cmp.Compare(v.DeliveryID, o.DeliveryID),
	)
}

// IsZero reports whether nothing is known.
func (v Version) IsZero() bool { return v == Version{} }
