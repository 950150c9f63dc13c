package merge

import (
	"context"
	"slices"
	"time"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// DefaultSettle is the usual [Lags.Settle]. An answer given sooner could be of before, if not
	// all of Clerk knows at once.
	DefaultSettle = 10 * time.Second
	// DefaultReadLag is the usual [Lags.Read]: replicas lag by seconds.
	DefaultReadLag = 10 * time.Minute
)

// Lags are how long something must have been known here before an answer of Clerk's may contradict
// it.
type Lags struct {
	// Settle is that time for any answer: longer than it takes until all of Clerk knows.
	Settle time.Duration
	// Read is that time for an answer that is dated earlier: longer than Clerk's reads are ever
	// behind. Two dates that contradict each other after it are taken for an error of clocks.
	Read time.Duration
}

// DefaultLags returns the usual lags.
func DefaultLags() Lags { return Lags{Settle: DefaultSettle, Read: DefaultReadLag} }

// Followed is what Clerk's answer says of memberships whose pair has another one that ended and
// ranks above them.
type Followed struct {
	Facts    []clerksync.Facts // with the word that those that follow are alive
	Marked   bool              // some follow
	Shadowed []string          // ids of the others
	Recent   bool              // an end became known here a moment ago, so that the answer may be from before it
}

// Follow finds out which memberships that Clerk shows came after others of their pair, although
// these rank above them.
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
			recent := o.Tombstone.Final() && age < l.Settle // an answer that doesn't show the other isn't of before its end
			out.Recent = out.Recent || recent
			follows = follows && !recent && f.Memberships[0].Follows(o, age > l.Read)
		}
		if follows {
			out.Facts[i], out.Marked = f.AliveAfter(others...), true
		} else {
			out.Shadowed = append(out.Shadowed, f.Subject)
		}
	}
	return out, nil
}
