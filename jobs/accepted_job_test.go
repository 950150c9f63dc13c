package jobs

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestAccept_JobIsLikeRiversOwn compares the jobs that accepting inserts with those that River's
// client inserts: all columns but the id and the times, which must be set.
func TestAccept_JobIsLikeRiversOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deliveries := []clerksync.Delivery{
		mirrortest.UserNamed(t, "msg_2", "user_1", "Kim", 1), banned(t, "msg_3", "user_2"), mirrortest.UserNamed(t, "msg_1", "user_3", "Kim", 1),
		{ID: "msg_4", Urgency: clerksync.MayRevoke, State: clerksync.StateReceived},
	}
	_, err := store.AcceptDeliveries(t.Context(), b.Pool, deliveries, applyJobs(nil))
	require.NoError(t, err)
	accepted := b.rawJobs(t)
	require.Len(t, accepted, 3, "one for each urgency")
	require.Equal(t, map[string]any{"svix_ids": []any{"msg_2", "msg_1"}}, accepted[0]["args"], "in the order of the batch")
	require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
		return enqueue(t.Context(), b.idle(t).client, tx, deliveries)
	}))
	both := b.rawJobs(t)
	require.Len(t, both, 6)
	require.Equal(t, both[0], both[1])
	require.Equal(t, both[2], both[3])
	require.Equal(t, both[4], both[5])
}

// TestAccept_KnowsRiversSchema fails after an upgrade of River that changes its tables: then look
// whether AcceptDeliveries (package store) still inserts what River's client does.
func TestAccept_KnowsRiversSchema(t *testing.T) {
	t.Parallel()
	require.Equal(t, 8, setup(t).Count(t, "SELECT max(version) FROM rolecall.river_migration WHERE line = 'main'"))
}

// rawJobs returns the rows of all jobs, sorted by queue and priority, without what differs from one
// job to the next.
func (b *bundle) rawJobs(t *testing.T) []map[string]any {
	t.Helper()
	rows, err := b.Pool.Query(t.Context(), `SELECT to_jsonb(j) FROM rolecall.river_job j ORDER BY queue, priority, id`)
	require.NoError(t, err)
	raw, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	require.NoError(t, err)
	jobs := make([]map[string]any, len(raw))
	for i := range raw {
		require.NoError(t, json.Unmarshal(raw[i], &jobs[i]))
		for _, column := range []string{"id", "created_at", "scheduled_at"} {
			require.NotNil(t, jobs[i][column])
			delete(jobs[i], column)
		}
	}
	return jobs
}
