package clerkapi_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
)

// sweep calls n times in a row from each of some workers, and returns when all are done.
func sweep(t *testing.T, client *clerkapi.Client, workers, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range n {
				if _, err := client.Instance(t.Context()); err != nil {
					t.Errorf("call: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// mostWithin returns the largest number of the times that lie within one of Clerk's windows.
func mostWithin(times []time.Time) int {
	most := 0
	for i := range times {
		n := 0
		for _, later := range times[i:] {
			if later.Sub(times[i]) < 10*time.Second {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// TestBudget_IsShared: the calls of all callers exceed a fifth of Clerk's limit in ten seconds by a
// second's worth at most, and the whole share is used.
func TestBudget_IsShared(t *testing.T) {
	t.Parallel()
	for environment, rate := range map[string]float64{"development": 2, "production": 20, "staging": 2} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := always(http.StatusOK, `{"id":"ins_1","environment_type":"`+environment+`"}`)
				client := newClient(t, clerkapi.Config{Transport: w})
				began := time.Now()
				sweep(t, client, 8, 25)
				sent := w.times()
				require.Len(t, sent, 200)
				require.LessOrEqual(t, mostWithin(sent), int(11*rate))
				require.InDelta(t, 200/rate, time.Since(began).Seconds(), 8, "200 calls at %v a second", rate)
			})
		})
	}
}

func TestBudget_MayBeConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusOK, okInstance) // production, whose limit isn't used then
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 0.5})
		began := time.Now()
		sweep(t, client, 1, 5)
		require.Equal(t, 8*time.Second, time.Since(began))
	})
}

// TestBudget_CountsRetries: each attempt costs a call, whatever its result.
func TestBudget_CountsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := firstThen(2, func() (*http.Response, error) { return reply(http.StatusBadGateway, ""), nil })
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 0.125})
		began := time.Now()
		_, err := client.Instance(t.Context())
		require.NoError(t, err)
		require.InDelta(t, 16, time.Since(began).Seconds(), 0.001)
	})
}

func TestBudget_WaitLongerThanTheCallerFailsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusOK, okInstance)
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 0.1})
		sweep(t, client, 1, 1)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := client.Instance(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, clerkapi.ErrRateLimited, "Clerk has said nothing")
		require.Equal(t, began, time.Now(), "at once")
		require.Len(t, w.times(), 1)
	})
}

// TestBudget_WaitingEndsWithTheCaller, for a call of the budget and for the end of a pause.
func TestBudget_WaitingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]*wire{
		"token": always(http.StatusOK, okInstance),
		"pause": always(http.StatusTooManyRequests, tooMany, "Retry-After", "30"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, clerkapi.Config{Transport: first, CallsPerSecond: 0.1})
				_ = ask(t, client)
				began := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := client.Instance(ctx)
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, time.Second, time.Since(began))
				require.Len(t, first.times(), 1)
			})
		})
	}
}

// TestBudget_InteractiveCallsDoNotWait: beside a sweep that always has callers waiting, interactive
// calls are sent at once. The sweep pays for them with half its rate at most.
func TestBudget_InteractiveCallsDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusOK, okInstance)
		client := newClient(t, clerkapi.Config{Transport: w})
		sweep(t, client, 1, 1) // it is a production instance: 20 calls a second
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			sweep(t, client, 8, 25)
		}()
		wait(2 * time.Second) // the first burst is over
		for range 180 {       // 60 a second for three seconds
			asked := time.Now()
			ctx, end := context.WithCancel(t.Context())
			_, err := client.Instance(clerkapi.Interactive(ctx, clerkapi.ForCommand))
			require.NoError(t, err)
			require.Equal(t, asked, time.Now(), "at once")
			end()
			wait(time.Second / 60)
		}
		<-done
		took := time.Since(began).Seconds()
		require.Greater(t, took, 200.0/20+1, "the sweep pays")
		require.Less(t, took, 200.0/20+3, "half its rate at most")
		require.Len(t, w.times(), 1+200+180)
	})
}

// TestBudget_StrangersHaveALimit far below Clerk's, because there may be any number of strangers.
func TestBudget_StrangersHaveALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusOK, okInstance)
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 2})
		const strangers = 11 // one after the other
		for range strangers {
			require.NoError(t, ask(t, client))
			synctest.Wait() // what was kept for the look-up is free again
		}
		err := ask(t, client)
		var refusal *clerkapi.Error
		require.ErrorAs(t, err, &refusal)
		require.ErrorIs(t, err, clerkapi.ErrRateLimited)
		require.Equal(t, time.Second, refusal.RetryAfter)
		wait(time.Second)
		require.NoError(t, ask(t, client))
		require.Len(t, w.times(), strangers+1)
	})
}

