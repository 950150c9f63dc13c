package clerkapi

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// gate lets an attempt through if breaker and budget agree, and tells both its result.
type gate struct {
	budget  *budget
	breaker *breaker
	logger  *slog.Logger
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. An [*Error] that it returns says whether the call may
// be tried again.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	// The breaker is asked twice. It is asked before the budget, so that an open breaker costs no
	// call of the budget. The permit is taken after it, so that no trial holds its permit while it
	// waits for the budget.
	if err := g.breaker.refused(); err != nil {
		return nil, err
	}
	if err := g.budget.admit(req.Context()); err != nil {
		return nil, err
	}
	if err := g.breaker.acquire(); err != nil {
		return nil, err
	}
	began := time.Now()
	resp, err := g.next.RoundTrip(req)
	g.breaker.record(err, time.Since(began))
	if refusal, ok := errors.AsType[*Error](err); ok {
		g.slowDown(req, refusal)
		refusal.retry = mayRetry(req, refusal)
	}
	return resp, err
}

// slowDown pauses calls if Clerk asks for it. The error then says how long calls of this purpose
// pause.
func (g *gate) slowDown(req *http.Request, refusal *Error) {
	if refusal.Status == http.StatusTooManyRequests {
		g.budget.countThrottled()
		if refusal.RetryAfter == 0 {
			refusal.RetryAfter = pauseWithoutHint
		}
	}
	if refusal.RetryAfter == 0 || req.Method != http.MethodGet {
		return // writes have limits of their own, of up to an hour
	}
	asked := refusal.RetryAfter
	refusal.RetryAfter = g.budget.pause(purposeOf(req.Context()), asked)
	g.logger.WarnContext(req.Context(), "Clerk asks to slow down", "status", refusal.Status, "code", refusal.Code,
		"clerk_trace_id", refusal.TraceID, "retry_after", asked, "pause", refusal.RetryAfter)
}
