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

// documentedListener is the address at which the documented proxies listen.
const documentedListener = "127.0.0.1:8000"

// Example returns the one example of a document that is in a language, such as "nginx".
func Example(t testing.TB, document, language string) string {
	t.Helper()
	text := Text(t, document)
	_, example, found := strings.Cut(text, "\n```"+language+"\n")
	require.True(t, found, "%s has no example in %s", document, language)
	example, rest, closed := strings.Cut(example, "\n```\n")
	require.True(t, closed)
	require.NotContains(t, rest, "\n```"+language+"\n", "which of two examples?")
	return example + "\n"
}

// Text returns a file that is named from the root of the module.
func Text(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(InRepository(t, name))
	require.NoError(t, err)
	return string(text)
}

// RunNginx runs a documented configuration with the test's addresses in place of its own.
func RunNginx(t *testing.T, config string, here map[string]string) Dialer {
	t.Helper()
	p := newProxy(t, "nginx")
	socket := p.path("socket")
	config = replaced(t, config, here, map[string]string{
		documentedListener: "unix:" + socket,
		"http {\n":         "http {\naccess_log off;\nclient_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n",
	})
	p.write(t, "nginx.conf", config)
	return p.run(t, dialUnix(socket), "-p", p.dir, "-c", "nginx.conf", "-e", "stderr",
		"-g", "daemon off; master_process off; error_log stderr; pid "+p.path("pid")+";")
}

// RunHAProxy runs a documented configuration and its script with the test's addresses in place of
// their own.
func RunHAProxy(t *testing.T, config, script string, here map[string]string) Dialer {
	t.Helper()
	p := newProxy(t, "haproxy")
	socket := p.path("socket")
	config = replaced(t, config, map[string]string{
		documentedListener: "unix@" + socket, "/etc/haproxy/rolecall.lua": p.path("rolecall.lua"), "127.0.0.1:3000": here["127.0.0.1:3000"],
	})
	p.write(t, "rolecall.lua", replaced(t, script, map[string]string{"127.0.0.1:8080": here["127.0.0.1:8080"]}))
	p.write(t, "haproxy.cfg", config)
	return p.run(t, dialUnix(socket), "-db", "-f", p.path("haproxy.cfg"))
}

// RunCaddy runs a documented configuration with the test's addresses in place of its own.
func RunCaddy(t *testing.T, config string, here map[string]string) Dialer {
	t.Helper()
	p := newProxy(t, "caddy")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // by a socket, Caddy would know no client
	require.NoError(t, err)
	addr := listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	p.write(t, "Caddyfile", "{\n\tadmin off\n}\n"+replaced(t, config, here, map[string]string{":8000 {": ":" + port + " {"}))
	p.environment = append(os.Environ(), "HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir, "XDG_DATA_HOME="+p.dir)
	return p.run(t, DialTCP(addr), "run", "--config", p.path("Caddyfile"), "--adapter", "caddyfile")
}

// replaced replaces texts, each of which must be there once.
func replaced(t *testing.T, text string, replacements ...map[string]string) string {
	t.Helper()
	for _, some := range replacements {
		for documented, here := range some {
			require.Equal(t, 1, strings.Count(text, documented), documented)
			text = strings.Replace(text, documented, here, 1)
		}
	}
	return text
}

func dialUnix(socket string) Dialer {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", socket) }
}

// proxy is a proxy with a directory of its own.
type proxy struct {
	binary, dir string
	environment []string
}

// newProxy finds a proxy's program. Without it, the test is skipped, and fails in CI.
func newProxy(t *testing.T, name string) *proxy {
	t.Helper()
	pgtest.NeedsProgram(t, name)
	binary, err := exec.LookPath(name)
	if err != nil {
		binary = "/usr/sbin/" + name // not on every user's path
	}
	dir, err := os.MkdirTemp("", name) //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return &proxy{binary: binary, dir: dir}
}

func (p *proxy) path(name string) string { return filepath.Join(p.dir, name) }

func (p *proxy) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.path(name), []byte(text), 0o600))
}

// run starts the proxy, and waits until it takes connections.
func (p *proxy) run(t *testing.T, dial Dialer, args ...string) Dialer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, p.binary, args...)
	command.Env = p.environment
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
	require.Eventually(t, func() bool { // proxies give no signal
		connection, err := dial(t.Context())
		if err != nil {
			return false
		}
		return connection.Close() == nil
	}, 20*time.Second, 5*time.Millisecond, &said)
	return dial
}
