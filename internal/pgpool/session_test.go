package pgpool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// open opens a pool for a test.
func open(t *testing.T, c Config) *pgxpool.Pool {
	t.Helper()
	pool, err := Open(context.WithoutCancel(t.Context()), c)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// reasonOf returns why a session was refused; "" if it wasn't.
func reasonOf(err error) Reason {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Reason
	}
	return ""
}

// hostile are settings of the database that would change what Rolecall's SQL means or promises.
func hostile(t *testing.T, c *pgtest.Cluster, database string) {
	t.Helper()
	for _, s := range []string{
		"default_transaction_isolation = 'serializable'", "synchronous_commit = off", "search_path = app, pg_catalog", "client_encoding = 'LATIN1'",
		"statement_timeout = '1s'", "idle_in_transaction_session_timeout = '100ms'", "idle_session_timeout = '2s'", "lock_timeout = '1ms'",
		"standard_conforming_strings = off", "datestyle = 'German'", "timezone = 'Asia/Tokyo'",
	} {
		c.Exec("", "ALTER DATABASE "+database+" SET "+s)
	}
}

// TestSession_HasWhatItNeeds, whatever the database's defaults are, directly and through a pooler
// with its defaults.
func TestSession_HasWhatItNeeds(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	direct := c.Migrated("rolecall")
	hostile(t, c, "rolecall")
	for _, mode := range []pgtest.PoolMode{"", pgtest.SessionPooling} {
		target := direct
		if mode != "" {
			c.Exec("", "ALTER DATABASE rolecall RESET idle_session_timeout") // it ends what a pooler keeps
			target = pgtest.PgBouncer(t, direct, mode)
		}
		for _, tt := range []struct {
			needs Needs
			want  string
		}{
			{Needs{Write: true, LockTimeout: time.Second}, "read committed|on|1s|0|off|UTF8|0"},
			{Needs{ReadOnly: true, StatementTimeout: 30 * time.Second}, "read committed|on|0|30s|on|UTF8|0"},
			{Needs{AsyncCommit: true}, "read committed|off|0|0|off|UTF8|0"},
		} {
			var got string
			require.NoError(t, open(t, Config{URL: target, Needs: tt.needs, Name: "rolecall test"}).QueryRow(t.Context(),
				`SELECT concat_ws('|', current_setting('default_transaction_isolation'), current_setting('synchronous_commit'), current_setting('lock_timeout'),
				current_setting('statement_timeout'), current_setting('default_transaction_read_only'), current_setting('client_encoding'),
				current_setting('idle_session_timeout'))`).Scan(&got))
			require.Equal(t, tt.want, got)
		}
	}
}

// TestSession_StricterSynchronousCommitStays: remote_apply isn't lowered to on.
func TestSession_StricterSynchronousCommitStays(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"remote_apply": "remote_apply", "local": "on", "remote_write": "on"} {
		u, err := url.Parse(pgtest.URL(t))
		require.NoError(t, err)
		u.RawQuery += "&options=-c%20synchronous_commit%3D" + given
		var got string
		require.NoError(t, open(t, Config{URL: u.String(), Needs: Needs{Write: true}}).QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&got))
		require.Equal(t, want, got)
	}
}

// TestParameters_OfTheURL are set by SQL, so that a pooler with its defaults accepts them.
func TestParameters_OfTheURL(t *testing.T) {
	t.Parallel()
	for _, target := range []string{pgtest.URL(t), pgtest.PgBouncer(t, pgtest.URL(t), pgtest.SessionPooling)} {
		for _, parameters := range []string{
			"work_mem=7MB", "options=-c%20work_mem%3D7MB", "options=--work-mem%3D7MB%20-cenable_seqscan%3Doff", "search_path=app&work_mem=7MB",
		} {
			u, err := url.Parse(target)
			require.NoError(t, err)
			u.RawQuery += "&" + parameters
			var got, path string
			require.NoError(t, open(t, Config{URL: u.String(), Needs: Needs{Write: true}}).QueryRow(t.Context(),
				"SELECT current_setting('work_mem'), current_setting('search_path')").Scan(&got, &path), parameters)
			require.Equal(t, "7MB", got)
			require.Equal(t, "pg_catalog, pg_temp", path)
		}
	}
}

