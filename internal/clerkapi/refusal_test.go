package clerkapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestError_KeepsWhatClerkSays(t *testing.T) {
	t.Parallel()
	const body = `{"errors":[{"code":"plan_too_small","message":"no plan"},{"code":"x"}],"clerk_trace_id":"trace_7"}`
	_, err := answering(t, http.StatusPaymentRequired, body).Instance(t.Context())
	var refusal *clerkapi.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, http.StatusPaymentRequired, refusal.Status)
	require.Equal(t, "plan_too_small", refusal.Code)
	require.Equal(t, "no plan", refusal.Message)
	require.Equal(t, "trace_7", refusal.TraceID)
	require.EqualError(t, err, "ask for instance: status 402 plan_too_small no plan (trace trace_7)")
	for _, sentinel := range []error{
		clerkapi.ErrUnauthorized, clerkapi.ErrUnavailable, clerkapi.ErrRateLimited, clerkapi.ErrMalformed,
	} {
		require.NotErrorIs(t, err, sentinel)
	}
}

func TestError_OfABodyThatIsNotJSON(t *testing.T) {
	t.Parallel()
	_, err := answering(t, http.StatusNotFound, "<html>\n"+strings.Repeat("ä", 5000)).Instance(t.Context())
	var refusal *clerkapi.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, http.StatusNotFound, refusal.Status)
	require.LessOrEqual(t, len(refusal.Message), 200)
	require.True(t, strings.HasPrefix(refusal.Message, "<html> ä"), refusal.Message)
}

func TestError_UnauthorizedNamesTheSetting(t *testing.T) {
	t.Parallel()
	world := newWorld(t, clerksim.Config{})
	server := httptest.NewServer(world.Handler())
	t.Cleanup(server.Close)
	client := newClient(t, clerkapi.Config{URL: server.URL + "/v1", Transport: &http.Transport{}, SecretKey: "sk_test_other"})
	_, err := client.List(t.Context(), clerksync.ResourceMembership, clerksync.PageRequest{Limit: 1})
	require.ErrorIs(t, err, clerkapi.ErrUnauthorized)
	require.ErrorContains(t, err, "CLERK_SECRET_KEY")
}

// TestCall_RedirectIsNotFollowed: it could hand the key to any host.
func TestCall_RedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	w := always(http.StatusTemporaryRedirect, "", "Location", "https://elsewhere.callmine.test/v1/instance")
	_, err := newClient(t, clerkapi.Config{Transport: w}).Instance(t.Context())
	require.ErrorIs(t, err, clerkapi.ErrMalformed)
	require.Len(t, w.times(), 1)
}

// TestError_NeverHoldsTheSecretKey, nor does a log, even if the other side repeats it.
func TestError_NeverHoldsTheSecretKey(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(req *http.Request) (*http.Response, error){
		"echo": func(req *http.Request) (*http.Response, error) {
			return reply(400, req.Header.Get("Authorization")), nil
		},
		"cut in half": func(*http.Request) (*http.Response, error) {
			return reply(400, strings.Repeat(" ", 190)+secretKey), nil
		},
		"as a code": func(*http.Request) (*http.Response, error) {
			return reply(403, fmt.Sprintf(`{"errors":[{"code":%q,"message":%[1]q}],"clerk_trace_id":%[1]q}`, secretKey)), nil
		},
		"server error": func(*http.Request) (*http.Response, error) { return reply(500, secretKey), nil },
		"rate limit": func(*http.Request) (*http.Response, error) {
			return reply(429, secretKey, "Retry-After", secretKey, "Clerk-Trace-Id", secretKey), nil
		},
		"transport":  func(*http.Request) (*http.Response, error) { return nil, errors.New("dial with " + secretKey) },
		"good, bad":  func(*http.Request) (*http.Response, error) { return reply(200, `"`+secretKey+`"`), nil },
		"not JSON":   func(*http.Request) (*http.Response, error) { return reply(200, secretKey), nil },
		"wrong type": func(*http.Request) (*http.Response, error) { return reply(200, `{"id":{"`+secretKey+`":1}}`), nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var logged bytes.Buffer
				client := newClient(t, clerkapi.Config{
					Transport: &wire{answer: func(_ int, req *http.Request) (*http.Response, error) { return answer(req) }},
					Logger:    slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
				})
				for range 6 { // until the breaker opens
					_, err := client.Instance(t.Context())
					require.Error(t, err)
					require.NotContains(t, fmt.Sprintf("%v %+v %s", err, err, err), "neverShow")
				}
				require.NotContains(t, logged.String(), "neverShow")
			})
		})
	}
}

// TestError_RetryAfterOfEitherForm: whatever the header says, a call of each purpose pauses no
// longer than its limit.
func TestError_RetryAfterOfEitherForm(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, c := range map[string]struct {
		header                          string
		background, strangers, commands time.Duration
	}{
		"none":         {"", 2 * second, 2 * second, 2 * second},
		"seconds":      {"7", 7 * second, 7 * second, 5 * second},
		"with blanks":  {" 4 ", 4 * second, 4 * second, 4 * second},
		"a minute":     {"60", 60 * second, 10 * second, 5 * second},
		"a date":       {"Sat, 01 Jan 2000 00:02:00 GMT", 60 * second, 10 * second, 5 * second}, // bubbles begin with the year 2000
		"a near date":  {"Sat, 01 Jan 2000 00:00:03 GMT", 3 * second, 3 * second, 3 * second},
		"a past date":  {"Fri, 31 Dec 1999 00:00:00 GMT", 2 * second, 2 * second, 2 * second},
		"a far date":   {"Fri, 31 Dec 9999 23:59:59 GMT", 60 * second, 10 * second, 5 * second},
		"nonsense":     {"soon", 2 * second, 2 * second, 2 * second},
		"a fraction":   {"1.5", 2 * second, 2 * second, 2 * second},
		"nothing":      {"0", 2 * second, 2 * second, 2 * second},
		"negative":     {"-5", 2 * second, 2 * second, 2 * second},
		"far too much": {"99999999999999999999", 60 * second, 10 * second, 5 * second},
		"an hour":      {"3600", 60 * second, 10 * second, 5 * second},
		"a year":       {"31536000", 60 * second, 10 * second, 5 * second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for purpose, want := range map[clerkapi.Purpose]time.Duration{
				0: c.background, clerkapi.ForStranger: c.strangers, clerkapi.ForCommand: c.commands, clerkapi.ForRemoval: c.commands,
			} {
				synctest.Test(t, func(t *testing.T) {
					w := always(http.StatusTooManyRequests, tooMany, "Retry-After", c.header)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second) // too short for any pause
					defer cancel()
					if purpose != 0 {
						ctx = clerkapi.Interactive(ctx, purpose)
					}
					_, err := newClient(t, clerkapi.Config{Transport: w}).Instance(ctx)
					var refusal *clerkapi.Error
					require.ErrorAs(t, err, &refusal)
					require.ErrorIs(t, err, clerkapi.ErrRateLimited)
					require.Equal(t, want, refusal.RetryAfter)
				})
			}
		})
	}
}
