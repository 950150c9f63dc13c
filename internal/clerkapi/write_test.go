package clerkapi

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/stretchr/testify/require"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func answerOf(status int, body string) *http.Response {
	recorder := httptest.NewRecorder()
	recorder.WriteHeader(status)
	_, _ = recorder.WriteString(body)
	return recorder.Result()
}

// TestWrite_IsNotRepeated if Clerk may have carried it out already: a second invitation could be
// sent.
func TestWrite_IsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail     func() (*http.Response, error)
		attempts int
	}{
		"refused for now": {func() (*http.Response, error) { return answerOf(429, ""), nil }, 3},
		"no connection": {func() (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}, 3},
		"lost on the way": {func() (*http.Response, error) {
			return nil, &net.OpError{Op: "read", Err: errors.New("connection reset")}
		}, 1},
		"server error": {func() (*http.Response, error) { return answerOf(500, ""), nil }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				client, err := New(Config{
					SecretKey: "sk_test_1", CallsPerSecond: 100, Logger: slog.New(slog.DiscardHandler),
					Transport: roundTrip(func(*http.Request) (*http.Response, error) {
						attempts++
						return c.fail()
					}),
				})
				require.NoError(t, err)
				request := clerk.NewAPIRequest(http.MethodPost, "/organizations")
				require.Error(t, client.backend.Call(t.Context(), request, &answer{}))
				require.Equal(t, c.attempts, attempts)
			})
		})
	}
}

// TestWrite_ForbiddenDoesNotBlameTheKey: a 403 is about a list that the instance doesn't have, or
// about the last admin of an organization. A 403 without a reason isn't Clerk's.
func TestWrite_ForbiddenDoesNotBlameTheKey(t *testing.T) {
	t.Parallel()
	require.NoError(t, kindOf(http.StatusForbidden, "organization_minimum_permissions_needed"))
	require.ErrorIs(t, kindOf(http.StatusForbidden, ""), ErrMalformed)
	require.ErrorIs(t, kindOf(http.StatusUnauthorized, "x"), ErrUnauthorized)
}
