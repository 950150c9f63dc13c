package servicetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
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
	return p.runNginx(t, dialUnix(socket), config)
}

func (p *proxy) runNginx(t *testing.T, dial Dialer, config string) Dialer {
	t.Helper()
	p.write(t, "nginx.conf", config)
	return p.run(t, dial, "-p", p.dir, "-c", "nginx.conf", "-e", "stderr",
		"-g", "daemon off; master_process off; error_log stderr; pid "+p.path("pid")+";")
}

// RunNginxOverTLS runs deploy/proxy/nginx.conf with the test's instances, and a certificate that
// the returned dialer trusts. accessLog names the file of its log.
func RunNginxOverTLS(t *testing.T, here map[string]string) (dial Dialer, accessLog string) {
	t.Helper()
	p := newProxy(t, "nginx")
	socket := p.path("socket")
	roots := p.certify(t, "rolecall.example.com")
	p.runNginx(t, dialUnix(socket), replaced(t, Text(t, "deploy/proxy/nginx.conf"), here, map[string]string{
		"listen 443 ssl":                  "listen unix:" + socket + " ssl",
		"/etc/rolecall/tls/fullchain.pem": p.path("certificate.pem"), "/etc/rolecall/tls/privkey.pem": p.path("key.pem"),
		"/var/log/nginx/rolecall.log": p.path("access.log"),
		"http {\n":                    "http {\nclient_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n",
	}))
	return overTLS(dialUnix(socket), "rolecall.example.com", roots), p.path("access.log")
}

// RunCaddyOverTLS runs deploy/proxy/Caddyfile with the test's instances, which are addresses with
// one port of the admin side. The certificate is of Caddy's own authority, which the returned
// dialer trusts. Requests must name the host "rolecall".
func RunCaddyOverTLS(t *testing.T, adminPort string, instances ...string) Dialer {
	t.Helper()
	p := newProxy(t, "caddy")
	addr := FreeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	p.write(t, "Caddyfile", "{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"+
		replaced(t, Text(t, "deploy/proxy/Caddyfile"), map[string]string{"health_port 9090": "health_port " + adminPort}))
	p.environment = append(os.Environ(), "HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir, "XDG_DATA_HOME="+p.dir,
		"ROLECALL_HOST=https://rolecall:"+port, "ROLECALL_UPSTREAMS="+strings.Join(instances, " "))
	p.run(t, DialTCP(addr), "run", "--config", p.path("Caddyfile"), "--adapter", "caddyfile")
	authority, err := os.ReadFile(p.path("caddy/pki/authorities/local/root.crt"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authority))
	dial := overTLS(DialTCP(addr), "rolecall", roots)
	require.Eventually(t, func() bool { // it listens before it has the certificate
		connection, err := dial(t.Context())
		if err == nil {
			err = connection.Close()
		}
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)
	return dial
}

// overTLS wraps a dialer's connections.
func overTLS(dial Dialer, name string, roots *x509.CertPool) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		plain, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		wrapped := tls.Client(plain, &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12})
		if err := wrapped.HandshakeContext(ctx); err != nil {
			_ = plain.Close()
			return nil, err
		}
		return wrapped, nil
	}
}

// certify writes a certificate of a name and its key, and returns what trusts it.
func (p *proxy) certify(t *testing.T, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	p.write(t, "certificate.pem", string(text))
	p.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	return roots
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
	addr := FreeAddr(t) // by a socket, Caddy would know no client
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
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
