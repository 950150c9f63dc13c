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
	late, err := store.NoteLost(t.Context(), db, store.AcknowledgedDelivery, []store.Acknowledged{{ID: "msg_1", At: time.Now()}}, false)
	require.NoError(t, err)
	require.False(t, late, "the sweep after the change begins later")
	lost, err := store.ReadLost(t.Context(), db)
	require.NoError(t, err)
	require.True(t, lost.Any())
}

// TestNoteLost_AfterTheSweepThatFollowedTheChange: another process noticed the failover first, and
// its sweep went through. Of what this one lost, that made up for what was acknowledged before it.
func TestNoteLost_AfterTheSweepThatFollowedTheChange(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, store.SaveIdentity(t.Context(), db, store.Identity{Timeline: 1}))
	require.NoError(t, store.SaveIdentity(t.Context(), db, store.Identity{Timeline: 2, Change: "promoted"}))
	_, err := db.Exec(t.Context(), "UPDATE rolecall.database_identity SET changed_at = now() - interval '20 minutes'")
	require.NoError(t, err)
	sweep := func(ago string) {
		_, err := db.Exec(t.Context(), `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, progress, report)
			SELECT 'failover', '', false, 'ins_1', at, at, at, 'clean', '{}', '{}' FROM (VALUES (now() - $1::interval)) clean (at)`, ago)
		require.NoError(t, err)
	}
	sweep("19 minutes")
	note := func(id string, ago time.Duration) (late bool) {
		late, err := store.NoteLost(t.Context(), db, store.AcknowledgedDelivery, []store.Acknowledged{{ID: id, At: time.Now().Add(-ago)}}, false)
		require.NoError(t, err)
		return late
	}
	missing := func() int64 {
		lost, err := store.ReadLost(t.Context(), db)
		require.NoError(t, err)
		return lost.Deliveries
	}
	require.False(t, note("msg_before_the_change", 30*time.Minute))
	require.Zero(t, missing(), "the sweep made up for it")
	require.True(t, note("msg_after_the_sweep", 10*time.Minute))
	require.Equal(t, int64(1), missing())
	require.False(t, note("msg_after_the_sweep", 10*time.Minute), "it is noted already")
	require.True(t, note("msg_of_the_future", -time.Hour), "a clock was set back")
	require.Equal(t, int64(2), missing())
	sweep("0")
	require.Zero(t, missing(), "a sweep that began later")
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
