package jobs

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/sweep"
	clerksync "github.com/callmine/rolecall/sync"
)

// bundle is a database of one test, with inboxes and workers on it.
type bundle struct{ *mirrortest.DB }

func setup(t *testing.T) *bundle {
	t.Helper()
	return &bundle{mirrortest.New(t)}
}

// inbox starts an inbox that is stopped at the test's end.
func (b *bundle) inbox(t *testing.T) *Inbox {
	t.Helper()
	in, err := NewInbox(InboxConfig{Pool: b.Pool, InstanceID: func() string { return mirrortest.InstanceID }, Logger: b.Logs.Logger()})
	require.NoError(t, err)
	t.Cleanup(in.Stop)
	return in
}

// workersConfig is the configuration of workers on the bundle's pool.
func (b *bundle) workersConfig() WorkersConfig {
	return WorkersConfig{Pool: b.Pool, Logger: b.Logs.Logger()}.withDefaults()
}

// work starts workers that are stopped at the test's end.
func (b *bundle) work(t *testing.T) *Workers {
	t.Helper()
	w, err := NewWorkers(b.workersConfig())
	require.NoError(t, err)
	start(t, w)
	return w
}

func start(t *testing.T, w *Workers) {
	t.Helper()
	require.NoError(t, w.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), mirrortest.Patience)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// idle returns workers that aren't started, for calling their parts.
func (b *bundle) idle(t *testing.T) *Workers {
	t.Helper()
	w, err := NewWorkers(b.workersConfig())
	require.NoError(t, err)
	return w
}

// accept puts a delivery into the ledger, which must succeed.
func accept(t *testing.T, in *Inbox, d clerksync.Delivery) clerksync.Receipt {
	t.Helper()
	receipt, err := in.Accept(t.Context(), d)
	require.NoError(t, err)
	return receipt
}

// apply applies deliveries in one transaction, as a worker does.
func (b *bundle) apply(ctx context.Context, svixIDs ...string) (finished []clerksync.Delivery, err error) {
	done, err := (&applyWorker{pool: b.Pool}).commit(ctx, attempt{ids: svixIDs})
	return done.Deliveries, err
}

// job is one job as the queue has it.
type job struct {
	ID      int64
	State   string
	Attempt int
	SvixIDs []string
}

// jobs returns all jobs, oldest first.
func (b *bundle) jobs(t *testing.T) []job {
	t.Helper()
	rows, err := b.Pool.Query(t.Context(), `SELECT id, state::text, attempt,
		(SELECT array_agg(e ORDER BY n) FROM jsonb_array_elements_text(args -> 'svix_ids') WITH ORDINALITY AS x (e, n))
		FROM rolecall.river_job ORDER BY id`)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	require.NoError(t, err)
	return found
}

// holdCommits keeps every inbox from committing, as if the database were too slow.
func (b *bundle) holdCommits(t *testing.T) (release func()) {
	t.Helper()
	return b.Hold(t, "LOCK TABLE rolecall.deliveries IN EXCLUSIVE MODE")
}

// sweeper returns a sweeper of the directory into the bundle's database.
func (b *bundle) sweeper(t *testing.T, d sweep.Clerk) *sweep.Sweeper {
	t.Helper()
	s, err := sweep.New(sweep.Config{Pool: b.Pool, Clerk: d, Logger: b.Logs.Logger(), Settle: 50 * time.Millisecond, ApplyWait: time.Millisecond})
	require.NoError(t, err)
	return s
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
