package rounds

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("refused")

// db is a database that answers each question with its double when it is let go.
type db struct {
	mu     sync.Mutex
	asked  [][]int       // the questions of each round
	letGo  chan struct{} // each value ends a round; nil if rounds end at once
	refuse int           // a question that is refused
}

func (d *db) ask(ctx context.Context, questions []int) ([]int, error) {
	d.mu.Lock()
	d.asked = append(d.asked, questions)
	d.mu.Unlock()
	if d.letGo != nil {
		select {
		case <-d.letGo:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	answers := make([]int, len(questions))
	for i, q := range questions {
		if q == d.refuse {
			return nil, errRefused
		}
		answers[i] = 2 * q
	}
	return answers, nil
}

func (d *db) rounds(atOnce int) *Rounds[int, int] {
	return New(Config[int, int]{
		Ask: d.ask, Refused: func(err error) bool { return errors.Is(err, errRefused) }, AtOnce: atOnce, Batch: 10, Waiting: 12,
	})
}

// asking asks in the background. Its function returns the result.
func asking(ctx context.Context, r *Rounds[int, int], questions ...int) (result func() ([]int, error)) {
	var answers []int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		answers, err = r.Ask(ctx, questions...)
	}()
	synctest.Wait() // it waits now, or is done
	return func() ([]int, error) {
		<-done
		return answers, err
	}
}

func requireAnswers(t *testing.T, result func() ([]int, error), want ...int) {
	t.Helper()
	answers, err := result()
	require.NoError(t, err)
	require.Equal(t, want, answers)
}

// TestRounds_ShareTheNext: a question never joins the round that is under way.
func TestRounds_ShareTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &db{letGo: make(chan struct{})}
		r := d.rounds(2)
		first, second := asking(t.Context(), r, 1), asking(t.Context(), r, 2)
		third, fourth := asking(t.Context(), r, 3, 4), asking(t.Context(), r, 5)
		require.Equal(t, [][]int{{1}, {2}}, d.asked)
		d.letGo <- struct{}{}
		synctest.Wait()
		require.Equal(t, [][]int{{1}, {2}, {3, 4, 5}}, d.asked)
		d.letGo <- struct{}{}
		d.letGo <- struct{}{}
		requireAnswers(t, first, 2)
		requireAnswers(t, second, 4)
		requireAnswers(t, third, 6, 8)
		requireAnswers(t, fourth, 10)
		require.Zero(t, r.underway)
	})
}

// TestRounds_WaitForCallersAboutToRun: a leader doesn't ask before callers that could run have run.
//
//nolint:paralleltest // it takes processors from the others
func TestRounds_WaitForCallersAboutToRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const tries = 100
	shared := 0
	for range tries {
		d := &db{}
		r := d.rounds(1)
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				answers, err := r.Ask(t.Context(), i+1)
				require.NoError(t, err)
				require.Equal(t, []int{2 * (i + 1)}, answers)
			})
		}
		callers.Wait()
		if len(d.asked) == 1 {
			shared++
		}
	}
	require.Greater(t, shared, tries/2, "now and then the runtime runs the leader first")
}

func TestRounds_AreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &db{letGo: make(chan struct{})}
		r := d.rounds(1)
		first := asking(t.Context(), r, 1)
		second, third := asking(t.Context(), r, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), asking(t.Context(), r, 11)
		_, err := r.Ask(t.Context(), 12, 13)
		require.ErrorIs(t, err, ErrFull)
		d.letGo <- struct{}{}
		synctest.Wait()
		require.Len(t, d.asked[1], 10, "the round is full")
		d.letGo <- struct{}{}
		d.letGo <- struct{}{}
		requireAnswers(t, first, 2)
		requireAnswers(t, second, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
		requireAnswers(t, third, 22)
	})
}

// TestRounds_CallersLeave: neither a leader's nor a follower's leaving ends the question of
// another.
func TestRounds_CallersLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &db{letGo: make(chan struct{})}
		r := d.rounds(1)
		first := asking(t.Context(), r, 1)
		ctx, leave := context.WithCancel(t.Context())
		leader, waits := asking(ctx, r, 2), asking(t.Context(), r, 3)
		d.letGo <- struct{}{}
		synctest.Wait()
		alsoLeaves, goesOn := asking(ctx, r, 4), asking(t.Context(), r, 5)
		leave()
		_, err := alsoLeaves()
		require.ErrorIs(t, err, context.Canceled)
		d.letGo <- struct{}{}
		d.letGo <- struct{}{}
		requireAnswers(t, first, 2)
		requireAnswers(t, leader, 4)
		requireAnswers(t, waits, 6)
		requireAnswers(t, goesOn, 10)
		require.Equal(t, [][]int{{1}, {2, 3}, {5}}, d.asked)
	})
}

