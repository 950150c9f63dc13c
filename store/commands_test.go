package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestFinish_AttributionCostsNothing, however many commands there were today: each write of audit
// entries looks for commands.
func TestFinish_AttributionCostsNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `
INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, tried_at, begun_at, sent_at, last_sent_at)
SELECT 'cmd_' || i, 'user_' || i % 100, CASE WHEN i % 10 = 0 THEN 'workspace.created' ELSE 'member.role_changed' END, 'org_' || i % 5000,
    'user_' || i / 2, 'org:admin', CASE WHEN i % 100 = 1 THEN 'unknown' ELSE 'done' END, at, at, at, at
FROM (SELECT i, now() - i * interval '1 second' AS at FROM generate_series(1, 20000) i) c`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "ANALYZE rolecall.commands")
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		err := store.Write(t.Context(), tx, store.Locked{}, store.Writes{Entries: []clerksync.AuditEntry{
			{OrganizationID: "org_1", Action: clerksync.ActionMemberJoined, Target: "user_1", At: time.Now().UnixMilli(), Cause: "msg_1"},
			{OrganizationID: "org_10", Action: clerksync.ActionMemberRoleChanged, Target: "user_5", At: time.Now().UnixMilli(), Cause: "msg_1"},
		}}, time.Now())
		require.NoError(t, err)
		var read int
		require.NoError(t, tx.QueryRow(t.Context(), `
SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE schemaname = 'rolecall' AND relname = 'commands'`).Scan(&read))
		require.Positive(t, read)
		require.Less(t, read, 100, "rows of commands read")
		return nil
	}))
}

// TestWrite_RecordedCommandBlocksNoWebhook: recording a command locks it together with the
// commands that may have made the change, before the counters. In the other order it would deadlock
// with a webhook, which holds the command and waits for the counter.
func TestWrite_RecordedCommandBlocksNoWebhook(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	c := clerksync.Command{Actor: "user_1", Action: clerksync.ActionInvitationSent, OrganizationID: "org_1", Email: "kim@callmine.test"}
	triedAt, _, err := store.BeginCommand(t.Context(), pool, "cmd_1", c, store.CommandKey{})
	require.NoError(t, err)
	sent := func(actor, target string) store.Writes {
		changed := clerksync.NewMirror()
		changed.Invitations[target] = clerksync.Invitation{Reference: clerksync.Reference{ID: target, OrganizationID: "org_1"}}
		return store.Writes{Changed: changed, Entries: []clerksync.AuditEntry{{
			OrganizationID: "org_1", Actor: actor, Action: clerksync.ActionInvitationSent, Target: target, At: time.Now().UnixMilli(), Cause: "msg_1",
			After: clerksync.Details{"email": target + "@callmine.test"},
		}}}
	}
	webhook := make(chan error, 1)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		own := sent("user_9", "orginv_1") // the actor that Clerk names
		own.Recorded = "cmd_1"
		require.NoError(t, store.Write(t.Context(), tx, store.Locked{}, own, time.Now()))
		go func() { // an invitation without an inviter
			webhook <- pgx.BeginFunc(context.WithoutCancel(t.Context()), pool, func(tx pgx.Tx) error {
				return store.Write(context.WithoutCancel(t.Context()), tx, store.Locked{}, sent("", "orginv_2"), time.Now())
			})
		}()
		require.Eventually(t, func() bool {
			var waits bool
			err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
			return err == nil && waits
		}, 10*time.Second, 2*time.Millisecond)
		c.Target = "orginv_1"
		return store.NameCommand(t.Context(), tx, "cmd_1", triedAt, c)
	}))
	require.NoError(t, <-webhook)
}
