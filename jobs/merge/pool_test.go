package merge_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/merge"
)

// TestPool_LockedWorkspaceLeavesConnectionsToOthers has a hundred callers wait for a lock of one
// workspace, with a pool of four connections: at any time at most one of them waits at the
// database, and another workspace is served.
func TestPool_LockedWorkspaceLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	b.Exec(t, "INSERT INTO rolecall.organizations (id) VALUES ('org_a'), ('org_b')")
	release := b.Hold(t, "SELECT FROM rolecall.organizations WHERE id = 'org_a' FOR UPDATE")
	four := mirrortest.OpenPool(t, b.URL, func(cfg *pgxpool.Config) { cfg.MaxConns = 4 })
	pool := merge.NewPool(four, 0)
	touch := func(ctx context.Context, id string) error {
		return pool.Tx(ctx, id, merge.Retry{Locks: merge.LockPatience}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT FROM rolecall.organizations WHERE id = $1 FOR UPDATE", id)
			return err
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { _ = touch(ctx, "org_a") }) // until it gives up
	}
	b.UntilBlocked(t, 1)
	for range 20 {
		require.NoError(t, touch(t.Context(), "org_b"))
		require.LessOrEqual(t, b.Count(t, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`), 1)
	}
	release()
	require.NoError(t, touch(t.Context(), "org_a"))
	cancel()
	wg.Wait()
}
