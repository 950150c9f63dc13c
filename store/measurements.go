package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// Measurement is what one process, or all processes together, did in some time. A counter is nil if
// no process with such a side measured.
type Measurement struct {
	Accepted  *int64        // webhooks that were answered with 200
	Questions *int64        // decisions
	Refused   *int64        // decisions that were no
	Applied   *int64        // deliveries that ended; quarantined ones are left out
	Longest   time.Duration // the longest time from receipt to that end; 0 if none ended
	Waits     Waits         // all of these times
}

// Minute is the measurement of one minute, over all processes.
type Minute struct {
	At time.Time // its beginning
	Measurement
}

// waitBounds are the upper bounds of the ranges of [Waits]: about three for each factor of ten. The
// last range has no bound. Measurements are stored by these ranges; never change them.
func waitBounds() []time.Duration {
	return []time.Duration{
		5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
		200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
	}
}

// waitRanges is the number of ranges.
const waitRanges = 12

// Waits counts durations by ranges. Its zero value has none.
type Waits [waitRanges]int64

// WaitRange returns the range of a duration.
func WaitRange(d time.Duration) int {
	place, _ := slices.BinarySearch(waitBounds(), d)
	return place
}

// AtMost returns the shortest bound that this part of the durations doesn't exceed, and longest if
// they exceed all bounds. Without any durations, it returns 0.
func (w Waits) AtMost(part float64, longest time.Duration) time.Duration {
	var all, sofar int64
	for _, n := range w {
		all += n
	}
	if all == 0 {
		return 0
	}
	for i, bound := range waitBounds() {
		if sofar += w[i]; float64(sofar) >= part*float64(all) {
			return min(bound, longest)
		}
	}
	return longest
}

// AddMeasurement adds to the current minute of a process.
func AddMeasurement(ctx context.Context, db DBTX, processID string, m Measurement) error {
	params := dbsqlc.AddMeasurementParams{
		ProcessID: processID, Accepted: m.Accepted, Questions: m.Questions, Refused: m.Refused, Applied: m.Applied, Waits: []int64{},
	}
	if m.Applied != nil {
		params.Waits = m.Waits[:]
	}
	if m.Longest > 0 {
		params.LongestUs = new(m.Longest.Microseconds())
	}
	if err := queries().AddMeasurement(ctx, db, params); err != nil {
		return fmt.Errorf("note measurements: %w", err)
	}
	return nil
}

// Minutes returns the measurements since an instant, minute by minute, summed over the processes.
// A minute in which no process measured isn't among them.
func Minutes(ctx context.Context, db DBTX, since time.Time) ([]Minute, error) {
	rows, err := queries().Measurements(ctx, db, since)
	if err != nil {
		return nil, fmt.Errorf("read measurements: %w", err)
	}
	var minutes []Minute
	for _, r := range rows {
		if n := len(minutes); n == 0 || !minutes[n-1].At.Equal(r.Minute) {
			minutes = append(minutes, Minute{At: r.Minute.UTC()})
		}
		m := &minutes[len(minutes)-1].Measurement
		*m = m.Plus(measured(r))
	}
	return minutes, nil
}

func measured(r dbsqlc.MeasurementsRow) Measurement {
	m := Measurement{Accepted: r.Accepted, Questions: r.Questions, Refused: r.Refused, Applied: r.Applied}
	if r.LongestUs != nil {
		m.Longest = time.Duration(*r.LongestUs) * time.Microsecond
	}
	copy(m.Waits[:], r.Waits)
	return m
}

// Plus returns two measurements together.
func (m Measurement) Plus(o Measurement) Measurement {
	sum := Measurement{
		Accepted: plus(m.Accepted, o.Accepted), Questions: plus(m.Questions, o.Questions), Refused: plus(m.Refused, o.Refused),
		Applied: plus(m.Applied, o.Applied), Longest: max(m.Longest, o.Longest), Waits: m.Waits,
	}
	for i, n := range o.Waits {
		sum.Waits[i] += n
	}
	return sum
}

func plus(a, b *int64) *int64 {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	default:
		return new(*a + *b)
	}
}

// PruneMeasurements forgets at most limit measurements that are older than an age.
func PruneMeasurements(ctx context.Context, db DBTX, age time.Duration, limit int) error {
	err := queries().PruneMeasurements(ctx, db, dbsqlc.PruneMeasurementsParams{Seconds: age.Seconds(), Batch: pageSize(limit)})
	if err != nil {
		return fmt.Errorf("prune measurements: %w", err)
	}
	return nil
}
