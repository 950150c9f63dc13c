package pgtest

import (
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Switch is a TCP address that leads to one server or another, as a name in DNS, a virtual address
// or a proxy does. A turn leaves open connections alone, unless they are cut.
type Switch struct {
	t        testing.TB
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	gate   *gate // of connections to the present target
	links  map[*link]struct{}
	ended  bool
}

// gate is what all connections to one target pass through.
type gate struct {
	open chan struct{} // closed while the gate is open
}

// link is a connection through a switch.
type link struct {
	gate  *gate
	ended chan struct{}
	from  net.Conn
	to    net.Conn // nil until the target is reached
}

func openGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

// NewSwitch leads to an address. It ends with the test.
func NewSwitch(t testing.TB, target string) *Switch {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Switch{t: t, listener: listener, target: target, gate: openGate(), links: map[*link]struct{}{}}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		s.Cut()
		s.wg.Wait()
	})
	return s
}

// Addr is the host and port.
func (s *Switch) Addr() string { return s.listener.Addr().String() }

// URL is a URL with the switch in place of its host.
func (s *Switch) URL(target string) string {
	u, err := url.Parse(target)
	require.NoError(s.t, err)
	u.Host = s.Addr()
	return u.String()
}

// Turn leads new connections to another address.
func (s *Switch) Turn(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target, s.gate = target, openGate()
}

// Hang lets nothing through any more to the present target, and cuts nothing: as a server that is
// stopped, or a network that swallows packets. New connections are accepted, and get no answer. A
// turn leads new ones elsewhere; those that hang go on hanging.
func (s *Switch) Hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.open = make(chan struct{})
}

// Wake ends [Switch.Hang] if the switch wasn't turned since.
func (s *Switch) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.gate.open)
}

// Cut ends all connections.
func (s *Switch) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		s.end(l)
	}
}

// end ends a connection. It is called under the lock.
func (s *Switch) end(l *link) {
	if _, there := s.links[l]; !there {
		return
	}
	delete(s.links, l)
	close(l.ended)
	_ = l.from.Close()
	if l.to != nil {
		_ = l.to.Close()
	}
}

func (s *Switch) accept() {
	for {
		from, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.connect(from) })
	}
}

func (s *Switch) connect(from net.Conn) {
	l := &link{from: from, ended: make(chan struct{})}
	s.mu.Lock()
	target := s.target
	l.gate = s.gate
	if s.links[l] = struct{}{}; s.ended {
		s.end(l)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(l)
	}()
	if !s.pass(l) {
		return
	}
	to, err := net.Dial("tcp", target) //nolint:noctx // on this machine
	if err != nil {
		return
	}
	s.mu.Lock()
	l.to = to
	if _, there := s.links[l]; !there {
		_ = to.Close()
	}
	s.mu.Unlock()
	var copying sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		copying.Go(func() {
			s.copy(l, pair[0], pair[1])
			_ = pair[0].Close()
			_ = pair[1].Close()
		})
	}
	copying.Wait()
}

// copy passes on what one end sends, as long as the gate is open.
func (s *Switch) copy(l *link, to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && s.pass(l) {
			_, _ = to.Write(buffer[:n]) // the next read fails, too
		}
		if err != nil {
			return
		}
	}
}

// pass waits until the gate is open. It returns false if the connection was ended instead.
func (s *Switch) pass(l *link) bool {
	s.mu.Lock()
	open := l.gate.open
	s.mu.Unlock()
	select {
	case <-open:
		return true
	case <-l.ended:
		return false
	}
}
