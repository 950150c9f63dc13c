package service

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// lastRequests is how long a stop, after closing the listener, waits for requests on unused
// connections. A caller whose request takes longer opened its connection for later, and loses
// nothing.
const lastRequests = 500 * time.Millisecond

// traffic tracks the connections on which a request is, or may be, under way. Server.Shutdown
// drops, without an answer, a request that arrives during it: so none may be left by then.
type traffic struct {
	mu    sync.Mutex
	busy  map[net.Conn]struct{}
	quiet chan struct{} // holds one after the last connection became idle
}

func newTraffic() *traffic {
	return &traffic{busy: map[net.Conn]struct{}{}, quiet: make(chan struct{}, 1)}
}

// watch follows the connections of a server, and keeps the server's earlier hook.
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

// settle waits until no connection is busy, for [lastRequests] at most. Shutdown waits for the
// requests that still run.
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
