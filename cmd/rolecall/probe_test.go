package main

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// TestProbe_AsksTheProcessBesideIt, which may listen on every address, and says why it is red.
func TestProbe_AsksTheProcessBesideIt(t *testing.T) {
	t.Parallel()
	env := servingEnv(t, pgtest.URL(t))
	_, port, err := net.SplitHostPort(env["ROLECALL_ADMIN_ADDR"])
	require.NoError(t, err)
	probe := func(args ...string) (code int, out, log string) {
		p := startProcess(t, map[string]string{"ROLECALL_ADMIN_ADDR": ":" + port, "http_proxy": "http://127.0.0.1:1"}, append([]string{"probe"}, args...)...)
		code = p.exit(t, 20*time.Second)
		return code, p.out.String(), p.log.String()
	}
	code, _, log := probe()
	require.Equal(t, exitError, code)
	require.Contains(t, log, "connection refused")

	env["ROLECALL_STOP_DELAY"] = "1h"
	p := startProcess(t, env, "serve")
	p.untilReady(t)
	code, out, log := probe()
	require.Equal(t, exitOK, code, log)
	require.Equal(t, "ok\n", out)

	p.signal(t, syscall.SIGTERM)
	require.Eventually(t, func() bool {
		_, text := p.ready(t.Context())
		return strings.HasPrefix(text, "stopping")
	}, 10*time.Second, time.Millisecond)
	code, out, log = probe()
	require.Equal(t, exitError, code)
	require.Empty(t, out)
	require.Contains(t, log, "stopping")
	code, out, log = probe("--alive")
	require.Equal(t, exitOK, code, log)
	require.Equal(t, "ok\n", out)
}
