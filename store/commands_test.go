package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestSigningCostsNothing, however many commands there were today: everything that is audited asks whose it is.
func TestSigningCostsNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `
INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, tried_at, begun_at)
SELECT 'cmd_' || i, 'user_' || i % 100, CASE WHEN i % 10 = 0 THEN 'workspace.created' ELSE 'member.role_changed' END, 'org_' || i % 5000,
    'user_' || i / 2, 'org:admin', CASE WHEN i % 100 = 1 THEN 'unknown' ELSE 'done' END, at, at
FROM (SELECT i, now() - i * interval '1 second' AS at FROM generate_series(1, 20000) i) c`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "ANALYZE rolecall.commands")
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		err := store.Finish(t.Context(), tx, store.Outcome{Entries: []clerksync.AuditEntry{
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