// TestRounds_LeaderLeavesWhenItsTurnComes: the next of the waiting leads.
func TestRounds_LeaderLeavesWhenItsTurnComes(t *testing.T) {
	t.Parallel()
	d := &db{}
	r := d.rounds(1)
	leaves, waits := &caller[int, int]{questions: []int{1}}, &caller[int, int]{questions: []int{2}}
	for _, c := range []*caller[int, int]{{}, leaves, waits} {
		_, err := r.enter(c)
		require.NoError(t, err)
	}
	r.handOver() // of the first
	r.leave(leaves)
	require.True(t, <-waits.woken)
	r.leave(waits)
	require.Equal(t, 1, r.underway, "it leads")
	r.handOver()
	require.Zero(t, r.underway)
	require.Zero(t, r.pending)
}

// TestRounds_FollowersOutliveTheLeadersDeadline: they have their own time.
func TestRounds_FollowersOutliveTheLeadersDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &db{letGo: make(chan struct{})}
		r := d.rounds(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := asking(t.Context(), r, 1)
		leader, follower := asking(ctx, r, 2), asking(t.Context(), r, 3)
		d.letGo <- struct{}{}
		_, err := leader()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		d.letGo <- struct{}{}
		requireAnswers(t, first, 2)
		requireAnswers(t, follower, 6)
		require.Equal(t, [][]int{{1}, {2, 3}, {3}}, d.asked)
	})
}

// TestRounds_FewQuestionsWaitForTheRoundUnderWay, and enough of them begin another one. When one of
// two ends, few are left to the other.
func TestRounds_FewQuestionsWaitForTheRoundUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &db{letGo: make(chan struct{})}
		r := d.rounds(2)
		r.cfg.Worth, r.cfg.Patience = 3, time.Minute
		first, second := asking(t.Context(), r, 1), asking(t.Context(), r, 2)
		require.Equal(t, [][]int{{1}}, d.asked)
		third := asking(t.Context(), r, 3, 4)
		require.Equal(t, [][]int{{1}, {3, 4, 2}}, d.asked)
		fourth := asking(t.Context(), r, 5)
		d.letGo <- struct{}{}
		synctest.Wait()
		require.Len(t, d.asked, 2, "another round is under way")
		close(d.letGo)
		requireAnswers(t, first, 2)
		requireAnswers(t, second, 4)
		requireAnswers(t, third, 6, 8)
		requireAnswers(t, fourth, 10)
		require.Equal(t, [][]int{{1}, {3, 4, 2}, {5}}, d.asked)
	})
}

// TestRounds_AHangingRoundHoldsUpNoOther for long: the next question takes along those that wait.
func TestRounds_AHangingRoundHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &db{letGo: make(chan struct{})}
		r := d.rounds(2)
		r.cfg.Worth, r.cfg.Patience = 3, 10*time.Millisecond
		hanging, waiting := asking(t.Context(), r, 1), asking(t.Context(), r, 2)
		<-time.After(20 * time.Millisecond) // of the bubble's clock
		next := asking(t.Context(), r, 3)
		require.Equal(t, [][]int{{1}, {3, 2}}, d.asked)
		close(d.letGo)
		requireAnswers(t, hanging, 2)
		requireAnswers(t, waiting, 4)
		requireAnswers(t, next, 6)
	})
}

func TestRounds_ARefusedQuestionFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &db{letGo: make(chan struct{}), refuse: 13}
		r := d.rounds(1)
		first := asking(t.Context(), r, 1)
		second, refused, fourth := asking(t.Context(), r, 2, 3), asking(t.Context(), r, 13), asking(t.Context(), r, 4)
		close(d.letGo)
		requireAnswers(t, first, 2)
		requireAnswers(t, second, 4, 6)
		requireAnswers(t, fourth, 8)
		_, err := refused()
		require.ErrorIs(t, err, errRefused)
	})
}

// TestRounds_APanicLeavesNobodyWaiting: it is the leader's own, and the others get an error.
func TestRounds_APanicLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		letGo := make(chan struct{})
		r := New(Config[int, int]{AtOnce: 1, Batch: 10, Waiting: 10, Ask: func(_ context.Context, questions []int) ([]int, error) {
			<-letGo
			if len(questions) > 1 {
				panic("in the leader's goroutine")
			}
			return questions, nil
		}})
		first := asking(t.Context(), r, 1)
		panicked := make(chan any)
		go func() {
			defer func() { panicked <- recover() }()
			_, _ = r.Ask(t.Context(), 2)
		}()
		synctest.Wait()
		follower := asking(t.Context(), r, 3)
		close(letGo)
		requireAnswers(t, first, 1)
		require.NotNil(t, <-panicked)
		_, err := follower()
		require.ErrorIs(t, err, errUnanswered)
		requireAnswers(t, asking(t.Context(), r, 4), 4)
	})
}
