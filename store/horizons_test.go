package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// writer is a transaction that writes one row: it draws the row's id and time, begins to write, and
// commits.
type writer struct{ drawn, begun, committed time.Time }

// TestHorizons_SettleBeforeNoRowThatComesLate draws transactions of all lengths and polls between
// them: after a poll, no row that was drawn before its horizon is committed.
func TestHorizons_SettleBeforeNoRowThatComesLate(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seconds := func(r *rapid.T, most int, what string) time.Duration {
		return time.Duration(rapid.IntRange(1, most).Draw(r, what)) * time.Second
	}
	rapid.Check(t, func(r *rapid.T) {
		writers := rapid.SliceOf(rapid.Custom(func(r *rapid.T) writer {
			drawn := start.Add(seconds(r, 600, "drawn"))
			begun := drawn.Add(seconds(r, int(longestDraw/time.Second)-1, "until it writes"))
			return writer{drawn, begun, begun.Add(seconds(r, 1200, "until it commits"))}
		})).Draw(r, "writers")
		followed := horizons{}
		for at := start; at.Sub(start) < 30*time.Minute; at = at.Add(seconds(r, 40, "until the next poll")) {
			settled := followed.settle(horizonAt(writers, at))
			for _, w := range writers {
				require.False(r, w.drawn.Before(settled.at) && w.committed.After(at) && settled.at.After(start), "%v settled at %v", w, at)
			}
		}
		quiet := start.Add(2 * time.Hour)
		for range 3 {
			quiet = quiet.Add(longestDraw)
			followed.settle(horizonAt(writers, quiet))
		}
		require.Len(r, followed, 2, "when nothing is open, it reads back for the longest draw only")
	})
}

// horizonAt returns what a poll sees: transactions have numbers in the order in which they begin to
// write.
func horizonAt(writers []writer, at time.Time) horizon {
	h := horizon{at: at, next: 1}
	running := []time.Time{}
	for _, w := range writers {
		if !w.begun.After(at) {
			h.next++
			if w.committed.After(at) {
				running = append(running, w.begun)
			}
		}
	}
	h.oldest = h.next
	for _, begun := range running {
		number := int64(1)
		for _, w := range writers {
			if w.begun.Before(begun) {
				number++
			}
		}
		h.oldest = min(h.oldest, number)
	}
	return h
}
