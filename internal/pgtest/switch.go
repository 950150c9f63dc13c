package pgtest

import (
	"io"
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
	conns  map[net.Conn]struct{}
}

// NewSwitch leads to an address. It ends with the test.
func NewSwitch(t testing.TB, target string) *Switch {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Switch{t: t, listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		s.Cut()
		s.wg.Wait()
	})
	return s
}

// URL is a URL with the switch in place of its host.
func (s *Switch) URL(target string) string {
	u, err := url.Parse(target)
	require.NoError(s.t, err)
	u.Host = s.listener.Addr().String()
	return u.String()
}

// Turn leads new connections to another address.
func (s *Switch) Turn(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = target
}

// Cut ends all connections.
func (s *Switch) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
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
	s.mu.Lock()
	target := s.target
	s.mu.Unlock()
	to, err := net.Dial("tcp", target) //nolint:noctx // on this machine
	if err != nil {
		_ = from.Close()
		return
	}
	s.mu.Lock()
	s.conns[from], s.conns[to] = struct{}{}, struct{}{}
	s.mu.Unlock()
	var copying sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		copying.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
			_ = pair[1].Close()
		})
	}
	copying.Wait()
	s.mu.Lock()
	delete(s.conns, from)
	delete(s.conns, to)
	s.mu.Unlock()
}
