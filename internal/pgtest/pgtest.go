package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

const (
	// poolConns is the size of a test's pool. It is enough for two transactions that wait for each
	// other, and for connections that watch them. It is few enough for hundreds of tests at once.
	poolConns = 4
	// closeTimeout is how long a test's pool waits for its connections before the test fails for
	// keeping one.
	closeTimeout = 10 * time.Second
)

// New returns a pool of up to four connections to a migrated database that only this test has. The
// pool is closed at the test's end; a connection that the test still holds by then fails it.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, URL(t))
}

// URL returns the postgres:// URL of a migrated database that only this test has, for programs that
// open their own pool. Connections that are still open at the test's end are cut.
func URL(t testing.TB) string {
	t.Helper()
	return running(t).fast.url(t, migrated)
}

// NewEmpty is [New] with a database in which no migration ran.
func NewEmpty(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, EmptyURL(t))
}

// EmptyURL is [URL] with a database in which no migration ran.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return running(t).fast.url(t, empty)
}

// NewDurable is [New] on a server of its own that is durable as in production: fsync on, and on
// disk. It is for benchmarks and for tests that crash things.
func NewDurable(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, DurableURL(t))
}

// DurableURL is [URL] on the server of [NewDurable], for benchmarks that want a larger pool.
func DurableURL(t testing.TB) string {
	t.Helper()
	return running(t).durable.url(t, migrated)
}

func open(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	cfg.MaxConns = poolConns
	// This isn't the test's context, which ends before cleanups run: the pool would lose its
	// connections first.
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool doesn't wait forever, as Close would, for a connection that a test forgot to release.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		t.Errorf("%d connections of the test's pool were never released", pool.Stat().AcquiredConns())
	}
}
