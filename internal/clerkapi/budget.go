package clerkapi

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The calls that Clerk accepts from an instance in one window (clerk.com, "Rate limits"). The
// customer's application shares them.
const (
	developmentLimit = 100
	productionLimit  = 1000
)

const (
	// backgroundShare is the part of Clerk's limit that background calls use, unless a rate is
	// configured. The rest is for the application and for interactive calls.
	backgroundShare = 0.2
	// backgroundReach is how much of Clerk's limit may be used while background calls are sent.
	// Above it they wait, and only interactive calls are sent.
	backgroundReach = 0.6
	// commandReach is how much of Clerk's limit all calls together may use. The rest is for calls
	// that reach Clerk late and count in its next window.
	commandReach = 0.95
	// strangersShare is the part of the background rate that look-ups of strangers may use.
	// Strangers must not use up the calls of the application and of members. Sweeps leave at most
	// the same part to interactive calls, and keep the other half.
	strangersShare = 0.5
	// strangersBurst is how many calls for strangers may be made at once: enough for six strangers.
	// At a higher rate, a second's worth may be made at once.
	strangersBurst = 12
	// chargedBurst is how many interactive calls at once are charged to background calls, which
	// wait for as many turns.
	chargedBurst = 20
	// maxWait is the longest pause whose end a background call waits for. In a longer pause the
	// call fails at once, so that its caller puts the work off and holds nothing meanwhile.
	maxWait = 30 * time.Second
)

// budget says when a call may be sent.
type budget struct {
	shared     *rate.Limiter // of background calls; interactive calls may take turns in advance
	strangers  *rate.Limiter
	charged    *rate.Limiter // of interactive calls that are charged to background calls
	configured float64       // background calls per second; 0 for a share of Clerk's limit
	leases     *leases       // nil if no other client shares the budget

	mu     sync.Mutex
	limit  float64 // calls that Clerk takes in one window
	fitted bool    // Clerk told the kind of the instance
	sent   window
	saved  savings
	pauses pauses

	throttled int64                 // calls ever that Clerk answered with 429
	refused   [ForRemoval + 1]int64 // calls ever that weren't admitted, by purpose
}

// savings are calls that are kept for interactive work that has begun.
type savings struct{ all, strangers float64 }

func newBudget(callsPerSecond float64, shared *leases) *budget {
	b := &budget{configured: callsPerSecond, limit: developmentLimit, leases: shared}
	r := b.callsPerSecond(developmentLimit)
	b.shared = rate.NewLimiter(rate.Limit(r), burst(1, r))
	b.strangers = rate.NewLimiter(rate.Limit(r*strangersShare), burst(strangersBurst, r))
	b.charged = rate.NewLimiter(rate.Limit(r*strangersShare), burst(chargedBurst, r))
	b.setLimit(developmentLimit)
	return b
}

// callsPerSecond is the rate of background calls if Clerk accepts limit calls in one window.
func (b *budget) callsPerSecond(limit float64) float64 {
	if b.configured > 0 {
		return b.configured
	}
	return limit * backgroundShare / clerksWindow.Seconds()
}

// burst is at least a second's worth of calls, so that a caller that was slow for a moment catches
// up.
func burst(least int, callsPerSecond float64) int { return max(least, int(math.Ceil(callsPerSecond))) }

// fit sets the limit by the kind of the instance.
func (b *budget) fit(environment string) {
	if environment == environmentProduction {
		b.setLimit(productionLimit)
	} else {
		b.setLimit(developmentLimit)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fitted = true
}

// setLimit sets how many calls Clerk accepts, and the rates that follow from it. A configured rate
// above our share of that limit says that Clerk accepts more calls of this instance. The limit is
// then raised until the configured rate is our share of it.
func (b *budget) setLimit(calls float64) {
	r := b.callsPerSecond(calls)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = max(calls, r/backgroundShare*clerksWindow.Seconds())
	b.shared.SetLimit(rate.Limit(r))
	b.shared.SetBurst(burst(1, r))
	b.strangers.SetLimit(rate.Limit(r * strangersShare))
	b.strangers.SetBurst(burst(strangersBurst, r))
	b.charged.SetLimit(rate.Limit(r * strangersShare))
	b.charged.SetBurst(burst(chargedBurst, r))
}

// admit returns once a call may be sent. A background call waits for its turn and for the end of a
// pause. An interactive call never waits.
func (b *budget) admit(ctx context.Context) error {
	err := b.await(ctx)
	if err != nil && ctx.Err() == nil {
		b.countRefusal(purposeOf(ctx))
	}
	return err
}

func (b *budget) await(ctx context.Context) error {
	if i := interactiveOf(ctx); i != nil {
		return b.admitInteractive(ctx, i)
	}
	if err := b.waitForPause(ctx); err != nil {
		return err
	}
	if err := b.shared.Wait(ctx); err != nil {
		return noCallLeft(ctx)
	}
	for {
		if err := b.waitForPause(ctx); err != nil { // it may have begun meanwhile
			return err
		}
		taken, wait, err := b.takeBackground(ctx)
		if taken || err != nil {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return noCallLeft(ctx)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// noCallLeft is the error of a call whose turn comes after its context ends.
func noCallLeft(ctx context.Context) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return fmt.Errorf("the budget has no call left before: %w", context.DeadlineExceeded)
}

// takeBackground takes a call, or returns how long to wait because other calls leave none.
func (b *budget) takeBackground(ctx context.Context) (taken bool, wait time.Duration, err error) {
	if taken, wait = b.takeOwn(); taken || wait > 0 {
		return taken, wait, nil
	}
	return b.leaseBackground(ctx)
}

// takeOwn takes a call that no other client can use. If it returns neither a call nor a wait, a
// call must be leased first.
func (b *budget) takeOwn() (taken bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if missing := float64(b.sent.used(now)) + b.saved.all + 1 - b.limit*backgroundReach; missing > 0 {
		return false, b.sent.until(int(math.Ceil(missing)), now)
	}
	if b.leases != nil && !b.leases.takeBackground(now) {
		return false, 0
	}
	b.sent.add(now)
	return true, 0
}

func (b *budget) waitForPause(ctx context.Context) error {
	for {
		left := b.pauseLeft(background)
		if left <= 0 {
			return nil
		}
		if !worthWaiting(ctx, left) {
			return rateLimited("Clerk asked to wait", left)
		}
		if err := sleep(ctx, left); err != nil {
			return err
		}
	}
}

func (b *budget) pauseLeft(of Purpose) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pauses.left(of, time.Now())
}

// pause delays the calls of a purpose, and less urgent calls, for as long as Clerk asks, up to the
// longest pause of each purpose. It returns the pause of the given purpose.
func (b *budget) pause(of Purpose, asked time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.pauses.begin(of, now, asked)
	if b.leases != nil {
		b.leases.news.begin(of, now, asked)
		b.leases.tell(b, 0)
	}
	return min(asked, of.longestPause())
}

// worthWaiting reports whether d is short enough to wait for, and over before ctx ends.
func worthWaiting(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	return d <= maxWait
}

// sleep waits for d, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
