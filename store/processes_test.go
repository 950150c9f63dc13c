package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
)

// TestProcesses_AreThoseThatGaveASignOfLife: each note is one, and says how much of Clerk's limit
// is used by then. River's leader is marked.
func TestProcesses_AreThoseThatGaveASignOfLife(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	first := store.Process{ID: "a_1", HostName: "a", PID: 7, Version: "v1", Web: true, Workers: true, Sweeps: true, Clerk: &store.ClerkUse{Sent: 3, Limit: 100}}
	second := store.Process{ID: "b_1", HostName: "b\x00", PID: 8, Version: "v2", Web: true}
	require.NoError(t, store.NoteProcess(ctx, db, first))
	require.NoError(t, store.NoteProcess(ctx, db, second))
	_, err := db.Exec(ctx, "INSERT INTO rolecall.river_leader (elected_at, expires_at, leader_id) VALUES (now(), now() + interval '1 min', 'a_1')")
	require.NoError(t, err)
	before, err := store.Processes(ctx, db)
	require.NoError(t, err)

	first.Clerk = &store.ClerkUse{Sent: 9, Limit: 1000, Paused: true}
	require.NoError(t, store.NoteProcess(ctx, db, first))
	after, err := store.Processes(ctx, db)
	require.NoError(t, err)
	require.Len(t, after, 2)
	require.Equal(t, before[0].StartedAt, after[0].StartedAt)
	require.True(t, after[0].SeenAt.After(before[0].SeenAt))
	require.Equal(t, first.Clerk, after[0].Clerk)
	require.True(t, after[0].Leads)
	require.Equal(t, "b\uFFFD", after[1].HostName, "Postgres holds no NUL")
	require.Nil(t, after[1].Clerk)
	require.False(t, after[1].Leads)

	_, err = db.Exec(ctx, "UPDATE rolecall.processes SET seen_at = now() - interval '1 hour' WHERE id = 'b_1'")
	require.NoError(t, err)
	require.NoError(t, store.PruneProcesses(ctx, db, time.Minute))
	left, err := store.Processes(ctx, db)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.NoError(t, store.ForgetProcess(ctx, db, "a_1"))
	left, err = store.Processes(ctx, db)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestMinutes_SumOverProcesses: a side that no process has is unknown, not 0.
func TestMinutes_SumOverProcesses(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	web := store.Measurement{Accepted: new(int64(5)), Questions: new(int64(100)), Refused: new(int64(3))}
	both := store.Measurement{
		Accepted: new(int64(1)), Questions: new(int64(10)), Refused: new(int64(1)), Applied: new(int64(6)), Longest: 70 * time.Millisecond,
		Waits: store.Waits{0: 4, 1: 1, 4: 1},
	}
	require.NoError(t, store.AddMeasurement(ctx, db, "a", web))
	onlyWeb := minute(t, db)
	require.Nil(t, onlyWeb.Applied)
	require.Zero(t, onlyWeb.Longest)
	require.EqualValues(t, 5, *onlyWeb.Accepted)

	require.NoError(t, store.AddMeasurement(ctx, db, "a", web))
	require.NoError(t, store.AddMeasurement(ctx, db, "b", both))
	both.Longest = 30 * time.Millisecond
	require.NoError(t, store.AddMeasurement(ctx, db, "b", both))
	// A note may fall into the next minute; the sum of all minutes doesn't depend on that.
	sum := minute(t, db)
	require.EqualValues(t, 12, *sum.Accepted)
	require.EqualValues(t, 220, *sum.Questions)
	require.EqualValues(t, 8, *sum.Refused)
	require.EqualValues(t, 12, *sum.Applied)
	require.Equal(t, 70*time.Millisecond, sum.Longest)
	require.Equal(t, store.Waits{0: 8, 1: 2, 4: 2}, sum.Waits)

	require.NoError(t, store.PruneMeasurements(ctx, db, time.Hour, 10))
	require.NotNil(t, minute(t, db).Accepted, "it is young")
	_, err := db.Exec(ctx, "UPDATE rolecall.measurements SET minute = minute - interval '2 hours'")
	require.NoError(t, err)
	require.NoError(t, store.PruneMeasurements(ctx, db, time.Hour, 10))
	minutes, err := store.Minutes(ctx, db, time.Time{})
	require.NoError(t, err)
	require.Empty(t, minutes)
}

// minute adds all minutes up.
func minute(t *testing.T, db store.DBTX) (sum store.Measurement) {
	t.Helper()
	minutes, err := store.Minutes(t.Context(), db, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	for _, m := range minutes {
		sum = sum.Plus(m.Measurement)
	}
	return sum
}

func TestWaits_AtMost(t *testing.T) {
	t.Parallel()
	var waits store.Waits
	require.Zero(t, waits.AtMost(0.5, 0), "nothing was measured")
	for _, d := range []time.Duration{time.Millisecond, 4 * time.Millisecond, 5 * time.Millisecond, 80 * time.Millisecond} {
		waits[store.WaitRange(d)]++
	}
	require.Equal(t, store.Waits{0: 3, 4: 1}, waits)
	require.Equal(t, 5*time.Millisecond, waits.AtMost(0.5, 80*time.Millisecond))
	require.Equal(t, 80*time.Millisecond, waits.AtMost(0.99, 80*time.Millisecond), "none was longer than the longest")
	waits[store.WaitRange(time.Hour)] += 96
	require.Equal(t, time.Hour, waits.AtMost(0.5, time.Hour), "the last range has no bound")
}
