package svixsim

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// lane holds the messages for one endpoint that wait for their first attempt, in the order in which
// they were emitted.
type lane struct {
	woken chan struct{} // has room for one

	mu      sync.Mutex
	waiting []waiting
}

// waiting is a message in a lane.
type waiting struct {
	message clerksim.Message
	since   time.Time
}

func newLane() *lane { return &lane{woken: make(chan struct{}, 1)} }

func (l *lane) add(message clerksim.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, waiting{message: message, since: time.Now()})
	l.wake()
}

func (l *lane) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// due takes the messages whose time has come. next is when to look again; below 0 is when the lane
// is woken. A message that nothing follows has the given patience.
func (l *lane) due(faults LiveFaults, now time.Time, patience time.Duration) (taken []clerksim.Message, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.waiting) && now.Sub(l.waiting[n].since) >= faults.Delay {
		n++
	}
	if faults.Reorder && n == 1 {
		if alone := now.Sub(l.waiting[0].since) - faults.Delay; alone < patience {
			return nil, l.nextAfter(n, faults.Delay, now, patience-alone)
		}
	}
	for _, w := range l.waiting[:n] {
		taken = append(taken, w.message)
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
	return taken, l.nextAfter(0, faults.Delay, now, -1)
}

// nextAfter is when the message behind the first n is due, and at the latest after a limit; a
// negative limit is none.
func (l *lane) nextAfter(n int, delay time.Duration, now time.Time, limit time.Duration) time.Duration {
	if n >= len(l.waiting) {
		return limit
	}
	next := max(0, delay-now.Sub(l.waiting[n].since))
	if limit >= 0 {
		return min(next, limit)
	}
	return next
}

// serve sends what comes into an endpoint's lane, until ctx ends.
func (c *Courier) serve(ctx context.Context, endpoint int, r *receiver) {
	for ctx.Err() == nil {
		faults := c.Faults()
		faults.Delay = c.scaled(faults.Delay)
		messages, next := r.lane.due(faults, time.Now(), c.scaled(overtakePatience))
		if faults.Reorder {
			c.underWay.Go(func() { c.sendReversed(ctx, endpoint, messages) })
		} else {
			for _, message := range messages {
				c.underWay.Go(func() { c.deliverLive(ctx, endpoint, message, func() {}) })
			}
		}
		pause(ctx, r.lane.woken, next)
	}
}

// sendReversed begins with the last message. Each waits for the end of the first attempt before it,
// but not long for an endpoint that hangs.
func (c *Courier) sendReversed(ctx context.Context, endpoint int, messages []clerksim.Message) {
	for _, message := range slices.Backward(messages) {
		tried := make(chan struct{})
		c.underWay.Go(func() { c.deliverLive(ctx, endpoint, message, sync.OnceFunc(func() { close(tried) })) })
		pause(ctx, tried, c.scaled(overtakePatience))
	}
}

// pause waits for a time, below 0 for ever, or until it is woken or ctx ends.
func pause(ctx context.Context, woken <-chan struct{}, wait time.Duration) {
	var over <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-woken:
	case <-over:
	case <-ctx.Done():
	}
}

// deliverLive makes attempts until one is acknowledged, the schedule or ctx ends, or the endpoint
// is disabled. It calls tried after each time.
func (c *Courier) deliverLive(ctx context.Context, endpoint int, message clerksim.Message, tried func()) {
	number := 0
	for i, wait := range c.cfg.Schedule {
		if wait > 0 && c.wait(ctx, wait) != nil {
			return
		}
		if i > 0 && c.receiver(endpoint).has(message) { // it was recovered meanwhile
			c.cfg.Progress(message.ID, endpoint, Delivered)
			return
		}
		outcome := c.attemptLive(ctx, endpoint, message, &number)
		tried()
		if i == 0 && c.Faults().Repeat {
			for range repeats {
				outcome = min(outcome, c.attemptLive(ctx, endpoint, message, &number))
			}
		}
		if ctx.Err() != nil {
			return
		}
		if outcome != Failed {
			c.cfg.Progress(message.ID, endpoint, outcome)
			return
		}
	}
	c.cfg.Progress(message.ID, endpoint, Failed)
}

// attemptLive waits for its turn among the concurrent attempts, makes one, counts it, and returns
// what became of it.
func (c *Courier) attemptLive(ctx context.Context, endpoint int, message clerksim.Message, number *int) Outcome {
	select {
	case c.inParallel <- struct{}{}:
		defer func() { <-c.inParallel }()
	case <-ctx.Done():
		return Failed
	}
	if c.receiver(endpoint).skips(message) {
		return Disabled
	}
	*number++
	if c.attempt(ctx, endpoint, message, *number).Acknowledged() {
		return Delivered
	}
	return Failed
}
