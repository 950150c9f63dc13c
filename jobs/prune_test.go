package jobs

import (
	"testing"

	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"
)

// TestPrune_ForgetsOldSessionsAndCommands, and keeps those that still count.
func TestPrune_ForgetsOldSessionsAndCommands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.Pool.Exec(t.Context(), `INSERT INTO rolecall.ended_sessions (id, ended_at)
			VALUES ('sess_old', now() - interval '193 hours'), ('sess_young', now() - interval '191 hours');
		INSERT INTO rolecall.commands (id, actor, action, organization_id, target, outcome, state, begun_at, tried_at)
			SELECT 'cmd_' || age, 'user_1', 'member.removed', 'org_1', 'user_2', '', 'done', now() - age * interval '1 hour', now() - age * interval '1 hour'
			FROM generate_series(23, 25, 2) age`)
	require.NoError(t, err)
	require.NoError(t, (&pruneWorker{pool: b.Pool}).Work(t.Context(), &river.Job[PruneArgs]{}))
	var sessions, commands string
	require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT (SELECT string_agg(id, ',') FROM rolecall.ended_sessions),
		(SELECT string_agg(id, ',') FROM rolecall.commands)`).Scan(&sessions, &commands))
	require.Equal(t, []string{"sess_young", "cmd_23"}, []string{sessions, commands})
}
