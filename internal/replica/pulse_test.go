package replica

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPulses_Reached: a replica is asked by the newest pulse that it had replayed, and never
// by one of another history or older than the limit.
func TestPulses_Reached(t *testing.T) {
	t.Parallel()
	const limit = 200 * time.Millisecond
	at := time.Now()
	var p pulses
	_, why := p.reached(5, "a", at, limit)
	require.Equal(t, OutcomeUnheard, why)
	for i, number := range []int64{10, 20, 30} {
		p.add(heard{pulse{number, "a"}, at.Add(time.Duration(i) * 50 * time.Millisecond)}, 250*time.Millisecond)
	}
	now := at.Add(100 * time.Millisecond)
	for number, want := range map[int64]int64{10: 10, 19: 10, 20: 20, 30: 30, 99: 30} {
		h, why := p.reached(number, "a", now, limit)
		require.Equal(t, OutcomeAnswered, why)
		require.Equal(t, want, h.number)
	}
	_, why = p.reached(9, "a", now, limit)
	require.Equal(t, OutcomeBehind, why)
	_, why = p.reached(99, "b", now, limit)
	require.Equal(t, OutcomeOtherHistory, why)
	_, why = p.reached(15, "a", at.Add(limit+time.Millisecond), limit)
	require.Equal(t, OutcomeBehind, why, "what it has replayed is too old")
	_, why = p.reached(99, "a", at.Add(100*time.Millisecond+limit+time.Millisecond), limit)
	require.Equal(t, OutcomeUnheard, why)

	delay, ok := p.delay(30, now)
	require.True(t, ok)
	require.Zero(t, delay)
	delay, ok = p.delay(15, now)
	require.True(t, ok)
	require.Equal(t, 50*time.Millisecond, delay, "it lacks what was there at 50 ms")
	_, ok = p.delay(9, now)
	require.False(t, ok)

	p.add(heard{pulse{5, "b"}, now}, 250*time.Millisecond)
	_, why = p.reached(99, "a", now, limit)
	require.Equal(t, OutcomeOtherHistory, why, "a failover ends the earlier history")
	h, why := p.reached(99, "b", now, limit)
	require.Equal(t, OutcomeAnswered, why)
	require.EqualValues(t, 5, h.number)
}

// TestAge_OfASleepingMachine: the monotonic clock stands still while a machine sleeps.
func TestAge_OfASleepingMachine(t *testing.T) {
	t.Parallel()
	at := time.Now()
	require.Equal(t, time.Hour, age(at, at.Round(0).Add(time.Hour)), "by the wall clock alone")
	require.GreaterOrEqual(t, age(at, time.Now()), time.Duration(0))
}

// testSet is a set without servers.
func testSet(t *testing.T) (*Set, *clock) {
	t.Helper()
	c := &clock{}
	return newSet(Config{MaxLag: bound, Logger: slog.New(slog.DiscardHandler), now: c.now}), c
}

// TestRequest_OldestAnswerBoundsIt: later answers don't make the first one newer.
func TestRequest_OldestAnswerBoundsIt(t *testing.T) {
	t.Parallel()
	s, c := testSet(t)
	q := Of(s.Begin(t.Context()))
	require.NotNil(t, q)
	first := c.now()
	require.NoError(t, q.Answered(first))
	c.advance(bound / 2)
	require.NoError(t, q.Answered(c.now()))
	c.advance(bound)
	require.ErrorIs(t, q.Answered(c.now()), ErrOutdated)
	require.ErrorIs(t, q.Answered(time.Time{}), ErrOutdated, "an answer of the primary, too")
	q.Restart(OutcomeLate)
	require.NoError(t, q.Answered(time.Time{}))
	require.Nil(t, q.Replica())
}

// TestRequest_WithoutReplicas reads from the primary, and costs nothing.
func TestRequest_WithoutReplicas(t *testing.T) {
	t.Parallel()
	q := Of(t.Context())
	require.Nil(t, q)
	require.Nil(t, q.Replica())
	q.Missed(t.Context(), unfit(OutcomeBehind))
	q.Restart(OutcomeLate)
	require.NoError(t, q.Answered(time.Now().Add(-time.Hour)))
	ctx, cancel := q.Bound(t.Context())
	defer cancel()
	require.Equal(t, t.Context(), ctx)
	_, ok := q.Deadline()
	require.False(t, ok)
}

