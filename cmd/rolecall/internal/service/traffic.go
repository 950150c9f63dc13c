package service

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// lastRequests is how long a stop waits, once the listener is closed, for requests on connections
// from which nothing was read yet. Either the request is on its way, or the caller opened the
// connection for later and loses nothing.
const lastRequests = 500 * time.Millisecond

// traffic knows the connections of a server on which a request is under way or may be on its way. A
// server's own Shutdown drops a request that it reads after it began, without an answer: so no more
// may come by then.
type traffic struct {
	mu    sync.Mutex
	busy  map[net.Conn]struct{}
	quiet chan struct{} // holds one after the last connection became idle
}

func newTraffic() *traffic {
	return &traffic{busy: map[net.Conn]struct{}{}, quiet: make(chan struct{}, 1)}
}

// watch has a server tell of its connections, beside whoever it tells already.
func (t *traffic) watch(server *http.Server) {
	others := server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		t.note(conn, state)
		if others != nil {
			others(conn, state)
		}
	}
}

// note follows a connection.
func (t *traffic) note(conn net.Conn, state http.ConnState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state == http.StateNew || state == http.StateActive {
		t.busy[conn] = struct{}{}
		return
	}
	delete(t.busy, conn)
	if len(t.busy) == 0 {
		select {
		case t.quiet <- struct{}{}:
		default:
		}
	}
}

// settle waits until no connection is busy, but not for longer than [lastRequests]: Shutdown waits
// for what goes on then.
func (t *traffic) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastRequests)
	defer cancel()
	for t.isBusy() {
		select {
		case <-t.quiet:
		case <-ctx.Done():
			return
		}
	}
}

func (t *traffic) isBusy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.busy) > 0
}
