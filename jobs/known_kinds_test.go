package jobs

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/migrations"
)

// newerArgs are of a kind that only a newer version knows.
type newerArgs struct{}

// Kind implements river.JobArgs.
func (newerArgs) Kind() string { return "newer" }

// TestWorkers_LeaveJobsOfNewerVersionsAlone puts one such job into each queue, before jobs of known
// kinds.
func TestWorkers_LeaveJobsOfNewerVersionsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	client, err := river.NewClient(riverpgxv5.New(b.Pool), &river.Config{Schema: migrations.Schema, SkipUnknownJobCheck: true})
	require.NoError(t, err)
	for _, queue := range []string{QueueApply, QueueRevocations, QueueHeldUp, QueueUpkeep} {
		require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
			_, err := client.InsertTx(t.Context(), tx, newerArgs{}, &river.InsertOpts{Queue: queue, MaxAttempts: 1})
			return err
		}))
	}
	accept(t, in, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	accept(t, in, banned(t, "msg_2", "user_2"))
	b.work(t)
	b.untilApplied(t, 2)
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'prune_bodies' AND state = 'completed'") > 0
	}, "upkeep runs")
	require.Equal(t, 4, b.Count(t, `SELECT count(*) FROM rolecall.river_job
		WHERE kind = 'newer' AND state = 'available' AND attempt = 0 AND errors IS NULL`))
}
