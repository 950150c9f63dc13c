package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// PoolMode is how a pgbouncer gives servers to clients.
type PoolMode string

// The modes that matter here.
const (
	SessionPooling     PoolMode = "session"
	TransactionPooling PoolMode = "transaction"
)

// PgBouncer starts a real pgbouncer with its default settings but for the mode in front of a database, and returns the
// database's URL through it. Where pgbouncer isn't installed the test is skipped, but fails in CI.
func PgBouncer(t testing.TB, target string, mode PoolMode) string {
	t.Helper()
	program := findProgram(t, "pgbouncer")
	to, err := pgx.ParseConfig(target)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "rolecall-pgbouncer-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	addr := freeAddr(t)
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", to.User, to.Password), 0o600))
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"[databases]\n* = host=%s port=%d\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %s\nunix_socket_dir =\nauth_type = trust\nauth_file = %s\n"+
			"pool_mode = %s\nlogfile =\npidfile =\n", to.Host, to.Port, host, port, users, mode), 0o600))
	cmd := exec.Command(program, config) //nolint:gosec,noctx // it outlives the test's context until the cleanup
	cmd.Dir = "/"
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if os.Geteuid() == 0 { // which pgbouncer refuses to run as
		owner := ownerOfPostgres(t)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &owner}
		for _, path := range []string{dir, users, config} {
			require.NoError(t, os.Lchown(path, int(owner.Uid), int(owner.Gid)))
		}
	}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	u := &url.URL{Scheme: "postgres", User: url.UserPassword(to.User, to.Password), Host: addr, Path: "/" + to.Database, RawQuery: "sslmode=disable"}
	awaitServer(t, u.String(), out)
	return u.String()
}

// awaitServer waits until something behind a URL answers.
func awaitServer(t testing.TB, target string, log fmt.Stringer) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, target)
		if err != nil {
			return false
		}
		return conn.Close(ctx) == nil
	}, 10*time.Second, 10*time.Millisecond, "%s", log)
}

// NeedsProgram skips a test that needs a program which isn't installed; in CI it fails.
func NeedsProgram(t testing.TB, name string) {
	t.Helper()
	findProgram(t, name)
}

// findProgram returns where a program is that go test can't count on.
func findProgram(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s isn't installed: apt-get install %s", name, name)
	}
	t.Skipf("%s isn't installed: apt-get install %s", name, name) //nolint:forbidigo // the agreed exception: in CI it fails
	return ""
}

// freeAddr is a loopback address that nothing listened on just now.
func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}

// ownerOfPostgres is the account that root hands its servers to.
func ownerOfPostgres(t testing.TB) syscall.Credential {
	t.Helper()
	return (&Cluster{t: t, server: running(t).fast.running(t)}).owner()
}
