package pgtest

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/migrations"
)

// endTimeout bounds the end of one server.
const endTimeout = 20 * time.Second

// Cluster is a durable Postgres server for one test alone. It may be crashed, started again, copied
// to standbys, and promoted. It listens on one loopback port for its whole life.
type Cluster struct {
	t        testing.TB
	server   *pgdev.Server
	settings map[string]string
	dir      string
	addr     string
	receives string // primary_conninfo, of a standby
}

// clusterMemory is the free memory that a cluster's data needs. A crash here ends processes only,
// so a file system in memory survives it.
const clusterMemory = 1 << 30

// NewCluster starts one, with settings of its own. It ends with the test.
func NewCluster(t testing.TB, settings map[string]string) *Cluster {
	t.Helper()
	if os.Getenv(urlEnv) != "" {
		t.Logf("pgtest: this test starts a server of its own, whatever %s says", urlEnv)
	}
	c := newCluster(t, settings)
	c.start()
	return c
}

// newCluster makes the folder of a cluster that isn't started yet. It ends with the test.
func newCluster(t testing.TB, settings map[string]string) *Cluster {
	t.Helper()
	dir, err := os.MkdirTemp(pgdev.MemoryDir(clusterMemory), "rolecall-cluster-") //nolint:usetesting // a folder that another account can enter
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // another account runs Postgres in a folder below
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	c := &Cluster{t: t, settings: settings, dir: filepath.Join(dir, "pg"), addr: "127.0.0.1:0"}
	t.Cleanup(c.stop)
	return c
}

func (c *Cluster) start() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), startTimeout)
	defer cancel()
	var err error
	c.server, err = pgdev.Start(ctx, pgdev.Config{DataDir: c.dir, TCPAddr: c.addr, Settings: c.settings})
	require.NoError(c.t, err)
	u, err := url.Parse(c.server.TCPURL(""))
	require.NoError(c.t, err)
	c.addr = u.Host
}

func (c *Cluster) stop() {
	if c.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := c.server.Stop(ctx); err != nil {
		c.t.Logf("pgtest: end a cluster: %v", err) // a crashed server has ended already
	}
}

// URL is the URL of a database of the cluster as its superuser, over TCP. The database need not
// exist.
func (c *Cluster) URL(database string) string { return c.server.TCPURL(database) }

// SocketURL is like URL over the Unix socket.
func (c *Cluster) SocketURL(database string) string { return c.server.URL(database) }

// Addr is the host and port.
func (c *Cluster) Addr() string { return c.addr }

// Exec runs statements, one by one, in a database as the superuser; in the default database if the
// name is empty.
func (c *Cluster) Exec(database string, statements ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), endTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.SocketURL(database))
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		_, err = conn.Exec(ctx, sql)
		require.NoError(c.t, err, sql)
	}
}

// Value runs SQL in a database as the superuser and returns the one value that it gives.
func (c *Cluster) Value(database, sql string) string {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), c.SocketURL(database))
	require.NoError(c.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(c.t.Context())) }()
	var value string
	require.NoError(c.t, conn.QueryRow(c.t.Context(), sql).Scan(&value), sql)
	return value
}

// Migrated makes a database with the schema, and returns its URL over TCP.
func (c *Cluster) Migrated(name string) string {
	c.t.Helper()
	c.Exec("", "CREATE DATABASE "+quote(name)+" ENCODING 'UTF8' TEMPLATE template0")
	pool, err := pgxpool.New(c.t.Context(), c.SocketURL(name))
	require.NoError(c.t, err)
	defer pool.Close()
	require.NoError(c.t, migrations.Up(c.t.Context(), pool))
	return c.URL(name)
}

// Crash kills the server with all its sessions, as a power cut does, except that the disk's own
// cache survives.
func (c *Cluster) Crash() {
	c.t.Helper()
	require.NoError(c.t, syscall.Kill(c.server.PID(), syscall.SIGKILL))
	<-c.server.Done()
	c.stop()
}

// Restart starts a server that crashed or was stopped on the same data and port.
func (c *Cluster) Restart() {
	c.t.Helper()
	c.start()
}

// Program runs one of Postgres' programs for clients, such as pg_dump, as this process's account.
// Without that program, the test is skipped; in CI it fails.
func (c *Cluster) Program(name string, args ...string) (output string) {
	c.t.Helper()
	out, err := exec.CommandContext(c.t.Context(), clientProgram(c.t, c.server.BinDir(), name), args...).CombinedOutput() //nolint:gosec // a program of Postgres
	require.NoError(c.t, err, "%s: %s", name, out)
	return string(out)
}

// owner is the account that runs the server.
func (c *Cluster) owner() syscall.Credential {
	info, err := os.Stat(c.server.DataDir())
	require.NoError(c.t, err)
	stat := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // on every Unix
	return syscall.Credential{Uid: stat.Uid, Gid: stat.Gid, Groups: []uint32{}}
}

func (c *Cluster) runAs(owner syscall.Credential, program string, args ...string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), program, args...) //nolint:gosec // a program of Postgres
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &owner}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
}
