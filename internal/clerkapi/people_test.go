package clerkapi_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
)

const okDevelopment = `{"object":"instance","id":"ins_1","environment_type":"development"}`

// command makes the two calls of one command, and returns why the first was refused.
func command(t *testing.T, client *clerkapi.Client, purpose clerkapi.Purpose) error {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	ctx = clerkapi.Interactive(ctx, purpose)
	for n := range 2 {
		_, err := client.Instance(ctx)
		if n == 0 && err != nil {
			return err
		}
		require.NoError(t, err, "a command that has begun is finished")
	}
	synctest.Wait() // what was kept for it is free again
	return nil
}

// TestInteractive_MayUseClerksLimit: on a development instance, thirty commands in a row go at once
// beside a sweep. A command beyond Clerk's limit learns when there is room, and Clerk never gets
// more calls than it accepts.
func TestInteractive_MayUseClerksLimit(t *testing.T) {
	t.Parallel()
	for _, purpose := range purposes()[1:] {
		synctest.Test(t, func(t *testing.T) {
			w := always(http.StatusOK, okDevelopment)
			client := newClient(t, clerkapi.Config{Transport: w})
			ctx, stop := context.WithCancel(t.Context())
			swept := make(chan struct{})
			go func() { // a sweep that never ends
				defer close(swept)
				for ctx.Err() == nil {
					_, _ = client.Instance(ctx)
				}
			}()
			wait(25 * time.Second)
			done := 0
			for range 3 {
				err := error(nil)
				for err == nil {
					if err = command(t, client, purpose); err == nil {
						done++
					}
				}
				require.GreaterOrEqual(t, done, 30)
				var refusal *clerkapi.Error
				require.ErrorAs(t, err, &refusal)
				require.ErrorIs(t, err, clerkapi.ErrRateLimited)
				require.LessOrEqual(t, refusal.RetryAfter, 10*time.Second)
				wait(refusal.RetryAfter)
				require.NoError(t, command(t, client, purpose), "as long as it said")
			}
			stop()
			<-swept
			require.LessOrEqual(t, mostWithin(w.times()), 95)
		})
	}
}

// TestInteractive_SweepWaits: while interactive calls use most of Clerk's limit, no background call
// is sent.
func TestInteractive_SweepWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusOK, okDevelopment)
		client := newClient(t, clerkapi.Config{Transport: w})
		for range 40 {
			require.NoError(t, command(t, client, clerkapi.ForRemoval))
		}
		began := time.Now()
		sweep(t, client, 1, 1)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Len(t, w.times(), 81)
	})
}

// TestInteractive_StrangersLeaveClerksLimitToMembers, however many strangers there are.
func TestInteractive_StrangersLeaveClerksLimitToMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusOK, okDevelopment)
		client := newClient(t, clerkapi.Config{Transport: w})
		for range 600 {
			_ = askFor(t, client, clerkapi.ForStranger)
			wait(100 * time.Millisecond)
		}
		require.LessOrEqual(t, len(w.times()), 12+60)
		for range 30 {
			require.NoError(t, command(t, client, clerkapi.ForCommand))
		}
	})
}

// TestBudget_ConfiguredRateLimitsBackgroundCalls, and not interactive calls. A rate above our share
// says that Clerk accepts more calls.
func TestBudget_ConfiguredRateLimitsBackgroundCalls(t *testing.T) {
	t.Parallel()
	for rate, commands := range map[float64]int{0.1: 40, 20: 400} {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, clerkapi.Config{Transport: always(http.StatusOK, okDevelopment), CallsPerSecond: rate})
			for range commands {
				require.NoError(t, command(t, client, clerkapi.ForCommand))
			}
		})
	}
}
