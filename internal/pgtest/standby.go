package pgtest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"
)

// Several servers: a primary, its standbys, and the networks between them. A test crashes, hangs
// and promotes them, pauses their replay, and cuts and mends what is between any two ([Switch]).

// standbyTimeout bounds waiting for a standby: it follows within milliseconds.
const standbyTimeout = 20 * time.Second

// Standby copies the cluster and starts the copy as a streaming standby. The standby streams
// through ways, if there is one: a switch that leads to the cluster. It ends with the test.
func (c *Cluster) Standby(ways ...*Switch) *Cluster {
	c.t.Helper()
	s := newCluster(c.t, c.settings)
	s.copyFrom(c, ways)
	return s
}

// Follow makes a server that crashed or was stopped a standby of another one, as an old primary
// that joins again. It takes a fresh copy, and keeps its address.
func (c *Cluster) Follow(primary *Cluster, ways ...*Switch) {
	c.t.Helper()
	require.NoError(c.t, os.RemoveAll(c.dir))
	c.copyFrom(primary, ways)
}

func (c *Cluster) copyFrom(primary *Cluster, ways []*Switch) {
	c.t.Helper()
	copies := filepath.Join(primary.server.BinDir(), "pg_basebackup")
	if _, err := os.Stat(copies); err != nil { // as where the tests fetched Postgres
		Lacks(c.t, "pg_basebackup")
	}
	owner := primary.owner()
	require.NoError(c.t, os.Mkdir(c.dir, 0o700))
	require.NoError(c.t, os.Lchown(c.dir, int(owner.Uid), int(owner.Gid)))
	for _, name := range []string{"owner.lock", "password"} { // as pgdev has them
		content, err := os.ReadFile(filepath.Join(primary.server.DataDir(), name)) //nolint:gosec // the test's own folder
		require.NoError(c.t, err)
		require.NoError(c.t, os.WriteFile(filepath.Join(c.dir, name), content, 0o600)) //nolint:gosec // the test's own folder
		require.NoError(c.t, os.Lchown(filepath.Join(c.dir, name), int(owner.Uid), int(owner.Gid)))
	}
	from, err := url.Parse(primary.URL(""))
	require.NoError(c.t, err)
	if len(ways) > 0 {
		from.Host = ways[0].Addr()
	}
	password, _ := from.User.Password()
	c.receives = fmt.Sprintf("host=%s port=%s user=%s password=%s sslmode=disable", from.Hostname(), from.Port(), from.User.Username(), password)
	c.runAs(owner, copies, "-D", filepath.Join(c.dir, "pgdata"), "-R", "-X", "stream",
		"-c", "fast", "-d", c.receives)
	c.start()
}

// Promote makes a standby a primary.
func (c *Cluster) Promote() {
	c.t.Helper()
	c.Exec("", "SELECT pg_promote(true, 30)")
}

// PauseReplay makes a standby receive what the primary writes, and not show it.
func (c *Cluster) PauseReplay() {
	c.t.Helper()
	c.Exec("", "SELECT pg_wal_replay_pause()")
	c.await("SELECT pg_get_wal_replay_pause_state()", "paused")
}

// ResumeReplay ends [Cluster.PauseReplay].
func (c *Cluster) ResumeReplay() {
	c.t.Helper()
	c.Exec("", "SELECT pg_wal_replay_resume()")
}

// StopReceiving makes a standby receive nothing more: it lags from now on.
func (c *Cluster) StopReceiving() {
	c.t.Helper()
	c.Exec("", "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	c.await("SELECT count(*)::text FROM pg_stat_wal_receiver", "0")
}

// StartReceiving ends [Cluster.StopReceiving].
func (c *Cluster) StartReceiving() {
	c.t.Helper()
	c.Exec("", "ALTER SYSTEM SET primary_conninfo = '"+c.receives+"'", "SELECT pg_reload_conf()")
}

// CatchUp waits until a standby shows all that another server has on disk now.
func (c *Cluster) CatchUp(primary *Cluster) {
	c.t.Helper()
	position := primary.Value("", "SELECT pg_current_wal_flush_lsn()::text")
	c.await("SELECT (pg_last_wal_replay_lsn() >= '"+position+"')::text", "true")
}

// Synchronous makes each commit of a primary wait until a standby has it on disk. It waits for the
// first standby.
func (c *Cluster) Synchronous() {
	c.t.Helper()
	c.Exec("", "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	c.await("SELECT (count(*) > 0)::text FROM pg_stat_replication WHERE sync_state = 'sync'", "true")
}

// Asynchronous ends [Cluster.Synchronous].
func (c *Cluster) Asynchronous() {
	c.t.Helper()
	c.Exec("", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
}

// await waits until SQL gives a value.
func (c *Cluster) await(sql, value string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.Value("", sql) == value }, standbyTimeout, time.Millisecond, sql)
}
