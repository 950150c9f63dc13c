package servicetest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// nginxBinary finds nginx. Without it, the test is skipped, and fails in CI.
func nginxBinary(t *testing.T) string {
	t.Helper()
	pgtest.NeedsProgram(t, "nginx")
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	return "/usr/sbin/nginx" // not on every user's path
}

// RunNginx runs a documented configuration with the test's addresses in place of its own.
func RunNginx(t *testing.T, file string, here map[string]string) Dialer {
	t.Helper()
	binary := nginxBinary(t)
	dir, err := os.MkdirTemp("", "nginx") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "socket")
	here["127.0.0.1:8000"] = "unix:" + socket
	here["http {\n"] = "http {\naccess_log off;\nclient_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	config := string(text)
	for documented, here := range here {
		require.Equal(t, 1, strings.Count(config, documented), documented)
		config = strings.Replace(config, documented, here, 1)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600))

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, binary, "-p", dir, "-c", "nginx.conf", "-e", "stderr",
		"-g", "daemon off; master_process off; error_log stderr; pid "+filepath.Join(dir, "pid")+";")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 5 * time.Second
	var said testlog.Lines
	command.Stdout, command.Stderr = &said, &said
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // ended by us
		if t.Failed() {
			t.Log(said.String())
		}
	})
	dial := func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", socket) }
	require.Eventually(t, func() bool { // nginx gives no signal
		connection, err := dial(t.Context())
		if err != nil {
			return false
		}
		return connection.Close() == nil
	}, 10*time.Second, 5*time.Millisecond)
	return dial
}
