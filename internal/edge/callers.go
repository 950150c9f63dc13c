package edge

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"time"
)

// admit makes a caller of a new connection. If there are too many callers, it cuts the one that has
// kept the service waiting longest.
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

// longest returns the caller that has kept the service waiting longest. If there is none, it
// returns the caller whose answer has taken longest.
func (g *Guard) longest() *conn {
	for e := g.callers.Front(); e != nil; e = e.Next() {
		if c := callerAt(e); c.step != stepAnswering {
			return c
		}
	}
	return callerAt(g.callers.Front())
}

func callerAt(e *list.Element) *conn { return e.Value.(*conn) } //nolint:forcetypeassert // the lists hold only these

// drop cuts a caller. Its room counts as free at once, because the goroutine that uses it wakes up
// and ends.
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

// forget removes a closed connection.
func (g *Guard) forget(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(c)
	g.serve()
}

// begin starts the request whose head has been read, and reports whether there is room for it.
// Until there is, the caller may be cut, and then gets a 503.
func (g *Guard) begin(c *conn, r *http.Request) bool {
	c.heading.Store(false)
	c.headBytes = 0
	c.headLines = 0
	c.head = headCost(r)
	// The head is parsed and takes memory already: it must not wait for room.
	if !g.hasRoom(r.Context(), c, c.head, 0) || c.cut.Load() {
		return false
	}
	g.enter(c, stepAnswering)
	return true
}

// headCost returns how many bytes the head of a request takes. The bytes read from the connection
// may include a part of the body.
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

// hasRoom waits until a request may take so many bytes in all, and reports whether it may.
func (g *Guard) hasRoom(ctx context.Context, c *conn, bytes int64, patience time.Duration) bool {
	if bytes <= ownRoom {
		return true
	}
	g.mu.Lock()
	more := bytes - c.granted
	g.mu.Unlock()
	return more <= 0 || g.acquire(ctx, c, more, patience)
}

// finish ends a request whose handler has returned.
func (g *Guard) finish(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(c)
	g.advance(c, stepFinishing)
	g.serve()
}

// idle starts the wait for the connection's next request.
func (g *Guard) idle(c *conn) {
	c.heading.Store(true)
	g.enter(c, stepWaiting)
}

// sends starts sending a part of the answer. Until it is sent, the caller keeps the service
// waiting.
func (g *Guard) sends(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.step != stepAnswering {
		return
	}
	if c.holding != nil && !c.sending { // its minHold starts now
		g.holders.MoveToBack(c.holding)
		c.grantedAt = g.cfg.Now()
	}
	c.sending = true
	g.advance(c, stepSending)
}

// sent ends sending a part of the answer.
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

// advance begins a step. Receiving a body counts from the beginning of its request.
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
		g.serve() // c can be cut now, which may make room for requests that wait
	}
}