// TestBudget_RemovalsGoFirst: an admin can remove a member during any number of look-ups of
// strangers, creations and role changes.
func TestBudget_RemovalsGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, clerkapi.Config{Transport: always(http.StatusOK, okInstance), CallsPerSecond: 2})
		purposes := []clerkapi.Purpose{clerkapi.ForStranger, clerkapi.ForCommand, clerkapi.ForMembership, clerkapi.ForRemoval}
		begin := func(ctx context.Context, purpose clerkapi.Purpose) (context.Context, error) {
			ctx = clerkapi.Interactive(ctx, purpose)
			_, err := client.Instance(ctx)
			return ctx, err
		}
		for range 3 {
			ctx, end := context.WithCancel(t.Context())
			var begun []context.Context
			for i, purpose := range purposes {
				for n := 0; ; n++ { // a flood
					one, err := begin(ctx, purpose)
					if err != nil {
						require.Positive(t, n)
						break
					}
					begun = append(begun, one)
				}
				for _, other := range purposes[:i] {
					_, err := begin(ctx, other)
					require.Error(t, err)
				}
			}
			for _, one := range begun { // commands that were admitted are finished
				_, err := client.Instance(one)
				require.NoError(t, err)
			}
			end()
			wait(30 * time.Second)
		}
	})
}

// TestBudget_BeginsNothingThatItCannotFinish: a caller that is refused, waits as long as it is
// told, and tries again has wasted no call.
func TestBudget_BeginsNothingThatItCannotFinish(t *testing.T) {
	t.Parallel()
	for _, purpose := range []clerkapi.Purpose{clerkapi.ForStranger, clerkapi.ForCommand, clerkapi.ForMembership, clerkapi.ForRemoval} {
		synctest.Test(t, func(t *testing.T) {
			w := always(http.StatusOK, okInstance)
			client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 2})
			for err := error(nil); err == nil; {
				ctx, end := context.WithCancel(t.Context())
				_, err = client.Instance(clerkapi.Interactive(ctx, clerkapi.ForRemoval))
				end()
				synctest.Wait() // what was kept for it is free again
			}
			spent := len(w.times())
			_, err := client.Instance(clerkapi.Interactive(t.Context(), purpose))
			var refusal *clerkapi.Error
			require.ErrorAs(t, err, &refusal)
			wait(refusal.RetryAfter)
			ctx := clerkapi.Interactive(t.Context(), purpose)
			for range 2 {
				_, err := client.Instance(ctx)
				require.NoError(t, err)
			}
			require.Len(t, w.times(), spent+2)
		})
	}
}

// TestPause_IsForAllBackgroundCalls: Clerk asks one call to slow down, and none is sent until the
// pause is over.
func TestPause_IsForAllBackgroundCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := firstThen(1, func() (*http.Response, error) { return reply(429, tooMany, "Retry-After", "20"), nil })
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 100})
		require.ErrorIs(t, ask(t, client), clerkapi.ErrRateLimited)
		sweep(t, client, 8, 2)
		sent := w.times()
		require.Len(t, sent, 17)
		for _, at := range sent[1:] {
			require.GreaterOrEqual(t, at.Sub(sent[0]), 20*time.Second)
		}
	})
}

// TestPause_IsNotCutShort by a second 429 that asks for less than the first one.
func TestPause_IsNotCutShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n <= 2 {
				wait(time.Second) // until both are under way
				return reply(429, tooMany, "Retry-After", []string{"20", "5"}[n-1]), nil
			}
			return reply(http.StatusOK, okInstance), nil
		}}
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 100})
		sweep(t, client, 2, 1)
		sent := w.times()
		require.Equal(t, 21*time.Second, sent[2].Sub(sent[0]))
	})
}

// TestPause_DelaysCallsThatAlreadyWait: a call that has its place in the queue is sent after the
// pause, not before.
func TestPause_DelaysCallsThatAlreadyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(n int, _ *http.Request) (*http.Response, error) {
			if n == 2 {
				return reply(429, tooMany, "Retry-After", "20"), nil
			}
			return reply(http.StatusOK, okInstance), nil
		}}
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 1})
		sweep(t, client, 1, 1)
		var wg sync.WaitGroup
		wg.Go(func() { sweep(t, client, 1, 1) }) // waits for the next second
		synctest.Wait()
		require.ErrorIs(t, ask(t, client), clerkapi.ErrRateLimited)
		require.ErrorIs(t, ask(t, client), clerkapi.ErrRateLimited, "Clerk asked all callers to wait")
		wg.Wait()
		sent := w.times()
		require.Equal(t, 20*time.Second, sent[2].Sub(sent[1]))
	})
}
