package pgpool

import (
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// wire is the network connection of a session. The lineage can cut it from outside, in the middle
// of a statement.
type wire struct {
	net.Conn

	lineage  *Lineage
	observed bool // and epoch, both under the lineage's lock
	epoch    int
}

// strung registers a connection with the lineage.
func (l *Lineage) strung(conn net.Conn) *wire {
	w := &wire{Conn: conn, lineage: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[w] = struct{}{}
	return w
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.lineage.mu.Lock()
	delete(w.lineage.sessions, w)
	w.lineage.mu.Unlock()
	return w.Conn.Close()
}

// cut ends the session, also during a statement.
func (w *wire) cut() { _ = w.Close() } // it is thrown away

// wireOf returns the wire of a session; nil if it has none.
func wireOf(conn *pgconn.PgConn) *wire {
	under := conn.Conn()
	if encrypted, ok := under.(interface{ NetConn() net.Conn }); ok {
		under = encrypted.NetConn()
	}
	w, _ := under.(*wire)
	return w
}