// TestRequest_BoundEndsAReadOfASilentPrimary within a second, and of no other.
func TestRequest_BoundEndsAReadOfASilentPrimary(t *testing.T) {
	t.Parallel()
	s, c := testSet(t)
	ctx, cancel := Of(s.Begin(t.Context())).Bound(t.Context())
	defer cancel()
	c.advance(answerWithin)
	began := time.Now()
	<-ctx.Done()
	require.Less(t, time.Since(began), 2*time.Second)
}

// TestStatus_SaysWhyThePrimaryIsNotHeard: the log says it once, and operators look later.
func TestStatus_SaysWhyThePrimaryIsNotHeard(t *testing.T) {
	t.Parallel()
	s := newSet(Config{MaxLag: time.Hour, Logger: slog.New(slog.DiscardHandler), Replicas: []Source{{Name: "a"}}})
	s.replicas[0].state.Store(&state{fault: OutcomeAnswered, history: "h", replayed: 1})
	require.Contains(t, s.replicas[0].Status().Cause, "within 1h")
	s.told(t.Context(), errUnnoted)
	status := s.replicas[0].Status()
	require.Equal(t, OutcomeUnheard, status.State)
	require.Equal(t, errUnnoted.Error(), status.Cause)
	s.pulses.add(heard{pulse{1, "h"}, time.Now()}, time.Hour)
	require.Equal(t, OutcomeAnswered, s.replicas[0].Status().State)
	require.Empty(t, s.replicas[0].Status().Cause)
}

// TestRequest_CountsEachQuestionOnce: who answered it, and which replicas didn't and why. A request
// that is refused before it reads counts nowhere.
func TestRequest_CountsEachQuestionOnce(t *testing.T) {
	t.Parallel()
	s := newSet(Config{MaxLag: time.Hour, Logger: slog.New(slog.DiscardHandler), Replicas: []Source{{Name: "a"}, {Name: "b"}}})
	s.pulses.add(heard{pulse{1, "h"}, time.Now()}, time.Hour)
	a, b := s.replicas[0], s.replicas[1]
	a.state.Store(&state{fault: OutcomeAnswered, history: "h", replayed: 1})
	b.state.Store(&state{fault: OutcomeUnreachable})
	want := func(counts map[string]int64) {
		t.Helper()
		got := map[string]int64{}
		for _, o := range Outcomes() {
			for _, r := range s.replicas {
				if n := r.Counts(o); n > 0 {
					got[r.Name+" "+string(o)] = n
				}
			}
		}
		if n := s.ByPrimary(); n > 0 {
			got["primary"] = n
		}
		require.Equal(t, counts, got)
	}

	Of(s.Begin(t.Context())).End() // refused
	want(map[string]int64{})

	q := Of(s.Begin(t.Context())) // it is the second one's turn
	require.Equal(t, a, q.Replica())
	for range 2 { // it reads twice
		require.Equal(t, a, q.Replica())
		require.NoError(t, q.Answered(time.Now()))
	}
	q.End()
	want(map[string]int64{"b unreachable": 1, "a answered": 1})

	q = Of(s.Begin(t.Context()))
	require.Equal(t, a, q.Replica())
	require.NoError(t, q.Answered(time.Now()))
	q.Missed(t.Context(), errors.Join(errors.New("the second read"), unfit(OutcomeBehind)))
	require.Nil(t, q.Replica())
	require.NoError(t, q.Answered(time.Time{}))
	q.End()
	want(map[string]int64{"b unreachable": 1, "a answered": 1, "a behind": 1, "primary": 1})

	q = Of(s.Begin(t.Context()))
	require.Equal(t, a, q.Replica())
	require.NoError(t, q.Answered(time.Now()))
	q.Restart(OutcomeNotThere)
	require.Nil(t, q.Replica())
	require.NoError(t, q.Answered(time.Time{}))
	q.End()
	want(map[string]int64{"b unreachable": 2, "a answered": 1, "a behind": 1, "a not_there": 1, "primary": 2})

	gone, cancel := context.WithCancel(t.Context())
	q = Of(s.Begin(gone))
	require.Equal(t, a, q.Replica())
	cancel()
	q.Missed(gone, unfit(OutcomeUnreachable))
	q.End()
	want(map[string]int64{"b unreachable": 2, "a answered": 1, "a behind": 1, "a not_there": 1, "primary": 2})

	q = Of(s.Begin(t.Context())) // its body can't be read again, so it gets no answer
	require.Equal(t, a, q.Replica())
	require.ErrorIs(t, q.Answered(time.Now().Add(-2*time.Hour)), ErrOutdated)
	q.End()
	want(map[string]int64{"b unreachable": 3, "a answered": 1, "a behind": 1, "a not_there": 1, "a late": 1, "primary": 2})
}
