package clerkapi

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

const (
	maxAttempts = 3
	// The delays before the second and the third attempt are 0.5 s and 1 s, each give or take half:
	// a server behind a load balancer restarts in about that time. The budget's pause keeps a
	// Retry-After exactly.
	firstDelay  = 500 * time.Millisecond
	maxDelay    = time.Second
	delayJitter = 0.5
)

// retrier sends a request until it succeeds or may not be sent again.
type retrier struct {
	policy retrypolicy.RetryPolicy[*http.Response]
	next   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	return failsafe.With(r.policy).WithContext(req.Context()).GetWithExecution(
		func(exec failsafe.Execution[*http.Response]) (*http.Response, error) {
			if exec.IsFirstAttempt() || req.GetBody == nil {
				return r.next.RoundTrip(req)
			}
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			again := req.Clone(req.Context())
			again.Body = body
			return r.next.RoundTrip(again)
		})
}

// newRetryPolicy tries again what [gate] says may be.
//
//nolint:bodyclose // no response comes from here
func newRetryPolicy() retrypolicy.RetryPolicy[*http.Response] {
	return retrypolicy.NewBuilder[*http.Response]().
		HandleIf(func(_ *http.Response, err error) bool {
			failure, ok := errors.AsType[*Error](err)
			return ok && failure.retry
		}).
		WithMaxAttempts(maxAttempts).
		WithBackoff(firstDelay, maxDelay).
		WithJitterFactor(delayJitter).
		ReturnLastFailure().
		Build()
}

// mayRetry decides whether a failed call may be sent again. A write may not if Clerk could have
// carried it out.
func mayRetry(req *http.Request, e *Error) bool {
	if interactiveOf(req.Context()) != nil || !worthWaiting(req.Context(), e.RetryAfter) {
		return false
	}
	if e.Status == http.StatusTooManyRequests || neverSent(e) {
		return true
	}
	return req.Method == http.MethodGet && errors.Is(e, ErrUnavailable)
}

// neverSent reports whether the attempt failed before there was a connection.
func neverSent(err error) bool {
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "dial"
}
