package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

// transport answers requests without a network, so that a test's clock counts.
type transport func(*http.Request) (status int, header http.Header, body io.Reader, err error)

// RoundTrip implements [http.RoundTripper].
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header, body, err := f(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body), Request: r}, nil
}

const emptyPage = `{"data":[],"next_cursor":"c0","complete_until":"2026-01-02T03:05:00Z"}`

// timed follows a transport until it has been asked often enough, and returns when each question
// came.
func timed(t *testing.T, questions int, answer transport) (after []time.Duration, failures []error) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := client.New(client.Config{
		URL: "http://rolecall.test", ServiceToken: serviceToken,
		HTTPClient: &http.Client{Timeout: time.Second, Transport: transport(func(r *http.Request) (int, http.Header, io.Reader, error) {
			after = append(after, time.Since(began))
			if len(after) == questions {
				cancel()
			}
			return answer(r)
		})},
	})
	require.NoError(t, err)
	o := client.FollowOptions{After: "c0", Failed: func(err error) { failures = append(failures, err) }}
	for _, err := range c.Follow(ctx, o) {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	return after, failures
}

// TestFollow_GivesASilentServerUp: after the wait and a grace, whatever HTTPClient's own time-out
// is.
func TestFollow_GivesASilentServerUp(t *testing.T) {
	t.Parallel()
	for what, silent := range map[string]transport{
		"no answer": func(r *http.Request) (int, http.Header, io.Reader, error) {
			<-r.Context().Done()
			return 0, nil, nil, r.Context().Err()
		},
		"half an answer": func(r *http.Request) (int, http.Header, io.Reader, error) {
			return http.StatusOK, nil, io.MultiReader(strings.NewReader(emptyPage[:20]), reader(func() (int, error) {
				<-r.Context().Done()
				return 0, r.Context().Err()
			})), nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				after, failures := timed(t, 4, func(r *http.Request) (int, http.Header, io.Reader, error) {
					asked++
					if asked == 1 {
						return http.StatusOK, nil, strings.NewReader(emptyPage), nil
					}
					return silent(r)
				})
				require.Zero(t, after[1])
				require.InDelta(t, 25, (after[2] - after[1]).Seconds(), 0.1, "15 s of wait, 10 s of grace")
				require.Len(t, failures, 2)
				require.ErrorContains(t, failures[0], "didn't end in time")
			})
		})
	}
}

type reader func() (int, error)

// Read implements [io.Reader].
func (f reader) Read([]byte) (int, error) { return f() }

// TestFollow_SparesAServerThatIsAway: tries become rarer, and Retry-After counts up to a minute.
func TestFollow_SparesAServerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		after, failures := timed(t, 100, func(*http.Request) (int, http.Header, io.Reader, error) {
			return 0, nil, nil, errors.New("connection refused")
		})
		require.Len(t, failures, 99)
		require.Less(t, after[1], 51*time.Millisecond)
		for i := 50; i < 100; i++ {
			require.InDelta(t, 1.5, (after[i] - after[i-1]).Seconds(), 0.51)
		}
	})
	for header, seconds := range map[string]float64{"7": 7, "Mon, 03 Jan 2000 00:00:00 GMT": 60, "99999999999999999999": 0, "999999999": 60} {
		synctest.Test(t, func(t *testing.T) { // its clock begins on 2000-01-01
			after, _ := timed(t, 2, func(*http.Request) (int, http.Header, io.Reader, error) {
				return http.StatusServiceUnavailable, http.Header{"Retry-After": {header}}, strings.NewReader(""), nil
			})
			require.InDelta(t, seconds, (after[1] - after[0]).Seconds(), 0.1, header)
		})
	}
}

// TestFollow_SparesAServerThatDoesNotWait: empty pages at once aren't asked for all the time.
func TestFollow_SparesAServerThatDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		after, failures := timed(t, 50, func(*http.Request) (int, http.Header, io.Reader, error) {
			return http.StatusOK, nil, strings.NewReader(emptyPage), nil
		})
		require.Empty(t, failures)
		require.Zero(t, after[1])
		require.Greater(t, after[49]-after[40], 8*time.Second)
	})
}
