package mirrortest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// Patience is how long a test waits at most for a condition that nothing signals.
	Patience = 20 * time.Second
	// pause is how long it waits from one look at the condition to the next.
	pause = 10 * time.Millisecond
)

// DB is a database of a test's own, and what is logged about it.
type DB struct {
	URL  string
	Pool *pgxpool.Pool
	Logs *testlog.Lines
}

// New returns a migrated database that is dropped at the test's end.
func New(t testing.TB) *DB {
	t.Helper()
	url := pgtest.URL(t)
	return &DB{URL: url, Pool: OpenPool(t, url, nil), Logs: &testlog.Lines{}}
}

// OpenPool opens a pool of twelve connections: enough for workers, River's upkeep, and a test that
// watches them. change may change its configuration; nil changes nothing.
func OpenPool(t testing.TB, url string, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	cfg.MaxConns = 12
	if change != nil {
		change(cfg)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg) // the test's context ends before cleanups run
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// Eventually waits until a condition holds. It suits a condition that nothing signals, and looks at
// it at intervals.
func Eventually(t require.TestingT, condition func() bool, msgAndArgs ...any) {
	require.Eventually(t, condition, Patience, pause, msgAndArgs...)
}

// Exec changes the database as an operator might.
func (b *DB) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	_, err := b.Pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// NoteServer notes which server has the database, as a service does when it starts.
func (b *DB) NoteServer(t testing.TB) {
	t.Helper()
	var now store.Identity
	require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT system_identifier::text, ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int
		FROM pg_control_system()`).Scan(&now.System, &now.Timeline))
	require.NoError(t, store.SaveIdentity(t.Context(), b.Pool, now))
}

// Count returns what a query counts.
func (b *DB) Count(t testing.TB, sql string) int {
	t.Helper()
	var n int
	require.NoError(t, b.Pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

// Hold runs a statement that locks something, and keeps the lock until release is called or the
// test ends.
func (b *DB) Hold(t testing.TB, sql string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.URL)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
	release = sync.OnceFunc(func() { _ = conn.Close(context.Background()) }) // rolls back
	t.Cleanup(release)
	return release
}

// UntilBlocked waits until n statements wait for a lock.
func (b *DB) UntilBlocked(t testing.TB, n int) {
	t.Helper()
	Eventually(t, func() bool {
		return b.Count(t, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`) == n
	}, "%d statements never waited for a lock", n)
}

// Insert puts deliveries into the ledger, without a job.
func (b *DB) Insert(t testing.TB, deliveries ...clerksync.Delivery) {
	t.Helper()
	_, err := store.AcceptDeliveries(t.Context(), b.Pool, deliveries, store.Jobs{})
	require.NoError(t, err)
}

// Apply applies deliveries of the ledger in one transaction. Unlike a worker, it sets no bounds,
// and sets nothing aside.
func (b *DB) Apply(ctx context.Context, svixIDs ...string) (finished []clerksync.Delivery, err error) {
	err = merge.Retry{}.Run(ctx, func() error {
		return pgx.BeginFunc(ctx, b.Pool, func(tx pgx.Tx) error {
			done, err := merge.Deliveries(ctx, tx, merge.Batch{SvixIDs: svixIDs})
			finished = done.Deliveries
			return err
		})
	})
	return finished, err
}

// Deliver applies a delivery at once, as if it had come now.
func (b *DB) Deliver(t testing.TB, d clerksync.Delivery) {
	t.Helper()
	d.ReceivedAt = time.Now()
	b.Insert(t, d)
	_, err := b.Apply(t.Context(), d.ID)
	require.NoError(t, err)
}
