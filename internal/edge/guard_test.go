package edge_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/edge"
)

// soon is much less than any timeout of the server, and much more than an answer takes.
const soon = 8 * time.Second

// guarded is a real server behind a guard.
type guarded struct {
	*testing.T

	addr string
	cut  atomic.Int64
}

// serveGuarded starts a server behind a guard. /early answers at once, /endless sends as long as
// the caller reads, and other paths answer after reading the body.
func serveGuarded(t *testing.T, cfg edge.Config) *guarded {
	t.Helper()
	g := &guarded{T: t}
	cfg.Cut = func(edge.Cause) { g.cut.Add(1) }
	mux := http.NewServeMux()
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 64<<10); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if errors.Is(err, edge.ErrCrowded) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: mux, ReadTimeout: 2 * soon, WriteTimeout: 2 * soon}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.addr = listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(edge.NewGuard(cfg).Protect(server, listener)) }()
	t.Cleanup(func() { require.NoError(t, server.Close()); <-done })
	return g
}

// send writes a text to a new connection.
func (g *guarded) send(text string) net.Conn {
	g.Helper()
	c, err := (&net.Dialer{}).DialContext(g.Context(), "tcp", g.addr)
	require.NoError(g, err)
	g.Cleanup(func() { _ = c.Close() })
	require.NoError(g, c.SetDeadline(time.Now().Add(soon)))
	_, err = io.WriteString(c, text)
	require.NoError(g, err)
	return c
}

// status reads an answer and returns its status.
func (g *guarded) status(from *bufio.Reader) int {
	g.Helper()
	response, err := http.ReadResponse(from, nil)
	require.NoError(g, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(g, err)
	require.NoError(g, response.Body.Close())
	return response.StatusCode
}

func request(path string, lines ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// manyLines returns lines of a head of so many bytes. Once read, they take some forty times as
// much.
func manyLines(size int) string {
	var lines strings.Builder
	for i := 0; lines.Len() < size; i++ {
		lines.WriteString(strconv.FormatInt(int64(i), 36) + ":\r\n")
	}
	return strings.TrimSuffix(lines.String(), "\r\n")
}

// TestGuard_EarlyAnswersComeAtOnce: the answer doesn't wait for a body that the handler doesn't
// read.
func TestGuard_EarlyAnswersComeAtOnce(t *testing.T) {
	t.Parallel()
	g := serveGuarded(t, edge.Config{})
	for name, lines := range map[string][]string{
		"expects to be asked":              {"Content-Length: 100", "Expect: 100-continue"},
		"chunked, expects to be asked":     {"Transfer-Encoding: chunked", "Expect: 100-continue"},
		"a large one, half sent":           {"Content-Length: 1000000"},
		"a large one, expects to be asked": {"Content-Length: 1000000", "Expect: 100-continue"},
	} {
		answers := bufio.NewReader(g.send(request("/early", lines...)))
		require.Equal(t, http.StatusBadRequest, g.status(answers), name)
	}
}

// TestGuard_UnreadAnswersMakeRoom: callers that don't read their answers hold all the room. They
// are cut for a request that needs some.
func TestGuard_UnreadAnswersMakeRoom(t *testing.T) {
	t.Parallel()
	g := serveGuarded(t, edge.Config{MaxBytes: 1 << 20})
	for range 10 { // each takes more than a tenth
		first := bufio.NewReaderSize(g.send(request("/endless", manyLines(4<<10))), 16)
		_, err := first.Peek(1)
		require.NoError(t, err, "it is being answered")
	}
	whole := g.send(request("/", "Content-Length: 100000") + strings.Repeat("x", 100_000))
	require.Equal(t, http.StatusOK, g.status(bufio.NewReader(whole)))
	require.Positive(t, g.cut.Load())
}

// TestGuard_ClaimedLengthTakesNoRoom: only arrived bytes count, not the length that Content-Length
// claims. The same holds for chunks.
func TestGuard_ClaimedLengthTakesNoRoom(t *testing.T) {
	t.Parallel()
	g := serveGuarded(t, edge.Config{MaxBytes: 1 << 20})
	for range 100 {
		c := bufio.NewReader(g.send(request("/", "Content-Length: 104000", "Expect: 100-continue")))
		line, err := c.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "100 Continue", "its body is waited for")
	}
	for range 100 {
		g.send(request("/", "Transfer-Encoding: chunked") + "bb8\r\n" + strings.Repeat("x", 3000) + "\r\n")
	}
	for _, whole := range []string{
		request("/", "Content-Length: 100000") + strings.Repeat("x", 100_000),
		request("/", "Content-Length: 600000") + strings.Repeat("x", 600_000),
		request("/", "Transfer-Encoding: chunked") + "bb8\r\n" + strings.Repeat("x", 3000) + "\r\n0\r\n\r\n",
	} {
		require.Equal(t, http.StatusOK, g.status(bufio.NewReader(g.send(whole))))
	}
	require.Zero(t, g.cut.Load())
}

// TestGuard_ArrivedBytesTakeRoom also holds for chunks and small parts.
func TestGuard_ArrivedBytesTakeRoom(t *testing.T) {
	t.Parallel()
	g := serveGuarded(t, edge.Config{MaxBytes: 256 << 10})
	for _, large := range []string{
		request("/", "Content-Length: 600000") + strings.Repeat("x", 600_000),
		request("/", "Transfer-Encoding: chunked") + strings.Repeat("fff\r\n"+strings.Repeat("x", 0xfff)+"\r\n", 200) + "0\r\n\r\n",
	} {
		require.Equal(t, http.StatusServiceUnavailable, g.status(bufio.NewReader(g.send(large))))
	}
	require.EqualValues(t, 2, g.cut.Load())
}

// TestGuard_AnswersARefusedHead: the head arrives together with the request before, so that its
// size is known only after parsing.
func TestGuard_AnswersARefusedHead(t *testing.T) {
	t.Parallel()
	g := serveGuarded(t, edge.Config{MaxBytes: 64 << 10})
	answers := bufio.NewReader(g.send(request("/", "Content-Length: 0") + request("/", "Content-Length: 0", manyLines(3500))))
	require.Equal(t, http.StatusOK, g.status(answers))
	require.Equal(t, http.StatusServiceUnavailable, g.status(answers))
}

// TestGuard_CutCallerCannotHoldAWriter holds for every deadline that the server sets after the cut.
func TestGuard_CutCallerCannotHoldAWriter(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	guard := edge.NewGuard(edge.Config{MaxConnections: 1}).Protect(&http.Server{ReadHeaderTimeout: soon}, listener)
	t.Cleanup(func() { _ = guard.Close() })
	var accepted []net.Conn
	for range 2 { // the second connection cuts the first
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		server, err := guard.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { _ = server.Close() })
		accepted = append(accepted, server)
	}
	for _, set := range []func(time.Time) error{accepted[0].SetWriteDeadline, accepted[0].SetDeadline} {
		require.NoError(t, set(time.Now().Add(time.Hour)))
		written := make(chan error, 1)
		go func() { _, err := io.Copy(accepted[0], bytes.NewReader(make([]byte, 64<<20))); written <- err }()
		select {
		case err := <-written:
			require.ErrorContains(t, err, "timeout")
		case <-time.After(soon):
			require.Fail(t, "it is still written to")
		}
	}
	_, err = fmt.Fprint(accepted[1], "x")
	require.NoError(t, err)
}
