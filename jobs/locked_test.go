package jobs

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/merge"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestInbox_LockedQuarantinedCopyStopsNoOther: only the copy that would replace it has to be sent
// again. All other deliveries are accepted.
func TestInbox_LockedQuarantinedCopyStopsNoOther(t *testing.T) {
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

// TestInbox_CopyThatAnotherSessionWritesStopsNoOther: it has to be sent again, and the others of
// its batch are accepted.
func TestInbox_CopyThatAnotherSessionWritesStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := b.Hold(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at,
		received_at, body, body_sha256, state) VALUES ('msg_1', 'user.updated', '', '', '', 'epoch', now(), '{}', '', 'received')`)
	defer release()
	b.Pool = mirrortest.OpenPool(t, b.URL, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["lock_timeout"] = strconv.FormatInt(merge.LockWait.Milliseconds(), 10)
	})
	in := b.inbox(t)
	began := time.Now()
	entryOf := func(id string) *entry {
		return &entry{caller: t.Context(), delivery: mirrortest.UserNamed(t, id, "user_1", "Kim", 1), done: make(chan struct{})}
	}
	locked, free := entryOf("msg_1"), entryOf("msg_2")
	in.commit([]*entry{locked, free})
	<-free.done
	require.NoError(t, free.err)
	require.True(t, free.receipt.Stored)
	require.Less(t, time.Since(began), acceptTimeout/4)
	<-locked.done
	require.ErrorIs(t, locked.err, ErrCopyLocked)
}

// TestApply_LockThatNoRowShowsHoldsUpAsAnyOther: a ban waits for the writers of the user's
// memberships, by an advisory lock of migration 00021.
func TestApply_LockThatNoRowShowsHoldsUpAsAnyOther(t *testing.T) {
	t.Parallel()
	b := crowded(t)
	in := b.workForService(t)
	release := b.Hold(t, "SELECT pg_advisory_xact_lock_shared(1919904869, hashtext('user_b1'))")
	accept(t, in, banned(t, "msg_ban", "user_b1"))
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE queue = 'held_up'") > 0
	})
	require.Equal(t, "received", b.Ledger(t, "msg_ban").State)
	release()
	b.UntilState(t, "msg_ban", clerksync.StateApplied)
}

// TestApply_HeldUpDeliveriesFollowSoonAfterTheLock: removals of many members are applied once the
// lock is gone.
func TestApply_HeldUpDeliveriesFollowSoonAfterTheLock(t *testing.T) {
	t.Parallel()
	b := crowded(t)
	in := b.workForService(t)
	release := b.Hold(t, "SELECT FROM rolecall.memberships WHERE organization_id = 'org_a' FOR UPDATE")
	for n := range waitingThere {
		accept(t, in, removalFrom("a")(t, n))
	}
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, `SELECT count(DISTINCT svix_id) FROM rolecall.river_job, jsonb_array_elements_text(args -> 'svix_ids') svix_id
			WHERE queue = 'held_up' AND priority > 2`) >= waitingThere
	}, "all wait where they hold up no other")
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
