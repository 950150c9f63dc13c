package service

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// lastRequests is how long a stop, after closing the listener, waits for the first request on each
// new connection. A connection without a request by then was opened in advance: its caller loses
// nothing.
const lastRequests = 500 * time.Millisecond

// traffic tracks the connections on which a request is, or may be, under way. A request that
// arrives during Server.Shutdown is dropped without an answer. So Shutdown begins when none of
// these connections is left.
type traffic struct {
	patience time.Duration // usually lastRequests

	mu    sync.Mutex
	busy  map[net.Conn]struct{}
	quiet chan struct{} // gets a value when the last busy connection becomes idle
}

func newTraffic(patience time.Duration) *traffic {
	return &traffic{patience: patience, busy: map[net.Conn]struct{}{}, quiet: make(chan struct{}, 1)}
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

// settle waits until no connection is busy, for its patience at most. Shutdown waits for the
// requests that still run.
func (t *traffic) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, t.patience)
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
