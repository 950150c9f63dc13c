package main

import (
	"encoding/json"
	"fmt"
	"time"

	"math"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
)

// situation is what alarms are computed from.
type situation struct {
	store.Status

	report      jobs.SweepReport // of LastSweep
	sweepsEvery time.Duration    // 0 if the mirror isn't compared by itself
	lockout     *api.Lockout     // of this process; nil if there is none, or none is known
}

// newSituation reads a status as a process with this configuration sees it.
func newSituation(s store.Status, sweepsEvery time.Duration) (situation, error) {
	now := situation{Status: s, sweepsEvery: sweepsEvery}
	if s.LastSweep != nil {
		if err := json.Unmarshal(s.LastSweep.Report, &now.report); err != nil {
			return now, fmt.Errorf("read report of sweep %d: %w", s.LastSweep.ID, err)
		}
	}
	return now, nil
}

// age returns how long ago an instant was. A clock that is ahead of the database's makes nothing younger than now.
func (s situation) age(at time.Time) time.Duration { return max(0, s.At.Sub(at)) }

// since returns an instant and how many seconds ago it was; nil for never.
func (s situation) since(at time.Time) (*time.Time, *float64) {
	if at.IsZero() {
		return nil, nil
	}
	return new(at.UTC()), new(s.age(at).Seconds())
}

// secondsSince returns how many seconds ago an instant was; +Inf for never.
func (s situation) secondsSince(at time.Time) float64 {
	if at.IsZero() {
		return math.Inf(1)
	}
	return s.age(at).Seconds()
}