func TestSession_EncodingsThatCannotHoldAllNames(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	for _, encoding := range []string{"LATIN1", "SQL_ASCII", "EUC_JP"} {
		name := "db_" + strings.ToLower(encoding)
		c.Exec("", fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' LOCALE 'C' TEMPLATE template0", name, encoding))
		pool := open(t, Config{URL: c.URL(name)})
		err := Await(t.Context(), pool)
		refused, ok := errors.AsType[*RefusedError](err)
		require.True(t, ok, "%v", err)
		require.True(t, refused.Lasting())
		require.ErrorContains(t, err, "the database "+name+" has the encoding "+encoding)
	}
}

// TestSession_ThatBecameReadOnly is thrown away: when a statement shows it, and after it was idle.
func TestSession_ThatBecameReadOnly(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	pool := open(t, Config{URL: c.URL(""), Needs: Needs{Write: true}, MaxConns: 1})
	write := func() error { _, err := pool.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS public.x ()"); return err }
	require.NoError(t, write())
	c.Exec("", "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	var err error
	require.Eventually(t, func() bool { // until the reload has come to the session
		_, err = pool.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS public.y ()")
		return err != nil
	}, 5*time.Second, 10*time.Millisecond)
	if state, ok := errors.AsType[*pgconn.PgError](err); ok {
		require.Equal(t, "25006", state.Code)
	} else {
		require.Equal(t, ReasonReadOnly, reasonOf(err))
	}
	require.Equal(t, ReasonReadOnly, reasonOf(write()), "not even opened")
	c.Exec("", "SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
	require.Eventually(t, func() bool { return write() == nil }, 5*time.Second, 10*time.Millisecond)
}

// TestSession_StandbyIsRefused at once. The primary behind the same URL is used as soon as it
// exists.
func TestSession_StandbyIsRefused(t *testing.T) {
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	standby := primary.Standby()
	for _, needs := range []Needs{{}, {Write: true}, {ReadOnly: true}} {
		err := Await(t.Context(), open(t, Config{URL: standby.URL(""), Needs: needs}))
		require.Equal(t, ReasonInRecovery, reasonOf(err))
	}
	both := "postgres://postgres@" + standby.Addr() + "," + primary.Addr() + "/postgres?sslmode=disable"
	p, err := pgx.ParseConfig(primary.URL(""))
	require.NoError(t, err)
	both = strings.Replace(both, "postgres@", "postgres:"+p.Password+"@", 1)
	for _, attributes := range []string{"", "&target_session_attrs=read-write", "&target_session_attrs=primary"} {
		var addr string
		require.NoError(t, open(t, Config{URL: both + attributes, Needs: Needs{ReadOnly: true}}).QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&addr))
		require.True(t, strings.HasSuffix(primary.Addr(), ":"+addr), "the second host is the primary")
	}
}

// TestLineage_TwoPrimaries: once the new one is known, no session of the old one answers.
func TestLineage_TwoPrimaries(t *testing.T) {
	t.Parallel()
	old := pgtest.NewCluster(t, nil)
	promoted := old.Standby()
	name := pgtest.NewSwitch(t, old.Addr())
	var changes []Change
	lineage := NewLineage(func(c Change) { changes = append(changes, c) })
	reads := open(t, Config{URL: name.URL(old.URL("")), Needs: Needs{ReadOnly: true}, MaxConns: 3, Lineage: lineage, Follows: true})
	admin := open(t, Config{URL: name.URL(old.URL("")), MaxConns: 1, Lineage: lineage, Fresh: 100 * time.Millisecond})
	port := func(pool *pgxpool.Pool) (port string) {
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&port))
		return port
	}
	busy, err := reads.Acquire(t.Context())
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(old.Addr(), port(reads)))
	port(admin)
	answer := make(chan error, 1)
	go func() {
		_, err := busy.Exec(context.WithoutCancel(t.Context()), "SELECT pg_sleep(60)")
		answer <- err
	}()
	promoted.Promote()
	name.Turn(promoted.Addr())
	require.Eventually(t, func() bool { return strings.HasSuffix(promoted.Addr(), port(admin)) }, 5*time.Second, 10*time.Millisecond)
	require.True(t, strings.HasSuffix(promoted.Addr(), port(reads)))
	require.Error(t, <-answer, "also the statement under way")
	busy.Release()
	require.Len(t, changes, 1)
	require.Equal(t, changes[0].Before.System, changes[0].After.System)
	require.Equal(t, changes[0].Before.Timeline+1, changes[0].After.Timeline)

	name.Turn(old.Addr()) // which is still up
	name.Cut()
	refusedFor(t, reads, ReasonOlderTimeline)
}

// refusedFor waits until a pool has noticed that its sessions were cut, and new ones are refused.
func refusedFor(t *testing.T, pool *pgxpool.Pool, reason Reason) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := pool.Exec(t.Context(), "SELECT")
		refused, ok := errors.AsType[*RefusedError](err)
		return ok && refused.Reason == reason
	}, 5*time.Second, 10*time.Millisecond)
}

