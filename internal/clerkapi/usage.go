package clerkapi

import "time"

// Usage is how much of Clerk's limit a client uses. Other programs may use the same limit.
type Usage struct {
	Sent      int               // calls of the last ten seconds
	Limit     int               // how many Clerk accepts in that time, as far as is known
	Paused    bool              // background calls wait, because Clerk answered 429
	Throttled int64             // calls ever that Clerk answered with 429
	Refused   map[Purpose]int64 // calls ever that the budget refused, for each purpose
}

// Usage returns what the client uses now.
func (c *Client) Usage() Usage { return c.budget.usage(time.Now()) }

func (b *budget) usage(now time.Time) Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	used := Usage{
		Sent: b.sent.used(now), Limit: int(b.limit), Paused: b.pauses.left(background, now) > 0,
		Throttled: b.throttled, Refused: map[Purpose]int64{},
	}
	for purpose, n := range b.refused {
		used.Refused[Purpose(purpose)] = n
	}
	return used
}

// countRefusal counts a call that the budget refused.
func (b *budget) countRefusal(of Purpose) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused[of]++
}

// countThrottled counts a call that Clerk answered with 429.
func (b *budget) countThrottled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.throttled++
}
