package clerkapi

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	// breakerThreshold is how many attempts in a row must fail before Clerk counts as down. It is
	// more than the attempts of one call.
	breakerThreshold = 5
	// breakerDelay is how long nothing is sent then, before one call tries whether Clerk is back.
	breakerDelay = 10 * time.Second
	// patience is how long an attempt must have taken before its caller's deadline counts as
	// Clerk's failure.
	patience = 250 * time.Millisecond
)

// breaker stops calls while Clerk is down. It records results itself: the library's policy would
// count an attempt as a success when its caller gave up.
type breaker struct {
	circuit circuitbreaker.CircuitBreaker[any]
}

func newBreaker(logger *slog.Logger) *breaker {
	return &breaker{circuit: circuitbreaker.NewBuilder[any]().
		WithFailureThreshold(breakerThreshold).
		WithSuccessThreshold(1).
		WithDelay(breakerDelay).
		OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
			level := slog.LevelInfo
			if e.NewState == circuitbreaker.OpenState {
				level = slog.LevelWarn
			}
			logger.Log(context.Background(), level, "circuit breaker for Clerk changed",
				"from", e.OldState.String(), "to", e.NewState.String())
		}).
		Build()}
}

// refused returns an error while the breaker is open. Unlike acquire, it takes no permit.
func (b *breaker) refused() error {
	if b.circuit.IsOpen() && b.circuit.RemainingDelay() > 0 {
		return b.open()
	}
	return nil
}

// acquire returns an error unless a call may be sent now. Every call that it admits must be
// recorded.
func (b *breaker) acquire() error {
	if !b.circuit.TryAcquirePermit() {
		return b.open()
	}
	return nil
}

func (b *breaker) open() *Error {
	return &Error{
		Message: "the circuit breaker is open", RetryAfter: b.circuit.RemainingDelay(),
		kind: ErrUnavailable, cause: circuitbreaker.ErrOpen,
	}
}

// record judges an attempt. Any answer below 500, also a 429, shows that Clerk works.
func (b *breaker) record(err error, took time.Duration) {
	switch {
	case errors.Is(err, ErrUnavailable):
		b.circuit.RecordFailure()
	case errors.Is(err, context.DeadlineExceeded) && took >= patience:
		b.circuit.RecordFailure()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// The attempt shows nothing, but the permit of a trial must be given back.
		if b.circuit.IsHalfOpen() {
			b.circuit.RecordFailure()
		}
	default:
		b.circuit.RecordSuccess()
	}
}
