package svixsim

import (
	"context"
	"sync"

	"github.com/callmine/rolecall/internal/clerksim"
)

// Run delivers the world's messages while the world emits them, in the background of a program.
// Messages are sent at once and side by side, so that they may overtake each other, and each is
// retried on the schedule by itself. Only Run may drain the world. It returns ctx's error when ctx
// ends, after the last of its goroutines. A message that was on its way then may have arrived or
// not.
func (c *Courier) Run(ctx context.Context, world *clerksim.World) error {
	var underWay sync.WaitGroup
	defer underWay.Wait()
	for {
		for _, message := range world.Drain() {
			for endpoint := range c.receivers {
				underWay.Go(func() { c.deliverLive(ctx, endpoint, message) })
			}
		}
		select {
		case <-world.Filled():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deliverLive makes attempts until one is acknowledged, the schedule or ctx ends, or the endpoint
// is disabled.
func (c *Courier) deliverLive(ctx context.Context, endpoint int, message clerksim.Message) {
	for i, wait := range c.cfg.Schedule {
		if wait > 0 && c.wait(ctx, wait) != nil {
			return
		}
		if c.receivers[endpoint].skips(message) || c.attemptInTurn(ctx, endpoint, message, i+1) {
			return
		}
	}
}

// attemptInTurn waits for its turn among the concurrent attempts, makes one, and reports whether it
// was the last.
func (c *Courier) attemptInTurn(ctx context.Context, endpoint int, message clerksim.Message, number int) (done bool) {
	select {
	case c.inParallel <- struct{}{}:
		defer func() { <-c.inParallel }()
	case <-ctx.Done():
		return true
	}
	return c.attempt(ctx, endpoint, message, number).Acknowledged() || ctx.Err() != nil
}
