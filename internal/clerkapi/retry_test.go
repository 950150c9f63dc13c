package clerkapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	clerksync "github.com/callmine/rolecall/sync"
)

// failures are faults that pass, after which a call may be tried again.
func failures() map[string]func() (*http.Response, error) {
	return map[string]func() (*http.Response, error){
		"500":            func() (*http.Response, error) { return reply(500, `{}`), nil },
		"502 with HTML":  func() (*http.Response, error) { return reply(502, `<html>`), nil },
		"503":            func() (*http.Response, error) { return reply(503, ``), nil },
		"no connection":  func() (*http.Response, error) { return nil, errors.New("connection refused") },
		"truncated body": func() (*http.Response, error) { return truncated(), nil },
	}
}

func truncated() *http.Response {
	resp := reply(http.StatusOK, "")
	resp.Body = io.NopCloser(io.MultiReader(errorReader{}))
	return resp
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRetry(t *testing.T) {
	t.Parallel()
	for name, fail := range failures() { //nolint:bodyclose // in memory
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := firstThen(2, fail)
				var calls []clerkapi.Call
				client := newClient(t, clerkapi.Config{
					Transport: w, CallsPerSecond: unbound, Observe: func(c clerkapi.Call) { calls = append(calls, c) },
				})
				_, err := client.Instance(t.Context())
				require.NoError(t, err)
				sent := w.times()
				require.Len(t, sent, 3)
				require.InDelta(t, 500*time.Millisecond, sent[1].Sub(sent[0]), float64(260*time.Millisecond))
				require.InDelta(t, time.Second, sent[2].Sub(sent[1]), float64(510*time.Millisecond))
				require.Equal(t, []clerkapi.Call{{
					Route: "/instance", Status: http.StatusOK, Attempts: 3, Took: sent[2].Sub(sent[0]),
				}}, calls)
			})
		})
	}
}

func TestRetry_Ends(t *testing.T) {
	t.Parallel()
	for name, fail := range failures() { //nolint:bodyclose // in memory
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := firstThen(1000, fail)
				client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound})
				_, err := client.Instance(t.Context())
				require.ErrorIs(t, err, clerkapi.ErrUnavailable)
				require.Len(t, w.times(), 3)

				_, err = client.Instance(clerkapi.Interactive(t.Context(), clerkapi.ForStranger))
				require.ErrorIs(t, err, clerkapi.ErrUnavailable)
				require.Len(t, w.times(), 4, "somebody waits")
			})
		})
	}
}

func TestRetry_OnlyWhereItCanHelp(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 402, 403, 404, 422, 302} {
		w := always(status, notFound)
		_, err := newClient(t, clerkapi.Config{Transport: w}).Instance(t.Context())
		require.Error(t, err)
		require.Len(t, w.times(), 1, status)
	}
}

func TestRetry_RateLimitThenSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := firstThen(1, func() (*http.Response, error) { return reply(429, tooMany, "Retry-After", "7"), nil })
		_, err := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound}).Instance(t.Context())
		require.NoError(t, err)
		sent := w.times()
		require.Len(t, sent, 2)
		require.Equal(t, 7*time.Second, sent[1].Sub(sent[0]), "not a moment earlier")
	})
}

func TestRetry_RateLimitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := always(http.StatusTooManyRequests, tooMany, "Retry-After", "3")
		_, err := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound}).Instance(t.Context())
		var refusal *clerkapi.Error
		require.ErrorAs(t, err, &refusal)
		require.ErrorIs(t, err, clerkapi.ErrRateLimited)
		require.Equal(t, 3*time.Second, refusal.RetryAfter)
		require.Equal(t, "too_many_requests", refusal.Code)
		require.Len(t, w.times(), 3)
	})
}

// TestRetry_AfterThatIsTooLong: no caller waits for it, and no call is sent meanwhile.
func TestRetry_AfterThatIsTooLong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ retryAfter, deadline time.Duration }{
		"longer than half a minute":    {31 * time.Second, time.Hour},
		"longer than the caller waits": {10 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w := always(http.StatusTooManyRequests, tooMany, "Retry-After", fmt.Sprint(c.retryAfter.Seconds()))
				client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: 0.25})
				ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
				defer cancel()
				for range 3 {
					_, err := client.Instance(ctx)
					var refusal *clerkapi.Error
					require.ErrorAs(t, err, &refusal)
					require.ErrorIs(t, err, clerkapi.ErrRateLimited)
					require.Equal(t, c.retryAfter, refusal.RetryAfter)
				}
				require.Equal(t, began, time.Now(), "at once")
				require.Len(t, w.times(), 1)
			})
		})
	}
}

func TestRetry_TimeOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(n int, req *http.Request) (*http.Response, error) {
			if n == 1 {
				return hang(req)
			}
			return reply(http.StatusOK, okInstance), nil
		}}
		_, err := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound}).Instance(t.Context())
		require.NoError(t, err)
		sent := w.times()
		require.GreaterOrEqual(t, sent[1].Sub(sent[0]), 10*time.Second)
		require.Less(t, sent[1].Sub(sent[0]), 11*time.Second)
	})
}

func TestRetry_CallerGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{answer: func(_ int, req *http.Request) (*http.Response, error) { return hang(req) }}
		client := newClient(t, clerkapi.Config{Transport: w, CallsPerSecond: unbound})

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Instance(ctx)
		require.ErrorIs(t, err, clerkapi.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = client.Instance(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, clerkapi.ErrUnavailable, "it says nothing about Clerk")
		require.Len(t, w.times(), 2)
	})
}

// TestRetry_TruncatedOnTheWire has the fault on a real connection.
func TestRetry_TruncatedOnTheWire(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(list("0")))
	}))
	t.Cleanup(server.Close)
	client := newClient(t, clerkapi.Config{URL: server.URL, Transport: &http.Transport{}})
	_, err := client.List(clerkapi.Interactive(t.Context(), clerkapi.ForStranger), clerksync.ResourceRole, clerksync.PageRequest{Limit: 1})
	require.ErrorIs(t, err, clerkapi.ErrUnavailable)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
