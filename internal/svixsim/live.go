package svixsim

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/internal/clerksim"
)

// Run delivers the world's messages while the world emits them, in the background of a program.
// Messages are sent at once and side by side, so that they may overtake each other, and each is
// retried on the schedule by itself. [Courier.Switch] makes faults. Only Run may drain the world.
// It returns ctx's error when ctx ends, after the last of its goroutines. A message that was on its
// way then may have arrived or not.
func (c *Courier) Run(ctx context.Context, world *clerksim.World) error {
	c.begin(ctx, world)
	return c.follow(ctx, world)
}

// Start is [Courier.Run] in a goroutine of its own. It returns when the courier knows the world,
// and closes ended after the last of its goroutines.
func (c *Courier) Start(ctx context.Context, world *clerksim.World) (ended <-chan struct{}) {
	c.begin(ctx, world)
	end := make(chan struct{})
	go func() {
		defer close(end)
		_ = c.follow(ctx, world) // ends with ctx
	}()
	return end
}

func (c *Courier) follow(ctx context.Context, world *clerksim.World) error {
	defer c.underWay.Wait()
	defer c.end()
	for {
		c.Pull()
		select {
		case <-world.Filled():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Pull takes over what the world of [Courier.Run] has emitted so far, and calls
// [CourierConfig.Taken] for it. It does nothing if Run doesn't run.
func (c *Courier) Pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take()
}

// Add adds endpoints, behind those that there are. They get the messages that the courier takes
// over from now on. The first ones of a courier that runs also get all that it has taken over
// before. An error names an invalid endpoint, and then none is added.
func (c *Courier) Add(endpoints ...Endpoint) error {
	added := make([]*receiver, len(endpoints))
	for i, endpoint := range endpoints {
		r, err := newReceiver(endpoint)
		if err != nil {
			return fmt.Errorf("configure endpoint %d: %w", i, err)
		}
		added[i] = r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take()
	first := len(c.receivers)
	for i, r := range added {
		r.set(c.faults.Disabled)
		c.receivers = append(c.receivers, r)
		if c.world != nil {
			c.open(first + i)
		}
	}
	if len(c.receivers) > 0 {
		for _, message := range c.unsent {
			c.forward(message)
		}
		c.unsent = nil
	}
	return nil
}

func (c *Courier) begin(ctx context.Context, world *clerksim.World) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.world = world
	c.open = func(endpoint int) {
		r := c.receivers[endpoint]
		c.underWay.Go(func() { c.serve(ctx, endpoint, r) })
	}
	for endpoint := range c.receivers {
		c.open(endpoint)
	}
}

func (c *Courier) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.world = nil
}

// take must be called with c.mu held.
func (c *Courier) take() {
	if c.world == nil {
		return
	}
	for _, message := range c.world.Drain() {
		c.cfg.Taken(message)
		switch {
		case c.faults.Drop:
			for endpoint := range max(1, len(c.receivers)) {
				c.cfg.Progress(message.ID, endpoint, Dropped)
			}
		case len(c.receivers) == 0:
			c.unsent = append(c.unsent, message)
		default:
			c.forward(message)
		}
	}
}

// forward puts a message into the lane of each endpoint. It must be called with c.mu held.
func (c *Courier) forward(message clerksim.Message) {
	for endpoint, r := range c.receivers {
		if r.skips(message) {
			c.cfg.Progress(message.ID, endpoint, Disabled)
		} else {
			c.cfg.Progress(message.ID, endpoint, Waiting)
			r.lane.add(message)
		}
	}
}
