// Package health judges how well the mirror follows Clerk. Alarms and notices are rules over one
// [Situation].
//
// It guarantees that `rolecall status`, `rolecall doctor`, /readyz and /metrics go by the same
// rules, and that judging changes nothing.
package health

import (
	"math"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
)

// Situation is the state from which alarms and notices are computed.
type Situation struct {
	store.Status

	report      sweep.Report  // of LastSweep
	sweepsEvery time.Duration // 0 if sweeps are off
	Own                       // zero unless a serving process looks at itself
}

// Own is what only a serving process knows of itself, without the database.
type Own struct {
	Lockout       *auth.Lockout // of users; nil if there is none
	PolicyRefused error         // why its policy is another one than its file's; nil if it isn't
	Replicas      []Replica     // from which it reads
	ByPrimary     int64         // questions that replicas could have answered, and the primary did
}

// NewSituation reads a status as a process with this configuration sees it.
func NewSituation(s store.Status, sweepsEvery time.Duration) (Situation, error) {
	now := Situation{Status: s, sweepsEvery: sweepsEvery}
	if s.LastSweep != nil {
		report, err := sweep.ReadReport(*s.LastSweep)
		now.report = report
		return now, err
	}
	return now, nil
}

// Age returns how long ago an instant was. It is never negative, even if a clock is ahead of the
// database's.
func (s Situation) Age(at time.Time) time.Duration { return max(0, s.At.Sub(at)) }

// since returns an instant and how many seconds ago it was; nil for never.
func (s Situation) since(at time.Time) (*time.Time, *float64) {
	if at.IsZero() {
		return nil, nil
	}
	return new(at.UTC()), new(s.Age(at).Seconds())
}

// secondsSince returns how many seconds ago an instant was; +Inf for never.
func (s Situation) secondsSince(at time.Time) float64 {
	if at.IsZero() {
		return math.Inf(1)
	}
	return s.Age(at).Seconds()
}

// Instant writes an instant for people.
func Instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Seconds writes a duration for people, rounded to seconds.
func Seconds(d time.Duration) string { return d.Round(time.Second).String() }