func TestLineage_OtherClusterIsNoticed(t *testing.T) {
	t.Parallel()
	one, other := pgtest.NewCluster(t, nil), pgtest.NewCluster(t, nil)
	name := pgtest.NewSwitch(t, one.Addr())
	var changes []Change
	lineage := NewLineage(func(c Change) { changes = append(changes, c) })
	p1, err := url.Parse(one.URL(""))
	require.NoError(t, err)
	secret, _ := p1.User.Password()
	other.Exec("", "ALTER ROLE postgres PASSWORD '"+secret+"'")
	writes := open(t, Config{URL: name.URL(one.URL("")), Needs: Needs{Write: true}, Lineage: lineage})
	reads := open(t, Config{URL: one.URL(""), Needs: Needs{ReadOnly: true}, Lineage: lineage, Follows: true})
	require.NoError(t, Await(t.Context(), writes))
	require.NoError(t, Await(t.Context(), reads))
	name.Turn(other.Addr())
	name.Cut()
	require.Eventually(t, func() bool { _, err := writes.Exec(t.Context(), "SELECT"); return err == nil }, 5*time.Second, 10*time.Millisecond)
	require.Len(t, changes, 1)
	require.NotEqual(t, changes[0].Before.System, changes[0].After.System)
	refusedFor(t, reads, ReasonOtherSystem)
}

// TestSession_WaitsForAConnectionInUse instead of failing at once.
func TestSession_WaitsForAConnectionInUse(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	c.Exec("", "CREATE ROLE app LOGIN PASSWORD 'secret' CONNECTION LIMIT 1")
	u, err := url.Parse(c.URL(""))
	require.NoError(t, err)
	u.User = url.UserPassword("app", "secret")
	held, err := pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	pool := Pool{open(t, Config{URL: u.String(), MaxConns: 2})}
	done := make(chan error, 1)
	go func() {
		var one int
		done <- pool.QueryRow(t.Context(), "SELECT 1").Scan(&one)
	}()
	select {
	case err := <-done:
		t.Fatalf("it didn't wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	require.NoError(t, held.Close(t.Context()))
	require.NoError(t, <-done)
}

// TestSession_CompilesNothing, although Postgres compiles what it expects to be long.
func TestSession_CompilesNothing(t *testing.T) {
	t.Parallel()
	conn, err := open(t, Config{URL: pgtest.URL(t)}).Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "SET jit_above_cost = 0")
	require.NoError(t, err)
	var plan string
	require.NoError(t, conn.QueryRow(t.Context(), "EXPLAIN (FORMAT json) SELECT count(*) FROM pg_class").Scan(&plan))
	require.NotContains(t, plan, "JIT")
}

// TestByKey_NoPlanReadsAWholeTable, although the table was small when it was planned: a session
// keeps its plans while the table grows.
func TestByKey_NoPlanReadsAWholeTable(t *testing.T) {
	t.Parallel()
	for needs, whole := range map[Needs]bool{{Write: true}: true, {Write: true, ByKey: true}: false} {
		conn, err := open(t, Config{URL: pgtest.URL(t), Needs: needs}).Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		for _, sql := range []string{
			"CREATE TABLE public.grown (id text PRIMARY KEY)",
			"INSERT INTO public.grown SELECT 'a' || i FROM generate_series(1, 60) i", "ANALYZE public.grown",
			"PREPARE find (text[]) AS SELECT FROM public.grown WHERE id = ANY ($1)",
		} {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
		var plan string
		require.NoError(t, conn.QueryRow(t.Context(), "EXPLAIN EXECUTE find ('{a1,a2,a3,a4,a5,a6,a7,a8,a9}')").Scan(&plan))
		require.Equal(t, whole, strings.Contains(plan, "Seq Scan"), plan)
	}
}

// TestSession_WorksWhereTheServerDoesNotTell: a provider keeps functions from its customers' roles,
// and Aurora has no WAL to tell of.
func TestSession_WorksWhereTheServerDoesNotTell(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	target := c.Migrated("rolecall")
	for name, state := range map[string]string{"refused": "42501", "not supported": "0A000", "without WAL": "55000"} {
		pgtest.Untold(t, c.SocketURL("rolecall"), state)
		pool := open(t, Config{URL: target, Needs: Needs{Write: true}})
		require.NoError(t, pool.Ping(t.Context()), name)
		report, err := Inspect(t.Context(), Config{URL: target})
		require.NoError(t, err, name)
		require.Zero(t, report.Identity, name)
	}
}
