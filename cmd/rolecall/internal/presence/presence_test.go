package presence_test

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/presence"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func start(t *testing.T, db *pgxpool.Pool, counters *presence.Counters, log *testlog.Lines) (*presence.Presence, store.Process) {
	t.Helper()
	process := presence.NewProcess(true, true, true)
	p, err := presence.Start(t.Context(), presence.Config{
		Pool: db, Process: process, Counters: counters, Logger: log.Logger(),
		Clerk: func() *store.ClerkUse { return &store.ClerkUse{Sent: 1, Limit: 2} },
	})
	require.NoError(t, err)
	return p, process
}

// TestPresence_NotesTheProcessAndItsWork: at once when it starts, and for the last time when it
// ends. Then the process is gone, and what it did stays.
func TestPresence_NotesTheProcessAndItsWork(t *testing.T) {
	t.Parallel()
	ctx, db, counters := t.Context(), pgtest.New(t), &presence.Counters{}
	p, process := start(t, db, counters, &testlog.Lines{})
	require.Eventually(t, func() bool {
		running, err := store.Processes(ctx, db)
		return err == nil && len(running) == 1 && running[0].ID == process.ID && running[0].PID == os.Getpid() && running[0].Clerk.Limit == 2
	}, 30*time.Second, time.Millisecond)

	var counting sync.WaitGroup
	for i := range 50 {
		counting.Go(func() {
			counters.Accepted()
			counters.Decided(i%5 != 0)
			counters.Applied(time.Duration(i) * time.Millisecond)
		})
	}
	counting.Wait()
	p.Stop(ctx)
	running, err := store.Processes(ctx, db)
	require.NoError(t, err)
	require.Empty(t, running)
	minutes, err := store.Minutes(ctx, db, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	var sum store.Measurement
	for _, m := range minutes {
		sum = sum.Plus(m.Measurement)
	}
	require.EqualValues(t, 50, *sum.Accepted)
	require.EqualValues(t, 50, *sum.Questions)
	require.EqualValues(t, 10, *sum.Refused)
	require.EqualValues(t, 50, *sum.Applied)
	require.Equal(t, 49*time.Millisecond, sum.Longest)
	require.Equal(t, store.Waits{6, 5, 10, 29}, sum.Waits)
}

// TestPresence_OutlivesTheDatabase: a note that fails is logged, and stopping returns.
func TestPresence_OutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	db, log := pgtest.New(t), &testlog.Lines{}
	_, err := db.Exec(t.Context(), "DROP TABLE rolecall.processes")
	require.NoError(t, err)
	p, _ := start(t, db, &presence.Counters{}, log)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "couldn't note itself") }, 30*time.Second, time.Millisecond)
	p.Stop(t.Context())
}

func TestNewProcess_HasAnIDOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := presence.NewProcess(true, false, false), presence.NewProcess(true, false, false)
	require.NotEqual(t, a.ID, b.ID)
	require.Less(t, len(a.ID), 100, "River accepts no longer one")
	require.NotEmpty(t, a.Version)
}
