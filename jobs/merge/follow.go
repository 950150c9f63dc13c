package merge

import (
	"context"
	"slices"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// DefaultSettle is the usual [Lags.Settle]. An earlier answer may predate the change, because
	// not all of Clerk's servers know it at once.
	DefaultSettle = 10 * time.Second
	// DefaultReadLag is the usual [Lags.Read]: replicas lag by seconds.
	DefaultReadLag = 10 * time.Minute
)

// Lags are how old a local change must be before an answer of Clerk's may contradict it.
type Lags struct {
	// Settle is that age for any answer. It is longer than all of Clerk's servers take to know a
	// change.
	Settle time.Duration
	// Read is that age for an answer that is dated earlier. It is longer than Clerk's reads are
	// ever behind. If two dates still contradict each other after it, that counts as an error of
	// clocks.
	Read time.Duration
}

// DefaultLags returns the usual lags.
func DefaultLags() Lags { return Lags{Settle: DefaultSettle, Read: DefaultReadLag} }

// Followed says which memberships of an answer follow. A membership follows if it came after the
// end of another one of its pair, although that one ranks above it.
type Followed struct {
	Facts    []clerksync.Facts // of the answer; those that follow are marked as alive
	Marked   bool              // some memberships follow
	Shadowed []string          // ids of the memberships that an ended one still outranks
	Recent   bool              // an end became known here a moment ago, so that the answer may predate it
}

// Follow finds out which memberships that Clerk shows follow others of their pair; see [Followed].
func Follow(ctx context.Context, db store.DBTX, facts []clerksync.Facts, askedAt time.Time, l Lags) (Followed, error) {
	out := Followed{Facts: slices.Clone(facts)}
	var shown []clerksync.Membership
	for _, f := range facts {
		shown = append(shown, f.Memberships...)
	}
	if len(shown) == 0 {
		return out, nil
	}
	ended, err := store.EndedAfter(ctx, db, shown)
	if err != nil {
		return out, err
	}
	for i, f := range facts {
		others := ended[f.Subject]
		if len(others) == 0 || len(f.Memberships) == 0 {
			continue
		}
		follows := true
		for _, o := range others {
			age := askedAt.Sub(time.UnixMilli(o.Tombstone.ReceivedAt))
			recent := o.Tombstone.Final() && age < l.Settle // if a read found the end, Clerk's reads know it already
			out.Recent = out.Recent || recent
			follows = follows && !recent && f.Memberships[0].Follows(o, age > l.Read)
		}
		if follows {
			out.Facts[i] = f.AliveAfter(others...)
			out.Marked = true
		} else {
			out.Shadowed = append(out.Shadowed, f.Subject)
		}
	}
	return out, nil
}
