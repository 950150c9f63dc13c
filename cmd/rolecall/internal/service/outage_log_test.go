package service_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// cutOff closes a database to all sessions until back is called.
func cutOff(t *testing.T, databaseURL string) (back func()) {
	t.Helper()
	cfg, err := pgx.ParseConfig(databaseURL)
	require.NoError(t, err)
	name := pgx.Identifier{cfg.Database}.Sanitize()
	cfg.Database = "postgres"
	other, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close(t.Context())) })
	exec := func(sql string, args ...any) {
		_, err := other.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec("ALTER DATABASE " + name + " ALLOW_CONNECTIONS false")
	parsed, err := url.Parse(databaseURL)
	require.NoError(t, err)
	exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", strings.TrimPrefix(parsed.Path, "/"))
	return func() { exec("ALTER DATABASE " + name + " ALLOW_CONNECTIONS true") }
}

// warnings counts the lines of a log that are warnings or errors, by message.
func warnings(t *testing.T, log string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(log) {
		var l struct {
			Level string `json:"level"`
			Msg   string `json:"msg"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if l.Level == "WARN" || l.Level == "ERROR" {
			counts[l.Msg]++
		}
	}
	return counts
}

// mostLines is how many warnings and errors a process writes in an outage of the database.
const mostLines = 10

// requireTold looks at what a service logged of an outage that is over: one line when the database
// went, one when it was back, and few others.
func requireTold(t *testing.T, log string) {
	t.Helper()
	all := warnings(t, log)
	told, lines := 0, 0
	for message, n := range all {
		lines += n
		if strings.HasPrefix(message, "the database is away") || message == "the database is back" {
			told++
			require.Equal(t, 1, n, message)
		}
	}
	require.Equal(t, 2, told, "%v", all)
	require.LessOrEqual(t, lines, mostLines, "%v", all)
}

// TestLog_OutageWritesFewLines: the database is away until that is noticed, while webhooks and
// probes come.
func TestLog_OutageWritesFewLines(t *testing.T) {
	t.Parallel()
	const every = 50 * time.Millisecond
	b := servicetest.Setup(t, nil)
	before := len(b.Log.String())
	back := cutOff(t, b.Config.DatabaseURL)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n, until := 0, time.Now().Add(30*time.Second); time.Now().Before(until) && !strings.Contains(b.Log.String(), "the database is away"); n++ {
		<-ticker.C
		if n%10 == 0 {
			_, err := b.Clerk.CreateUser(clerksim.NewUser{})
			require.NoError(t, err)
		}
		for _, m := range b.Clerk.Drain() {
			_, _ = b.Courier.Send(t.Context(), m)
		}
		status, _ := b.Get(t, b.Admin("/readyz"), "")
		require.Equal(t, http.StatusServiceUnavailable, status)
	}
	back()
	require.Eventually(t, func() bool {
		status, _ := b.Get(t, b.Admin("/readyz"), "")
		return status == http.StatusOK && strings.Contains(b.Log.String(), "the database is back")
	}, 30*time.Second, every)
	requireTold(t, b.Log.String()[before:])
}

// TestAlarms_PausedQueueShowsAtOnce pauses a queue as an operator does.
func TestAlarms_PausedQueueShowsAtOnce(t *testing.T) {
	t.Parallel()
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true})
	db, err := pgxpool.New(t.Context(), b.Config.DatabaseURL)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	client, err := river.NewClient(riverpgxv5.New(db), &river.Config{Schema: migrations.Schema})
	require.NoError(t, err)
	alarms := func() []health.Alarm {
		read, err := store.ReadStatus(t.Context(), db)
		require.NoError(t, err)
		now, err := health.NewSituation(read, 0)
		require.NoError(t, err)
		return now.Alarms()
	}
	require.False(t, health.HasAlarm(alarms(), health.AlarmPaused))
	require.NoError(t, client.QueuePause(t.Context(), jobs.QueueRevocations, nil))
	require.True(t, health.HasAlarm(alarms(), health.AlarmPaused))
	require.NoError(t, client.QueueResume(t.Context(), jobs.QueueRevocations, nil))
	require.False(t, health.HasAlarm(alarms(), health.AlarmPaused))
}
