package clerkapi_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
)

// ask makes one call without retries.
func ask(t *testing.T, client *clerkapi.Client) error {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	_, err := client.Instance(clerkapi.Interactive(ctx, clerkapi.ForStranger))
	return err
}

// sick is a Clerk that the test can break and repair.
type sick struct {
	wire

	down atomic.Bool
}

func newSick() *sick {
	s := &sick{}
	s.down.Store(true)
	s.answer = func(int, *http.Request) (*http.Response, error) {
		if s.down.Load() {
			return nil, errors.New("connection reset")
		}
		return reply(http.StatusOK, okInstance), nil
	}
	return s
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		clerk := newSick()
		client := newClient(t, clerkapi.Config{
			Transport: clerk, CallsPerSecond: 100, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		})
		for range 5 {
			require.ErrorIs(t, ask(t, client), clerkapi.ErrUnavailable)
		}
		require.Len(t, clerk.times(), 5)
		require.Contains(t, logged.String(), "to=open")

		for range 20 { // open: nothing is sent, and the budget of five interactive calls at once isn't spent
			err := ask(t, client)
			var refusal *clerkapi.Error
			require.ErrorAs(t, err, &refusal)
			require.ErrorIs(t, err, clerkapi.ErrUnavailable)
			require.Equal(t, 10*time.Second, refusal.RetryAfter)
		}
		require.Len(t, clerk.times(), 5)

		wait(10 * time.Second) // half open: one tries, and fails
		require.ErrorIs(t, ask(t, client), clerkapi.ErrUnavailable)
		require.ErrorIs(t, ask(t, client), clerkapi.ErrUnavailable)
		require.Len(t, clerk.times(), 6)

		wait(10 * time.Second) // half open: one tries, and closes it
		clerk.down.Store(false)
		require.NoError(t, ask(t, client))
		require.NoError(t, ask(t, client))
		require.Contains(t, logged.String(), "to=closed")
	})
}

// wait lets the bubble's time pass.
func wait(d time.Duration) { <-time.After(d) }

// TestBreaker_StopsRetries: the attempts of one call count, and an open breaker ends them.
func TestBreaker_StopsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clerk := newSick()
		client := newClient(t, clerkapi.Config{Transport: clerk, CallsPerSecond: unbound})
		for range 2 {
			_, err := client.Instance(t.Context())
			require.ErrorIs(t, err, clerkapi.ErrUnavailable)
		}
		require.Len(t, clerk.times(), 5)
	})
}

func TestBreaker_IgnoresRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{400, 401, 404, 422, 429} {
			w := always(status, notFound)
			client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound})
			for range 5 {
				require.NotErrorIs(t, ask(t, client), clerkapi.ErrUnavailable)
				wait(3 * time.Second) // after a 429, all calls wait for two
			}
			require.Error(t, ask(t, client))
			require.Len(t, w.times(), 6, "it never opens at %d", status)
		}
	})
}

// TestBreaker_CountsTimeOuts: a Clerk that hangs costs callers their whole deadlines only until the
// breaker opens.
func TestBreaker_CountsTimeOuts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deadline time.Duration
		sent     int
	}{
		"a second is enough to judge": {time.Second, 5},
		"a moment isn't":              {10 * time.Millisecond, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &wire{answer: func(_ int, req *http.Request) (*http.Response, error) { return hang(req) }}
				client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound})
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
					_, err := client.Instance(ctx)
					cancel()
					require.ErrorIs(t, err, clerkapi.ErrUnavailable)
				}
				require.Len(t, w.times(), c.sent)
			})
		})
	}
}

// TestBreaker_LetsOneTry: when Clerk comes back, one call tries before the others are sent.
func TestBreaker_LetsOneTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(n int, req *http.Request) (*http.Response, error) {
			if n <= 5 {
				return reply(http.StatusBadGateway, ""), nil
			}
			return hang(req)
		}}
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound})
		for range 5 {
			require.Error(t, ask(t, client))
		}
		wait(10 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { _ = ask(t, client) })
		synctest.Wait()
		require.ErrorIs(t, ask(t, client), clerkapi.ErrUnavailable)
		require.Len(t, w.times(), 6)
		wg.Wait()
	})
}

// TestBreaker_OutlivesAnAbandonedTrial: after the trial's caller has gone, the next caller may try.
func TestBreaker_OutlivesAnAbandonedTrial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(n int, req *http.Request) (*http.Response, error) {
			switch {
			case n <= 5:
				return reply(http.StatusBadGateway, ""), nil
			case n == 6:
				return hang(req)
			default:
				return reply(http.StatusOK, okInstance), nil
			}
		}}
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound})
		for range 5 {
			require.Error(t, ask(t, client))
		}
		wait(10 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := client.Instance(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, ask(t, client), clerkapi.ErrUnavailable, "it showed nothing")
		wait(10 * time.Second)
		require.NoError(t, ask(t, client))
	})
}
