package pgpool

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// errCut ends the opening of a connection that a failover has overtaken.
var errCut = errors.New("the database is another server by now")

// opensWithin is how long opening a session to a server that works takes at most. One that takes
// longer, while another server took over, leads to the old one, which hangs.
const opensWithin = 500 * time.Millisecond

// passedBy is by how much a session must have been dialed earlier than another one at the same
// address, which is open already, to count as one that hangs: the network has swallowed it, and
// works again.
const passedBy = 2 * time.Second

// cancelWithin bounds a request to cancel a statement, and then the end of its session. Without the
// request, the statement ends by its own time-out.
const cancelWithin = time.Second

// wire is the network connection of a session. The lineage can cut it from outside, in the middle
// of a statement, and also while it is being opened.
type wire struct {
	net.Conn // nil while it is being dialed

	lineage *Lineage
	addr    string // that was dialed
	dialed  time.Time
	abort   context.CancelFunc // of the dialing

	// Under the lineage's lock:

	isCut    bool
	closing  bool // its statement was asked to be cancelled
	observed bool
	epoch    int // when it was observed last; before that, when it was dialed
}

// dial opens a connection and registers it with the lineage.
func (l *Lineage) dial(ctx context.Context, dial pgconn.DialFunc, network, addr string) (net.Conn, error) {
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	w := &wire{lineage: l, addr: addr, dialed: time.Now(), abort: abort}
	l.mu.Lock()
	w.epoch = l.epoch
	l.sessions[w] = struct{}{}
	l.mu.Unlock()
	conn, err := dial(ctx, network, addr)
	l.mu.Lock()
	w.Conn = conn
	isCut := w.isCut
	if err != nil {
		delete(l.sessions, w)
	}
	l.mu.Unlock()
	switch {
	case isCut && err == nil:
		_ = conn.Close() // nobody has used it
		return nil, errCut
	case isCut:
		return nil, errCut
	case err != nil:
		return nil, err
	}
	return w, nil
}

// boundCancels makes a connection's configuration dial only briefly again once it has a session:
// pgx dials once more to cancel the statement of a session that broke, then waits for the end of
// that session, up to 15 s for both if the server hangs. For so long, the session would keep its
// place in the pool. At an address at which the session was cut, nothing is dialed again.
func (l *Lineage) boundCancels(dial pgconn.DialFunc) pgconn.DialFunc {
	var mu sync.Mutex
	var last *wire
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		before := last
		mu.Unlock()
		isCut, observed := false, false
		if before != nil && before.addr == addr {
			l.mu.Lock()
			isCut, observed = before.isCut, before.observed
			before.closing = observed
			l.mu.Unlock()
		}
		if isCut {
			return nil, errCut
		}
		until := time.Now().Add(cancelWithin)
		if observed {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, until)
			defer cancel()
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if observed {
			return conn, conn.SetDeadline(until)
		}
		mu.Lock()
		last, _ = conn.(*wire)
		mu.Unlock()
		return conn, nil
	}
}

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(until time.Time) error {
	w.lineage.mu.Lock()
	closing := w.closing
	w.lineage.mu.Unlock()
	if soon := time.Now().Add(cancelWithin); closing && (until.IsZero() || until.After(soon)) {
		until = soon
	}
	return w.Conn.SetDeadline(until)
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.lineage.mu.Lock()
	delete(w.lineage.sessions, w)
	w.lineage.mu.Unlock()
	return w.Conn.Close()
}

// cut ends the session, also during a statement or its opening.
func (w *wire) cut() {
	w.lineage.mu.Lock()
	delete(w.lineage.sessions, w)
	w.isCut = true
	conn := w.Conn
	w.lineage.mu.Unlock()
	if conn == nil {
		w.abort()
		return
	}
	_ = conn.Close() // it is thrown away
}

// overtaken reports whether the session is with a server that isn't current any more, or has been
// opening for so long that it must be, or that it hangs: by is one that has just opened, nil if
// that isn't known. It is called under the lineage's lock.
func (w *wire) overtaken(by *wire) bool {
	if w.epoch != w.lineage.epoch && (w.observed || time.Since(w.dialed) > opensWithin) {
		return true
	}
	return by != nil && !w.observed && w.addr == by.addr && by.dialed.Sub(w.dialed) > passedBy
}

// wireOf returns the wire of a session; nil if it has none.
func wireOf(conn *pgconn.PgConn) *wire {
	under := conn.Conn()
	if encrypted, ok := under.(interface{ NetConn() net.Conn }); ok {
		under = encrypted.NetConn()
	}
	w, _ := under.(*wire)
	return w
}
