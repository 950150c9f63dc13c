package svixsim

import "time"

// overtakePatience is how long a message waits to be overtaken: two clicks of a person may lie that
// far apart.
const overtakePatience = 5 * time.Second

// repeats is how many times a repeated message is sent again.
const repeats = 2

// LiveFaults are the faults of a courier that runs. Its zero value sends each message once, and at
// once. They concern each message, so that what they do can be seen.
type LiveFaults struct {
	// Delay is how much later each message is sent. A shorter one also holds for messages that wait
	// already.
	Delay time.Duration
	// Drop loses the messages that the world emits meanwhile: no retry or [Courier.Recover] sends
	// them. Messages that wait already are sent.
	Drop bool
	// Repeat sends each message three times: twice more after its first attempt, acknowledged or not.
	Repeat bool
	// Reorder sends those messages in reverse order that come within five seconds: each one after the
	// first attempt with a later one. A message that no other one follows is sent after the five
	// seconds.
	Reorder bool
	// Disabled disables every endpoint, as [Courier.Disable] does.
	Disabled bool
}

// Switch replaces the faults of a courier, which may run. Messages that the world has emitted
// before fall under the faults until now.
func (c *Courier) Switch(faults LiveFaults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take()
	c.faults = faults
	for _, r := range c.receivers {
		if r.isDisabled() != faults.Disabled {
			r.set(faults.Disabled)
		}
		r.lane.wake()
	}
}

// Faults returns the faults in force. Disabled is also true if an endpoint was disabled in another
// way.
func (c *Courier) Faults() LiveFaults {
	c.mu.Lock()
	defer c.mu.Unlock()
	faults := c.faults
	faults.Disabled = false
	for _, r := range c.receivers {
		faults.Disabled = faults.Disabled || r.isDisabled()
	}
	return faults
}
