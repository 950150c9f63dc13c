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

// purposes are those of interactive calls, the most urgent last.
func purposes() []clerkapi.Purpose {
	return []clerkapi.Purpose{clerkapi.ForStranger, clerkapi.ForCommand, clerkapi.ForMembership, clerkapi.ForRemoval}
}

// askFor makes one interactive call on its own.
func askFor(t *testing.T, client *clerkapi.Client, purpose clerkapi.Purpose) error {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	_, err := client.Instance(clerkapi.Interactive(ctx, purpose))
	return err
}

// TestPause_DelaysNothingMoreUrgent: after an answer with an hour's Retry-After, calls of its
// purpose and less urgent ones pause for seconds. More urgent ones don't pause at all.
func TestPause_DelaysNothingMoreUrgent(t *testing.T) {
	t.Parallel()
	for i, asked := range purposes() {
		synctest.Test(t, func(t *testing.T) {
			w := firstThen(1, func() (*http.Response, error) { return reply(429, tooMany, "Retry-After", "3600"), nil })
			client := newClient(t, clerkapi.Config{Transport: w})
			require.ErrorIs(t, askFor(t, client, asked), clerkapi.ErrRateLimited)
			for _, before := range purposes()[i+1:] {
				require.NoError(t, askFor(t, client, before))
			}
			for _, held := range purposes()[:i+1] {
				require.ErrorIs(t, askFor(t, client, held), clerkapi.ErrRateLimited)
			}
			wait(10 * time.Second)
			for _, purpose := range purposes() {
				require.NoError(t, askFor(t, client, purpose))
			}
		})
	}
}

// TestPause_OfBackgroundDelaysNoInteractiveCall.
func TestPause_OfBackgroundDelaysNoInteractiveCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := firstThen(1, func() (*http.Response, error) { return reply(429, tooMany, "Retry-After", "3600"), nil })
		client := newClient(t, clerkapi.Config{Transport: w})
		_, err := client.Instance(t.Context())
		require.ErrorIs(t, err, clerkapi.ErrRateLimited)
		for _, purpose := range purposes() {
			require.NoError(t, askFor(t, client, purpose))
		}
	})
}

// TestPause_LongOneIsProbed: while Clerk asks for an hour again and again, one background call a
// minute is sent.
func TestPause_LongOneIsProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(429, tooMany, "Retry-After", "3600")
		client := newClient(t, clerkapi.Config{Transport: w})
		for range 600 { // a caller that tries again each second
			_, err := client.Instance(t.Context())
			require.ErrorIs(t, err, clerkapi.ErrRateLimited)
			wait(time.Second)
		}
		sent := w.times()
		require.Greater(t, len(sent), 9)
		for i, at := range sent[1:] {
			require.GreaterOrEqual(t, at.Sub(sent[i]), time.Minute)
		}
	})
}

// TestUsage_CountsWhatWasRefused: a call counts as refused if the budget didn't let it through, and
// as throttled if Clerk answered 429.
func TestUsage_CountsWhatWasRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := firstThen(1, func() (*http.Response, error) { return reply(429, tooMany, "Retry-After", "3600"), nil })
		client := newClient(t, clerkapi.Config{Transport: w})
		require.Error(t, askFor(t, client, clerkapi.ForCommand), "Clerk's own answer")
		require.ErrorIs(t, askFor(t, client, clerkapi.ForCommand), clerkapi.ErrRateLimited)
		require.ErrorIs(t, askFor(t, client, clerkapi.ForStranger), clerkapi.ErrRateLimited)
		require.NoError(t, askFor(t, client, clerkapi.ForRemoval))
		soon, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		_, err := client.Instance(soon)
		require.ErrorIs(t, err, clerkapi.ErrRateLimited, "the pause of background calls ends later")
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, err = client.Instance(gone)
		require.ErrorIs(t, err, context.Canceled)

		used := client.Usage()
		require.Equal(t, int64(1), used.Throttled)
		refused := map[string]int64{}
		for purpose, n := range used.Refused {
			refused[purpose.String()] = n
		}
		require.Equal(t, map[string]int64{"background": 1, "stranger": 1, "command": 1, "membership": 0, "removal": 0}, refused,
			"a caller that leaves isn't refused")
	})
}
