package edge

import (
	"container/list"
	"context"
	"time"
)

// waiter is a request that waits for room.
type waiter struct {
	conn  *conn
	bytes int64
	queue *list.List
	place *list.Element
	done  chan struct{} // closed once it has room, or is cut
}

// acquire waits for room for a request that needs more than what each has, and reports whether it got it. A request that
// didn't is cut.
func (g *Guard) acquire(ctx context.Context, c *conn, bytes int64, patience time.Duration) bool {
	w := g.wait(c, bytes)
	if w == nil {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-ctx.Done():
	case <-timer.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.waiter == w && c.place != nil {
		g.drop(c, CauseMemory)
	}
	return c.place != nil
}

// wait queues a request. The newest is served first: whoever sends its request at once is among the new, and of those who
// don't, the old ones have had their time.
func (g *Guard) wait(c *conn, bytes int64) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place == nil {
		return nil
	}
	w := &waiter{conn: c, bytes: bytes, queue: g.large, done: make(chan struct{})}
	if c.granted+bytes <= smallRequest {
		w.queue = g.small
	}
	w.place = w.queue.PushFront(w)
	c.waiter = w
	g.serve()
	return w
}

// serve gives room to those who wait, the small ones first. For want of room it cuts the caller whose room grew the longest
// ago, but not before it has had the time to use it.
func (g *Guard) serve() {
	for {
		next := g.small.Front()
		if next == nil {
			next = g.large.Front()
		}
		if next == nil {
			return
		}
		w := next.Value.(*waiter) //nolint:forcetypeassert // the lists have no others
		if g.fits(w) {
			g.grant(w)
			continue
		}
		oldest := g.oldestHolder()
		if oldest == nil {
			return // those that are being answered end by themselves
		}
		if left := minHold - g.cfg.Now().Sub(oldest.grantedAt); left > 0 {
			g.serveAfter(left)
			return
		}
		g.drop(oldest, CauseMemory)
	}
}

// serveAfter has the waiters served once somebody may be cut for them.
func (g *Guard) serveAfter(d time.Duration) {
	if g.timer != nil {
		g.timer.Stop()
	}
	g.timer = time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.serve()
	})
}

// fits reports whether there is room for a request. A part of it is for small ones alone.
func (g *Guard) fits(w *waiter) bool {
	limit := g.cfg.MaxBytes
	if w.queue == g.large {
		limit -= limit / 4
	}
	return g.held+w.bytes <= limit
}

func (g *Guard) grant(w *waiter) {
	c := w.conn
	g.unqueue(c)
	if c.holding == nil {
		c.holding = g.holders.PushBack(c)
	}
	g.holders.MoveToBack(c.holding)
	c.grantedAt = g.cfg.Now()
	c.granted += w.bytes
	g.held += w.bytes
}

// oldestHolder returns the caller whose room grew the longest ago and who keeps us waiting, or nil.
func (g *Guard) oldestHolder() *conn {
	for e := g.holders.Front(); e != nil; e = e.Next() {
		if c := callerAt(e); c.step != stepAnswering {
			return c
		}
	}
	return nil
}

// release takes back what a caller holds.
func (g *Guard) release(c *conn) {
	if c.holding == nil {
		return
	}
	g.holders.Remove(c.holding)
	g.held -= c.granted
	c.holding, c.granted = nil, 0
}

// unqueue wakes a caller if it waits.
func (g *Guard) unqueue(c *conn) {
	if c.waiter == nil {
		return
	}
	c.waiter.queue.Remove(c.waiter.place)
	close(c.waiter.done)
	c.waiter = nil
}
