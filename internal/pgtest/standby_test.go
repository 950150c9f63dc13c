package pgtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStandby: what happens to the network and the servers shows, and the old primary joins again.
func TestStandby(t *testing.T) {
	t.Parallel()
	primary := NewCluster(t, nil)
	way := NewSwitch(t, primary.Addr())
	standby := primary.Standby(way)
	primary.Exec("", "CREATE TABLE t AS SELECT 1 AS n")
	standby.CatchUp(primary)
	rows := func(c *Cluster) string { return c.Value("", "SELECT count(*)::text FROM t") }
	require.Equal(t, "1", rows(standby))

	standby.PauseReplay()
	primary.Exec("", "INSERT INTO t VALUES (2)")
	require.Equal(t, "1", rows(standby))
	standby.ResumeReplay()
	standby.CatchUp(primary)
	require.Equal(t, "2", rows(standby))

	primary.Synchronous()
	primary.Exec("", "INSERT INTO t VALUES (3)")
	primary.Asynchronous()
	way.Hang() // the network between them swallows all
	primary.Exec("", "INSERT INTO t VALUES (4)")
	require.NotEqual(t, "4", rows(standby))
	way.Wake()
	standby.CatchUp(primary)
	require.Equal(t, "4", rows(standby))

	standby.StopReceiving()
	primary.Exec("", "INSERT INTO t VALUES (5)")
	standby.StartReceiving()
	standby.CatchUp(primary)
	standby.StopReceiving()
	primary.Exec("", "INSERT INTO t VALUES (6)")
	primary.Crash()
	standby.Promote()
	require.Equal(t, "5", rows(standby), "the last one is lost")
	began := time.Now()
	primary.Follow(standby)
	t.Logf("the old primary joined again after %s", time.Since(began))
	standby.Exec("", "INSERT INTO t VALUES (7)")
	primary.CatchUp(standby)
	require.Equal(t, "6", rows(primary))
}
