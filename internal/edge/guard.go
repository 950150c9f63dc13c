package edge

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// ErrCrowded is the error of reading the body of a request that was cut to make room. The request
// should be answered with 503.
var ErrCrowded = errors.New("too many callers at once: this request was cut to make room")

// Cause says which limit was reached when a caller was cut. The values are labels of a metric.
type Cause string

// The causes.
const (
	CauseConnections Cause = "connections"
	CauseMemory      Cause = "memory"
)

// Causes lists all causes.
func Causes() []Cause { return []Cause{CauseConnections, CauseMemory} }

const (
	// defaultConnections is some hundred times as many as proxies keep open. Each takes about 20
	// KiB, whatever it sends.
	defaultConnections = 2048
	// defaultBytes is room for a dozen of the largest bodies at the same moment, or for hundreds of
	// some ten kilobytes. Go's heap may grow to several times the bytes in use.
	defaultBytes = 12 << 20
	// ownRoom is how many bytes each request may take without asking for room. Nearly all of
	// Clerk's deliveries and of the API's requests stay below it, so that other callers can't hold
	// them up.
	ownRoom = 12 << 10
	// smallRequest bounds the requests that are served first among those that ask for room.
	smallRequest = 64 << 10
	// bodyStep is the least room that a body asks for.
	bodyStep = 16 << 10
	// minHold is the least time for which a request keeps its room after the room grew. A request
	// that is sent without delay needs a few milliseconds.
	minHold = 250 * time.Millisecond
	// patience is how long a request waits for room. Clerk waits for an answer for 15 s, and sends
	// again.
	patience = 2 * time.Second
)

// Config configures a guard.
type Config struct {
	// MaxConnections bounds the open connections. Defaults to 2,048.
	MaxConnections int
	// MaxBytes bounds the bytes of all requests of more than 12 KiB together. Parsed heads count,
	// and the parts of bodies that have arrived. A quarter is reserved for requests below 64 KiB.
	// Defaults to 12 MiB.
	MaxBytes int64
	// Cut is called for each caller that was cut. It must not block. Optional.
	Cut func(Cause)
	// Now is the clock by which callers are timed. Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.MaxConnections == 0 {
		c.MaxConnections = defaultConnections
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultBytes
	}
	if c.Cut == nil {
		c.Cut = func(Cause) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Guard bounds the callers of one server. It is safe for concurrent use.
type Guard struct {
	cfg Config

	mu           sync.Mutex
	callers      *list.List // of *conn that aren't cut; the one longest in its step is in front
	holders      *list.List // of *conn that have room; the one whose room grew longest ago is in front
	held         int64      // bytes of all holders
	small, large *list.List // of *waiter, the newest in front
	timer        *time.Timer
}

// NewGuard returns a guard.
func NewGuard(cfg Config) *Guard {
	return &Guard{cfg: cfg.withDefaults(), callers: list.New(), holders: list.New(), small: list.New(), large: list.New()}
}

// Protect passes a server's connections and requests through the guard, and returns the listener to
// serve.
func (g *Guard) Protect(server *http.Server, listener net.Listener) net.Listener {
	server.Handler = g.handler(server.Handler)
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if caller, ok := c.(*conn); ok && state == http.StateIdle {
			g.idle(caller)
		}
	}
	return &guardedListener{Listener: listener, guard: g}
}

type connKey struct{}

// guardedListener accepts connections for the guard.
type guardedListener struct {
	net.Listener
	guard *Guard
}

// Accept implements [net.Listener].
func (l *guardedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.guard.admit(c), nil
}

// handler reports each request's steps to the guard.
func (g *Guard) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		defer g.finish(c)
		if !g.begin(c, r) {
			w.Header().Set("Connection", "close")
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		if r.Body != nil && r.Body != http.NoBody {
			whole := r
			r = r.WithContext(r.Context()) // a copy: the server must keep its own body, to discard the unread rest
			r.Body = &body{ReadCloser: whole.Body, guard: g, conn: c, context: r.Context(), length: whole.ContentLength}
		}
		next.ServeHTTP(w, r)
	})
}
