package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
)

// TestSaveIdentity_DatesAChangeAfterEachSweep: the clock of the old primary was ahead, and no sweep
// from before the change may count as one after it.
func TestSaveIdentity_DatesAChangeAfterEachSweep(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := db.Exec(t.Context(), `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, progress, report)
		SELECT 'interval', '', false, 'ins_1', at, at, at, 'clean', '{}', '{}' FROM (VALUES (now() + interval '5 seconds')) clean (at)`)
	require.NoError(t, err)
	require.NoError(t, store.SaveIdentity(t.Context(), db, store.Identity{Timeline: 1}))
	require.NoError(t, store.SaveIdentity(t.Context(), db, store.Identity{Timeline: 2, Change: "promoted"}))
	clean, err := store.LastCleanSweep(t.Context(), db)
	require.NoError(t, err)
	identity, err := store.KnownIdentity(t.Context(), db)
	require.NoError(t, err)
	require.False(t, clean.StartedAt.After(*identity.ChangedAt))
	require.NoError(t, store.NoteLost(t.Context(), db, store.AcknowledgedDelivery, []store.Acknowledged{{ID: "msg_1", At: time.Now()}}, false))
	lost, err := store.ReadLost(t.Context(), db)
	require.NoError(t, err)
	require.True(t, lost.Any())
}

// TestCurrentHistory_IsThatOfTheNotedServer alone, and each change begins another one.
func TestCurrentHistory_IsThatOfTheNotedServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	current := func() string {
		var history string
		require.NoError(t, db.QueryRow(t.Context(), "SELECT coalesce(rolecall.current_history()::text, '')").Scan(&history))
		return history
	}
	exec := func(sql string) {
		_, err := db.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.Empty(t, current(), "nobody has noted this server yet")
	var here store.Identity
	require.NoError(t, db.QueryRow(t.Context(), `SELECT system_identifier::text, ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::bigint
		FROM pg_control_system()`).Scan(&here.System, &here.Timeline))
	require.NoError(t, store.SaveIdentity(t.Context(), db, here))
	first := current()
	require.NotEmpty(t, first)
	require.NoError(t, store.SaveIdentity(t.Context(), db, here))
	require.Equal(t, first, current(), "without a change")

	here.Change = "from here to there"
	require.NoError(t, store.SaveIdentity(t.Context(), db, here))
	second := current()
	require.NotEmpty(t, second)
	require.NotEqual(t, first, second)
	noted, err := store.KnownIdentity(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, second, noted.History)

	exec("UPDATE rolecall.database_identity SET changed_at = changed_at + interval '1 second'")
	third := current()
	require.NotEqual(t, second, third, "as an older instance notes a change")
	for name, of := range map[string]string{
		"another timeline": "timeline = timeline + 1", "another cluster": "system_identifier = '7'", "another table": "table_oid = 1",
	} {
		exec("UPDATE rolecall.database_identity SET " + of)
		require.Empty(t, current(), name)
		require.NoError(t, store.SaveIdentity(t.Context(), db, store.Identity{System: here.System, Timeline: here.Timeline}))
		require.Equal(t, third, current(), name)
	}
	exec("UPDATE rolecall.database_identity SET timeline = 0, system_identifier = '', table_oid = NULL")
	require.Equal(t, third, current(), "what isn't known counts as equal")
}
