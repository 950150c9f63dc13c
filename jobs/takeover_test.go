package jobs

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// later is when a delivery of now may be taken over.
func later() time.Time { return time.Now().Add(takeOverAfter + time.Second) }

func TestTakeOver_OnlyStrandedDeliveries(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		job  string // SQL that says what became of the delivery's job; $1 is the moment of taking over
		want int
	}{
		"its job waits":                    {"UPDATE rolecall.river_job SET queue = queue WHERE $1::timestamptz IS NOT NULL", 0},
		"its job waits for another try":    {"UPDATE rolecall.river_job SET state = 'retryable', scheduled_at = $1", 0},
		"its job is snoozed":               {"UPDATE rolecall.river_job SET state = 'scheduled', scheduled_at = $1", 0},
		"its job began a moment ago":       {"UPDATE rolecall.river_job SET state = 'running', attempted_at = $1::timestamptz - interval '9.9 seconds'", 0},
		"its job's process is dead":        {"UPDATE rolecall.river_job SET state = 'running', attempted_at = $1::timestamptz - interval '10.1 seconds'", 1},
		"its job was deleted":              {"DELETE FROM rolecall.river_job WHERE $1::timestamptz IS NOT NULL", 1},
		"its job was discarded":            {"UPDATE rolecall.river_job SET state = 'discarded', finalized_at = $1", 1},
		"its job was cancelled":            {"UPDATE rolecall.river_job SET state = 'cancelled', finalized_at = $1", 1},
		"its job ended without it":         {"UPDATE rolecall.river_job SET state = 'completed', finalized_at = $1", 1},
		"its job is of another kind":       {"UPDATE rolecall.river_job SET kind = 'other' WHERE $1::timestamptz IS NOT NULL", 1},
		"its job is another delivery's":    {`UPDATE rolecall.river_job SET args = '{"svix_ids": ["msg_2"]}' WHERE $1::timestamptz IS NOT NULL`, 1},
		"it was quarantined in the mean":   {"UPDATE rolecall.deliveries SET state = 'quarantined', received_at = $1::timestamptz - interval '1 minute'", 0},
		"its job shares it with unrelated": {`UPDATE rolecall.river_job SET args = '{"svix_ids": ["msg_0", "msg_1", "msg_2"]}' WHERE $1::timestamptz IS NOT NULL`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			accept(t, b.inbox(t), mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
			at := later()
			b.Exec(t, tc.job, at)
			w := b.idle(t)
			n, err := w.takeOver(t.Context(), at)
			require.NoError(t, err)
			require.Equal(t, tc.want, n)
			n, err = w.takeOver(t.Context(), at)
			require.NoError(t, err)
			require.Zero(t, n, "now it has a job")
			if tc.want > 0 {
				jobs := b.jobs(t)
				require.Equal(t, []string{"msg_1"}, jobs[len(jobs)-1].SvixIDs)
				require.Equal(t, "available", jobs[len(jobs)-1].State)
			}
		})
	}
}

func TestTakeOver_LeavesYoungDeliveriesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.idle(t)
	n, err := w.takeOver(t.Context(), later())
	require.NoError(t, err)
	require.Zero(t, n, "nothing waits")

	old, young := mirrortest.UserNamed(t, "msg_old", "user_1", "Kim", 1), mirrortest.UserNamed(t, "msg_young", "user_1", "Kim", 1)
	now := time.Now()
	young.ReceivedAt = now.Add(-takeOverAfter + time.Millisecond)
	b.Insert(t, young)
	n, err = w.takeOver(t.Context(), now)
	require.NoError(t, err)
	require.Zero(t, n)

	old.ReceivedAt = now.Add(-takeOverAfter - time.Millisecond)
	b.Insert(t, old)
	n, err = w.takeOver(t.Context(), now)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"msg_old"}, b.jobs(t)[0].SvixIDs)
}

func TestTakeOver_ByManyInstancesIsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const stranded = 3 * MaxBatch
	for n := range stranded {
		b.Insert(t, mirrortest.UserNamed(t, fmt.Sprintf("msg_%03d", n), "user_1", "Kim", 1))
	}
	at := later()
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		w := b.idle(t)
		wg.Go(func() {
			n, err := w.takeOver(t.Context(), at)
			if err != nil {
				t.Error(err)
			}
			taken.Add(int64(n))
		})
	}
	wg.Wait()
	require.EqualValues(t, stranded, taken.Load())
	require.Len(t, b.jobs(t), stranded/MaxBatch)
}

func TestTakeOver_RoundIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at,
			received_at, body, body_sha256, state)
		SELECT 'msg_' || n, 'user.updated', '', '', '', 'epoch', now(), '{}', '', 'received' FROM generate_series(1, $1::int) n`,
		takeOverLimit+1)
	w, at := b.idle(t), later()
	for _, want := range []int{takeOverLimit, 1, 0} {
		n, err := w.takeOver(t.Context(), at)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
}

// TestWorkers_TakeOverAtStartAndWhileRunning: workers take over by themselves, and nothing else has
// to start it.
func TestWorkers_TakeOverAtStartAndWhileRunning(t *testing.T) {
	t.Parallel()
	b := setup(t)
	strand := func(id string) {
		d := mirrortest.UserNamed(t, id, "user_1", "Kim", 1)
		d.ReceivedAt = time.Now().Add(-time.Hour)
		b.Insert(t, d)
	}
	strand("msg_1")
	b.work(t)
	b.UntilState(t, "msg_1", clerksync.StateApplied)
	strand("msg_2")
	mirrortest.Eventually(t, func() bool { return b.Ledger(t, "msg_2").AppliedAt != nil })
}
