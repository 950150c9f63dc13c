package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/pgtest"
)

// supervisor is the socket of a supervisor such as systemd.
type supervisor struct{ *net.UnixConn }

func startSupervisor(t *testing.T) supervisor {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	connection, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return supervisor{connection}
}

// hears waits for the next state.
func (s supervisor) hears(t *testing.T) string {
	t.Helper()
	require.NoError(t, s.SetReadDeadline(time.Now().Add(30*time.Second)))
	state := make([]byte, 256)
	n, err := s.Read(state)
	require.NoError(t, err)
	return string(state[:n])
}

// TestServe_TellsItsSupervisor that it is ready, and how long its stop may take.
func TestServe_TellsItsSupervisor(t *testing.T) {
	t.Parallel()
	s := startSupervisor(t)
	env := servingEnv(t, pgtest.URL(t))
	env["NOTIFY_SOCKET"], env["ROLECALL_STOP_DELAY"] = s.LocalAddr().String(), "50ms"
	p := startProcess(t, env, "serve")
	require.Equal(t, "READY=1", s.hears(t), p.log.String())
	status, text := p.ready(t.Context())
	require.Equal(t, http.StatusOK, status, text)
	p.signal(t, syscall.SIGTERM)
	within := (50*time.Millisecond + service.StopTimeout).Microseconds()
	require.Equal(t, "STOPPING=1\nEXTEND_TIMEOUT_USEC="+strconv.FormatInt(within, 10), s.hears(t))
	require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
}

// TestServe_RunsWithoutItsSupervisor, and says that it couldn't tell.
func TestServe_RunsWithoutItsSupervisor(t *testing.T) {
	t.Parallel()
	env := servingEnv(t, pgtest.URL(t))
	env["NOTIFY_SOCKET"] = filepath.Join(t.TempDir(), "nobody")
	p := startProcess(t, env, "serve")
	p.untilReady(t)
	p.signal(t, syscall.SIGTERM)
	require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
	require.Contains(t, p.log.String(), "the supervisor isn't told")
}
