package presence

import (
	"sync/atomic"
	"time"

	"github.com/callmine/rolecall/store"
)

// Counters count what a process does. Counting is a few atomic additions, so that requests and
// deliveries don't wait for it.
type Counters struct {
	accepted, questions, refused, applied atomic.Int64
	longest                               atomic.Int64 // nanoseconds
	waits                                 [len(store.Waits{})]atomic.Int64
}

// Accepted counts a webhook that was answered with 200.
func (c *Counters) Accepted() { c.accepted.Add(1) }

// Decided counts a decision.
func (c *Counters) Decided(allowed bool) {
	c.questions.Add(1)
	if !allowed {
		c.refused.Add(1)
	}
}

// Applied counts a delivery that ended, after it had waited for a time.
func (c *Counters) Applied(waited time.Duration) {
	waited = max(waited, time.Microsecond) // the clocks of two machines may differ
	c.applied.Add(1)
	c.waits[store.WaitRange(waited)].Add(1)
	for {
		longest := c.longest.Load()
		if int64(waited) <= longest || c.longest.CompareAndSwap(longest, int64(waited)) {
			return
		}
	}
}

// take returns what was counted since the last call, for the sides that the process has.
func (c *Counters) take(web, workers bool) (m store.Measurement) {
	if web {
		m.Accepted, m.Questions, m.Refused = new(c.accepted.Swap(0)), new(c.questions.Swap(0)), new(c.refused.Swap(0))
	}
	if workers {
		m.Applied, m.Longest = new(c.applied.Swap(0)), time.Duration(c.longest.Swap(0))
		for i := range c.waits {
			m.Waits[i] = c.waits[i].Swap(0)
		}
	}
	return m
}
