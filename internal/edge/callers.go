package edge

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"time"
)

// admit makes a caller of a new connection. If there are too many, the one goes that has been waited for the longest.
func (g *Guard) admit(c net.Conn) *conn {
	caller := &conn{Conn: c, guard: g}
	caller.heading.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.callers.Len() >= g.cfg.MaxConnections {
		g.drop(g.longest(), CauseConnections)
	}
	caller.since = g.cfg.Now()
	caller.place = g.callers.PushBack(caller)
	return caller
}

// longest returns the caller that has been waited for the longest, or else the one that has been answered the longest.
func (g *Guard) longest() *conn {
	for e := g.callers.Front(); e != nil; e = e.Next() {
		if c := callerAt(e); c.step != stepAnswering {
			return c
		}
	}
	return callerAt(g.callers.Front())
}

func callerAt(e *list.Element) *conn { return e.Value.(*conn) } //nolint:forcetypeassert // the lists have no others

// drop cuts a caller. Its room counts as free at once: the goroutine that uses it wakes up and lets it go.
func (g *Guard) drop(c *conn, cause Cause) {
	g.remove(c)
	c.end(c.step == stepWaiting || c.step == stepReceiving)
	g.cfg.Cut(cause)
}

func (g *Guard) remove(c *conn) {
	if c.place == nil {
		return
	}
	g.callers.Remove(c.place)
	c.place = nil
	g.unqueue(c)
	g.release(c)
}

// forget is told that a connection is closed.
func (g *Guard) forget(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(c)
	g.serve()
}

// begin is told that a head is whole, and reports whether there is room for it. Until there is, the caller is one who may be cut and
// told so.
func (g *Guard) begin(c *conn, r *http.Request) bool {
	c.heading.Store(false)
	c.headBytes, c.headLines = 0, 0
	c.head = headCost(r)
	// It has been parsed, and must not take its room while it waits for some.
	if !g.hasRoom(r.Context(), c, c.head, 0) || c.cut.Load() {
		return false
	}
	g.enter(c, stepAnswering)
	return true
}

// headCost is what the head of a request takes. The bytes that were read don't tell: a part of the body came along.
func headCost(r *http.Request) int64 {
	text, lines := len(r.RequestURI), 1
	for name, values := range r.Header {
		text += len(name)
		lines += len(values)
		for _, value := range values {
			text += len(value)
		}
	}
	return int64(text)*textFactor + int64(lines)*bytesPerLine
}

// hasRoom reports whether a request may take so many bytes in all, once it may.
func (g *Guard) hasRoom(ctx context.Context, c *conn, bytes int64, patience time.Duration) bool {
	if bytes <= ownRoom {
		return true
	}
	g.mu.Lock()
	more := bytes - c.granted
	g.mu.Unlock()
	return more <= 0 || g.acquire(ctx, c, more, patience)
}

// finish is told that the handler is through.
func (g *Guard) finish(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(c)
	g.advance(c, stepFinishing)
	g.serve()
}

// idle is told that the answer is out, and that the next request may come.
func (g *Guard) idle(c *conn) {
	c.heading.Store(true)
	g.enter(c, stepWaiting)
}

// sends is told that a part of the answer goes out, and that the caller is waited for meanwhile.
func (g *Guard) sends(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.step != stepAnswering {
		return
	}
	if c.holding != nil && !c.sending { // from here on it has its time
		g.holders.MoveToBack(c.holding)
		c.grantedAt = g.cfg.Now()
	}
	c.sending = true
	g.advance(c, stepSending)
}

// sent is told that the part is out.
func (g *Guard) sent(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.step == stepSending {
		g.advance(c, stepAnswering)
	}
}

func (g *Guard) enter(c *conn, next step) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advance(c, next)
}

// advance begins a step. A body's began with its request.
func (g *Guard) advance(c *conn, next step) {
	c.step = next
	if next == stepWaiting {
		c.sending = false
	}
	if c.place != nil && next != stepReceiving {
		c.since = g.cfg.Now()
		g.callers.MoveToBack(c.place)
	}
	if c.holding != nil && next != stepAnswering {
		g.serve() // the requests that wait may have waited for one that may be cut
	}
}
