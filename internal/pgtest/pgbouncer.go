package pgtest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
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

// bouncerTries is how often another port is tried: another process may take the free one first.
const bouncerTries = 5

// PgBouncer starts a real pgbouncer in front of a database, and returns the database's URL through
// it. It has the given mode and settings, such as "default_pool_size = 2", and otherwise
// pgbouncer's defaults. Without an installed pgbouncer, the test is skipped; in CI it fails.
func PgBouncer(t testing.TB, target string, mode PoolMode, settings ...string) string {
	t.Helper()
	program := FindProgram(t, "pgbouncer")
	to, err := pgx.ParseConfig(target)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "rolecall-pgbouncer-") //nolint:usetesting // a folder that another account can enter
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", to.User, to.Password), 0o600))
	for range bouncerTries {
		addr := freeAddr(t)
		host, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
			"[databases]\n* = host=%s port=%d\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %s\nunix_socket_dir =\nauth_type = trust\n"+
				"auth_file = %s\npool_mode = %s\nlogfile =\npidfile =\n%s\n",
			to.Host, to.Port, host, port, users, mode, strings.Join(settings, "\n")), 0o600))
		u := &url.URL{Scheme: "postgres", User: url.UserPassword(to.User, to.Password), Host: addr, Path: "/" + to.Database, RawQuery: "sslmode=disable"}
		if startBouncer(t, program, dir, u.String()) {
			return u.String()
		}
	}
	t.Fatalf("pgbouncer found no port that is free")
	return ""
}

// startBouncer starts pgbouncer, and reports whether it answers at a URL. It ends with the test,
// and with the process of the test.
func startBouncer(t testing.TB, program, dir, target string) bool {
	t.Helper()
	config := filepath.Join(dir, "pgbouncer.ini")
	cmd := exec.Command(program, config) //nolint:gosec,noctx // it outlives the test's context until the cleanup
	cmd.Dir = "/"
	out := &lockedBuilder{}
	cmd.Stdout, cmd.Stderr = out, out
	var owner *syscall.Credential
	if os.Geteuid() == 0 { // pgbouncer refuses to run as root
		postgres := ownerOfPostgres(t)
		owner = &postgres
		for _, path := range []string{dir, filepath.Join(dir, "users"), config} {
			require.NoError(t, os.Lchown(path, int(owner.Uid), int(owner.Gid)))
		}
	}
	cmd.SysProcAttr = endsWithTests(owner)
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the kernel ends it with the thread that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it was killed
		}
	}()
	require.NoError(t, <-started)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	})
	return awaitServer(t, target, ended, out)
}

// awaitServer waits until the server behind a URL answers. It returns false if the server ended
// instead, for example because its port is taken.
func awaitServer(t testing.TB, target string, ended <-chan struct{}, log fmt.Stringer) (answers bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		select {
		case <-ended:
			return true
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, target)
		answers = err == nil && conn.Close(ctx) == nil
		return answers
	}, 20*time.Second, 10*time.Millisecond, "%s", log)
	return answers
}

// lockedBuilder collects what a process prints.
type lockedBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String implements fmt.Stringer.
func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// freeAddr is a loopback address with a port that was free a moment ago.
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
