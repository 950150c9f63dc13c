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
	done  chan struct{} // closed when it has room or is cut
}

// acquire waits for room for a request that needs more than ownRoom, and reports whether the
// request got it. If not, the caller is cut.
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

// wait queues a request. The newest is served first: a caller that sends its request without delay
// is among the newest. Older waiters mostly send slowly, and have had their time.
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

// serve gives room to the waiting requests, small ones first. Without room it cuts the caller whose
// room grew longest ago, but not before minHold is over.
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
			return // requests that are being answered end by themselves
		}
		if left := minHold - g.cfg.Now().Sub(oldest.grantedAt); left > 0 {
			g.serveAfter(left)
			return
		}
		g.drop(oldest, CauseMemory)
	}
}

// serveAfter serves the waiters again when a caller may be cut for them.
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

// fits reports whether there is room for a request. A quarter is reserved for small ones.
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

// oldestHolder returns, of the callers that keep the service waiting, the one whose room grew
// longest ago, or nil.
func (g *Guard) oldestHolder() *conn {
	for e := g.holders.Front(); e != nil; e = e.Next() {
		if c := callerAt(e); c.step != stepAnswering {
			return c
		}
	}
	return nil
}

// release takes back a caller's room.
func (g *Guard) release(c *conn) {
	if c.holding == nil {
		return
	}
	g.holders.Remove(c.holding)
	g.held -= c.granted
	c.holding = nil
	c.granted = 0
}

// unqueue wakes a caller if it waits for room.
func (g *Guard) unqueue(c *conn) {
	if c.waiter == nil {
		return
	}
	c.waiter.queue.Remove(c.waiter.place)
	close(c.waiter.done)
	c.waiter = nil
}
