package clerkapi

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Calls per second that the budget has by default: a fifth of Clerk's limits, which are 100 calls in 10 s for a
// development instance and 1000 for a production instance (clerk.com, "Rate limits"). The rest is the application's.
const (
	developmentRate = 100.0 / 10 / 5
	productionRate  = 1000.0 / 10 / 5
)

const (
	// interactiveShare is what part of the budget interactive calls may take: a sweep keeps going beside them.
	interactiveShare = 0.5
	// interactiveBurst is how many interactive calls may be made at once, or, with a higher rate, as many as it lets in within two
	// seconds. Six strangers may knock at once; the others are for commands (see Purpose.left).
	interactiveBurst = 20
	// maxPause is how long a background call waits for the end of a pause. Its caller can put off work for longer
	// without holding anything.
	maxPause = 30 * time.Second
)

// budget says when a call may be sent.
type budget struct {
	shared      *rate.Limiter // of all calls; may be in debt to interactive ones
	interactive *rate.Limiter
	fixed       bool // whether the rate was configured

	mu          sync.Mutex
	saved       float64   // interactive calls that are kept for what has begun
	pausedUntil time.Time // after a 429: no background call before
}

func newBudget(callsPerSecond float64) *budget {
	fixed := callsPerSecond > 0
	if !fixed {
		callsPerSecond = developmentRate
	}
	return &budget{
		shared:      rate.NewLimiter(rate.Limit(callsPerSecond), burst(callsPerSecond)),
		interactive: rate.NewLimiter(rate.Limit(callsPerSecond*interactiveShare), knocks(callsPerSecond)),
		fixed:       fixed,
	}
}

// burst is a second's worth of calls, so that a caller that was slow for a moment catches up.
func burst(callsPerSecond float64) int { return max(1, int(math.Ceil(callsPerSecond))) }

func knocks(callsPerSecond float64) int {
	return max(interactiveBurst, burst(2*callsPerSecond*interactiveShare))
}

// fit sets the rate by the kind of the instance, unless a rate was configured.
func (b *budget) fit(environment string) {
	switch {
	case b.fixed:
	case environment == environmentProduction:
		b.setRate(productionRate)
	default:
		b.setRate(developmentRate)
	}
}

func (b *budget) setRate(callsPerSecond float64) {
	b.shared.SetLimit(rate.Limit(callsPerSecond))
	b.shared.SetBurst(burst(callsPerSecond))
	b.interactive.SetLimit(rate.Limit(callsPerSecond * interactiveShare))
	b.interactive.SetBurst(knocks(callsPerSecond))
}

// admit takes one token for a call. A background call waits for it, and for the end of a pause. An interactive call
// never waits.
func (b *budget) admit(ctx context.Context) error {
	if i := interactiveOf(ctx); i != nil {
		return b.admitInteractive(i)
	}
	if err := b.waitForPause(ctx); err != nil {
		return err
	}
	if err := b.shared.Wait(ctx); err != nil {
		if ended := ctx.Err(); ended != nil {
			return ended
		}
		return fmt.Errorf("the budget has no call left before: %w", context.DeadlineExceeded)
	}
	return b.waitForPause(ctx) // it may have begun meanwhile
}

func (b *budget) admitInteractive(i *interactive) error {
	if left := b.pauseLeft(); left > 0 {
		return rateLimited("Clerk asked to wait", left)
	}
	if missing := b.takeInteractive(i); missing > 0 {
		wait := time.Duration(missing / float64(b.interactive.Limit()) * float64(time.Second))
		return rateLimited("the budget for interactive calls has none left", wait)
	}
	b.shared.Reserve() // without waiting for it: the next background call waits longer
	return nil
}

// takeInteractive takes a token, or returns how many are missing. What begins must leave enough for what goes before it, and find
// enough for all its calls, which are kept for it until it ends: else calls would be spent on what can't be brought to its end.
func (b *budget) takeInteractive(i *interactive) (missing float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	need, free := 1.0, b.interactive.Tokens()-(b.saved-i.saved)
	if !i.begun {
		need = i.purpose.calls() + i.purpose.left()
	}
	if missing := need - free; missing > 0 {
		return missing
	}
	if !i.begun {
		i.begun, i.saved = true, i.purpose.calls()
		b.saved += i.saved
		i.atEnd(func() { b.giveBack(i) })
	}
	if i.saved > 0 {
		i.saved--
		b.saved--
	}
	b.interactive.Allow()
	return 0
}

// giveBack frees the calls that were kept for what has ended.
func (b *budget) giveBack(i *interactive) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saved, i.saved = b.saved-i.saved, 0
}

// pause holds all background calls for a while. A shorter pause doesn't end a longer one.
func (b *budget) pause(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(d); until.After(b.pausedUntil) {
		b.pausedUntil = until
	}
}

func (b *budget) pauseLeft() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.pausedUntil)
}

func (b *budget) waitForPause(ctx context.Context) error {
	for {
		left := b.pauseLeft()
		if left <= 0 {
			return nil
		}
		if !worthWaiting(ctx, left) {
			return rateLimited("Clerk asked to wait", left)
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// worthWaiting reports whether d is short enough to wait for, and over before ctx ends.
func worthWaiting(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	return d <= maxPause
}
