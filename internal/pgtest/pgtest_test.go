package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/migrations"
)

// leakEnv makes the test binary leave a goroutine behind.
const leakEnv = "PGTEST_TEST_LEAK"

func TestMain(m *testing.M) {
	if os.Getenv(leakEnv) != "" {
		go func() { select {} }()
	}
	os.Exit(Main(m))
}

// TestNew_TwoHundredDatabases is the load of a large suite: every test writes to a migrated
// database of its own.
func TestNew_TwoHundredDatabases(t *testing.T) {
	t.Parallel()
	began := time.Now()
	t.Cleanup(func() {
		t.Logf("200 databases made, used and dropped in %v", time.Since(began).Round(time.Millisecond))
	})
	for i := range 200 {
		t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
			t.Parallel()
			pool := New(t)
			require.NoError(t, migrations.Check(t.Context(), pool))
			_, err := pool.Exec(t.Context(), "CREATE TABLE mine AS SELECT $1::int AS i", i)
			require.NoError(t, err, "another test's table is here")
			require.EqualValues(t, poolConns, pool.Config().MaxConns)
		})
	}
}

func TestEmpty_HasNoMigrations(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0", value(t, NewEmpty(t), "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'rolecall'"))
	require.Equal(t, "1", value(t, New(t), "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'rolecall'"))
}

func TestDurable_IsDurable(t *testing.T) {
	t.Parallel()
	const settings = "SELECT current_setting('fsync') || ' ' || current_setting('synchronous_commit')"
	if os.Getenv(urlEnv) == "" {
		require.Equal(t, "on on", value(t, NewDurable(t), settings))
		require.Equal(t, "off off", value(t, New(t), settings))
	}
}

func TestURL_SurvivesConnectionsLeftOpen(t *testing.T) { //nolint:tparallel // the end of its subtest is waited for
	t.Parallel()
	var name string
	t.Run("leaves one open", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), URL(t))
		require.NoError(t, err)
		name = conn.Config().Database
	})
	require.False(t, exists(t, New(t), name), "dropped all the same")
}

func TestNew_FailedDatabaseIsKeptAndOpensAsSaid(t *testing.T) {
	t.Parallel()
	s := newServer(fastServer())
	failed, passed := &fakeTest{TB: t, failed: true}, &fakeTest{TB: t}
	conn, err := pgx.Connect(t.Context(), s.url(failed, migrated))
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE evidence AS SELECT 'found' AS it")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	s.url(passed, migrated)
	failed.end()
	passed.end()
	require.Empty(t, passed.log)
	require.NoError(t, s.stop(t.Context()))

	message, command, ok := strings.Cut(failed.log, "\n")
	require.True(t, ok, failed.log)
	require.Regexp(t, `database rolecall_test_testnew_faileddatabase\w+ is kept`, message)
	dir := regexp.MustCompile(`-D '(.+?)/pgdata'`).FindStringSubmatch(command)[1]
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.Equal(t, os.TempDir(), filepath.Dir(dir), "on disk")

	out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.TrimSpace(command)+" -Atc 'SELECT it FROM evidence'").CombinedOutput()
	pid, pidErr := os.ReadFile(filepath.Join(dir, "pgdata", "postmaster.pid"))
	require.NoError(t, pidErr, "%s", out)
	t.Cleanup(func() { endServer(t, string(pid)) })
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "found")
}

func TestMain_GivenServerIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	theirs, err := pgdev.Start(t.Context(), pgdev.Config{TempRoot: pgdev.MemoryDir(memoryNeeded)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, theirs.Stop(context.Background())) })
	pool, err := pgxpool.New(t.Context(), theirs.URL(""))
	require.NoError(t, err)
	defer pool.Close()
	const databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"
	before := value(t, pool, databases)

	s := newSuite(theirs.URL(""))
	test := &fakeTest{TB: t}
	conn, err := pgx.Connect(t.Context(), s.durable.url(test, migrated))
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NotEqual(t, before, value(t, pool, databases))
	test.end()
	require.NoError(t, s.stop(t.Context()))
	require.Equal(t, before, value(t, pool, databases))
}

func TestMain_NothingStartsUnasked(t *testing.T) {
	t.Parallel()
	s := newSuite("")
	require.NoError(t, s.stop(t.Context()))
	require.Nil(t, s.fast.pg)
}

func TestMain_LeakedGoroutineFailsTheRun(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDatabaseName$")
	cmd.Env = append(os.Environ(), leakEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s", out)
	require.Contains(t, string(out), "found unexpected goroutines")

	cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDatabaseName$")
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestDatabaseName(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^rolecall_test_testx_a_b_[a-z0-9]{10}$`, databaseName("TestX/A b"))
	long := databaseName(strings.Repeat("long", 40))
	require.Len(t, long, maxName)
	require.NotEqual(t, long, databaseName(strings.Repeat("long", 40)))
}

// fakeTest is a test that ends when told to, passed or failed.
type fakeTest struct {
	testing.TB
	failed   bool
	cleanups []func()
	log      string
}

func (f *fakeTest) Failed() bool      { return f.failed }
func (f *fakeTest) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTest) Logf(format string, args ...any) {
	f.log += fmt.Sprintf(format, args...) + "\n"
}

func (f *fakeTest) end() {
	for _, fn := range f.cleanups {
		fn()
	}
}

func value(t *testing.T, pool *pgxpool.Pool, sql string) string {
	t.Helper()
	var out string
	require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(&out))
	return out
}

func exists(t *testing.T, pool *pgxpool.Pool, name string) bool {
	t.Helper()
	var out bool
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&out))
	return out
}

// endServer ends a server that outlives its starter, by the content of its pid file.
func endServer(t *testing.T, pidFile string) {
	t.Helper()
	var pid int
	_, err := fmt.Sscan(pidFile, &pid)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGQUIT))
}
