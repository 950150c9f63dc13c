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

// ErrCrowded ends the body of a request that had to make room. The request should be answered with 503.
var ErrCrowded = errors.New("too many callers at once: this request was cut to make room")

// Cause says what ran out when a caller was cut. The values are labels of a metric.
type Cause string

// The causes.
const (
	CauseConnections Cause = "connections"
	CauseMemory      Cause = "memory"
)

// Causes lists all causes.
func Causes() []Cause { return []Cause{CauseConnections, CauseMemory} }

const (
	// defaultConnections is some hundred times what proxies keep open. Each takes about 20 KiB, whatever it sends.
	defaultConnections = 2048
	// defaultBytes is room for a dozen of the largest bodies, or hundreds of some ten kilobytes, at the same moment. Go's heap
	// may grow to twice what is in use.
	defaultBytes = 12 << 20
	// ownRoom is what each request may take without asking: nearly all of Clerk's deliveries, and of the API's requests, stay
	// below it, so that no other caller matters to them.
	ownRoom = 12 << 10
	// smallRequest bounds the requests that go first among those that ask.
	smallRequest = 64 << 10
	// bodyStep is the least that a body asks for beyond that.
	bodyStep = 16 << 10
	// minHold is how long room stays whose it is after it grew. A request that is sent without delay needs a few milliseconds.
	minHold = 250 * time.Millisecond
	// patience is how long a request waits for room. Clerk waits for 15 s, and comes again.
	patience = 2 * time.Second
)

// Config configures a guard.
type Config struct {
	// MaxConnections is how many connections there may be. Defaults to 2,048.
	MaxConnections int
	// MaxBytes is how many bytes requests may take together that need more than their own 12 KiB: heads, with what parsing
	// makes of them, and what has arrived of bodies. A quarter of them is for requests below 64 KiB alone. Defaults to 12 MiB.
	MaxBytes int64
	// Cut is told of each caller that was cut. Optional. It must not block.
	Cut func(Cause)
	// Now is the clock. Defaults to time.Now.
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
	callers      *list.List // of *conn that aren't cut: who has been in its step for the longest is in front
	holders      *list.List // of *conn that have room, in front the one whose grew the longest ago
	held         int64      // bytes of all holders
	small, large *list.List // of *waiter, the newest in front
	timer        *time.Timer
}

// NewGuard returns a guard.
func NewGuard(cfg Config) *Guard {
	return &Guard{cfg: cfg.withDefaults(), callers: list.New(), holders: list.New(), small: list.New(), large: list.New()}
}

// Protect has a server's connections and requests pass through the guard, and returns the listener to serve.
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

// guardedListener hands out connections that the guard knows.
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

// handler lets the guard know of each request's steps.
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
			r = r.WithContext(r.Context()) // a copy: by its own request's body, the server knows what it may leave unread
			r.Body = &body{ReadCloser: whole.Body, guard: g, conn: c, context: r.Context(), length: whole.ContentLength}
		}
		next.ServeHTTP(w, r)
	})
}
