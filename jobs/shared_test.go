package jobs

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
)

// TestALockedWorkspaceLeavesConnectionsToOthers has a hundred callers wait for a lock of one workspace, with a pool of four
// connections: whenever one looks, one of them waits at most, and another workspace is served.
func TestALockedWorkspaceLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, "INSERT INTO rolecall.organizations (id) VALUES ('org_a'), ('org_b')")
	release := b.Hold(t, "SELECT FROM rolecall.organizations WHERE id = 'org_a' FOR UPDATE")
	four := mirrortest.OpenPool(t, b.URL, func(cfg *pgxpool.Config) { cfg.MaxConns = 4 })
	shares := store.NewShares(1)
	of := func(id string) shared { return shared{pool: four, shares: shares, workspace: id} }
	touch := func(ctx context.Context, id string) error {
		return of(id).inTx(ctx, func(tx pgx.Tx) error {
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

// TestALockedQuarantinedCopyHoldsUpNoAcceptance: what would take its place is to be sent again, and all else is accepted.
func TestALockedQuarantinedCopyHoldsUpNoAcceptance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	for n := range 2 * collectors {
		b.Exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at,
				received_at, body, body_sha256, state)
			VALUES ($1, 'user.updated', '', 'org_a', '', 'epoch', now(), '{}', '', 'quarantined')`, fmt.Sprintf("msg_%d", n))
	}
	release := b.Hold(t, "SELECT FROM rolecall.deliveries WHERE organization_id = 'org_a' FOR UPDATE")
	for n := range 2 * collectors {
		_, err := in.Accept(t.Context(), mirrortest.UserNamed(t, fmt.Sprintf("msg_%d", n), "user_1", "Kim", 1))
		require.ErrorIs(t, err, ErrCopyLocked)
	}
	require.True(t, accept(t, in, mirrortest.UserNamed(t, "msg_other", "user_2", "Kim", 1)).Stored)
	require.Equal(t, "quarantined", b.Ledger(t, "msg_0").State)
	release()
	mirrortest.Eventually(t, func() bool {
		receipt, err := in.Accept(t.Context(), mirrortest.UserNamed(t, "msg_0", "user_1", "Kim", 1))
		return err == nil && receipt.Stored
	})
	require.Equal(t, "received", b.Ledger(t, "msg_0").State)
}

// TestWhatWasHeldUpIsAppliedSoonAfter its lock is gone, removals of many members alike.
func TestWhatWasHeldUpIsAppliedSoonAfter(t *testing.T) {
	t.Parallel()
	b := crowded(t)
	in := b.workForService(t)
	release := b.Hold(t, "SELECT FROM rolecall.memberships WHERE organization_id = 'org_a' FOR UPDATE")
	for n := range waitingThere {
		accept(t, in, removalFrom("a")(t, n))
	}
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE queue = 'held_up' AND priority > 2") >= waitingThere
	}, "all wait where they hold up nobody")
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE svix_id LIKE 'msg_gone_%' AND state <> 'received'"))
	release()
	var began, applied float64
	require.NoError(t, b.Pool.QueryRow(t.Context(), "SELECT extract(epoch FROM clock_timestamp())").Scan(&began))
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE svix_id LIKE 'msg_gone_%' AND state = 'received'") == 0
	})
	require.NoError(t, b.Pool.QueryRow(t.Context(),
		"SELECT extract(epoch FROM max(applied_at)) FROM rolecall.deliveries WHERE svix_id LIKE 'msg_gone_%'").Scan(&applied))
	t.Logf("all were applied after %.3f s", applied-began)
	require.Equal(t, waitingThere, b.Count(t, `SELECT count(*) FROM rolecall.audit_log
		WHERE organization_id = 'org_a' AND action = 'member.removed'`), "each once")
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE attempts > 0"), "it cost no attempt")
}
