package svixsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// RetrySchedule returns when Svix makes its eight attempts, each counted from the failure of the
// one before: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h.
func RetrySchedule() []time.Duration {
	return []time.Duration{
		0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
	}
}

// CourierConfig describes a [Courier].
type CourierConfig struct {
	// Endpoints are where every message is sent. [Courier.Add] adds more.
	Endpoints []Endpoint

	// Transport makes the requests, over the network or into a handler. Defaults to one of its own,
	// whose connections [Courier.Close] ends.
	Transport http.RoundTripper

	// Now stamps the attempts. A receiver refuses a stamp more than five minutes off its own clock.
	// Defaults to time.Now.
	Now func() time.Time

	// Schedule is the wait before each attempt; its length is the number of attempts. Defaults to
	// [RetrySchedule].
	Schedule []time.Duration

	// Speed divides every wait: 3600 turns an hour into a second. It also divides the five days
	// after which an endpoint is disabled. Defaults to 1.
	Speed float64

	// Wait waits, or pretends to: a test can return at once, or move its clock. It gets the wait
	// after Speed and returns the context's error if that ends first. Defaults to a timer.
	Wait func(ctx context.Context, wait time.Duration) error

	// Observe is called with every attempt after it ended, also by several goroutines at once.
	// Defaults to no call.
	Observe func(Attempt)

	// Taken is called with each message that [Courier.Run] takes over, before its first attempt, in
	// the order of the changes. It must not call the courier. Defaults to no call.
	Taken func(message clerksim.Message)

	// Progress is called for each endpoint of a message that [Courier.Run] took over. The outcome is
	// Waiting before the first attempt; after Run's last attempt, it is the final one. Progress must
	// not call the courier. A message that is dropped before there is an endpoint counts as the
	// first one's. Defaults to no call.
	Progress func(messageID string, endpoint int, outcome Outcome)

	// Logger gets one line for each attempt that failed, without the body. Defaults to one that
	// discards.
	Logger *slog.Logger
}

func (c CourierConfig) withDefaults() CourierConfig {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Schedule == nil {
		c.Schedule = RetrySchedule()
	}
	if c.Speed == 0 {
		c.Speed = 1
	}
	if c.Wait == nil {
		c.Wait = waitForTimer
	}
	if c.Observe == nil {
		c.Observe = func(Attempt) {}
	}
	if c.Taken == nil {
		c.Taken = func(clerksim.Message) {}
	}
	if c.Progress == nil {
		c.Progress = func(string, int, Outcome) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c CourierConfig) validate() error {
	var errs []error
	if len(c.Schedule) == 0 {
		errs = append(errs, errors.New("empty Schedule, want at least one attempt"))
	}
	if c.Speed <= 0 || math.IsNaN(c.Speed) || math.IsInf(c.Speed, 1) {
		errs = append(errs, fmt.Errorf("invalid Speed %v, want a positive number", c.Speed))
	}
	return errors.Join(errs...)
}

func waitForTimer(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
