package jobs

import (
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestSweepJob_RunsAtStart: the job sweeps once, and ends once that sweep is clean.
func TestSweepJob_RunsAtStart(t *testing.T) {
	t.Parallel()
	b, clerk := setup(t), mirrortest.NewClerk(t)
	clerk.World.Populate(1, 1)
	cfg := b.workersConfig()
	cfg.Sweeper, cfg.SweepInterval = b.sweeper(t, clerk.Client), time.Hour
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	start(t, w)
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean'") == 1 &&
			b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'sweep' AND state = 'completed'") == 1
	})
	require.Len(t, b.Roles(t), 1)
}

// TestSweepJob_FollowsChangeOfRoles: after such a change, Clerk sends no event for each member, so
// a sweep follows.
func TestSweepJob_FollowsChangeOfRoles(t *testing.T) {
	t.Parallel()
	b, clerk := setup(t), mirrortest.NewClerk(t)
	clerk.World.Populate(1, 1)
	cfg := b.workersConfig()
	cfg.Sweeper = b.sweeper(t, clerk.Client)
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	start(t, w)
	in := b.inbox(t)
	role := func(svixID, key string, after int64) clerksync.Delivery {
		return mirrortest.Event(t, svixID, "role.updated", after, map[string]any{"id": "role_1", "key": key, "name": "Clerk", "updated_at": mirrortest.T0 + after})
	}
	accept(t, in, role("msg_1", "org:clerk", 1))
	b.UntilState(t, "msg_1", clerksync.StateApplied)
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'sweep'"))
	accept(t, in, role("msg_2", "org:guest", 2))
	b.UntilState(t, "msg_2", clerksync.StateApplied)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'sweep' AND scheduled_at > now() + interval '5 seconds'"))
	b.Exec(t, "UPDATE rolecall.river_job SET scheduled_at = now() WHERE kind = 'sweep'") // instead of waiting
	mirrortest.Eventually(t, func() bool { return len(b.Roles(t)) == 1 })
}

// TestSweepJob_OutlivesOutageOfClerk: the job keeps trying, from its first call to its last.
func TestSweepJob_OutlivesOutageOfClerk(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	d.Err = clerksync.ErrUnavailable
	worker := &sweepWorker{pool: b.Pool, sweeper: b.sweeper(t, d), logger: b.Logs.Logger()}
	job := &river.Job[SweepArgs]{JobRow: &rivertype.JobRow{CreatedAt: time.Now()}, Args: SweepArgs{Trigger: sweep.TriggerInterval}}
	for range maxSweepAttempts + 1 {
		snooze, ok := errors.AsType[*river.JobSnoozeError](worker.Work(t.Context(), job))
		require.True(t, ok, "no attempt is used up")
		require.Equal(t, sweepPause, snooze.Duration)
	}
	d.Err = nil
	d.Listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		if r == clerksync.ResourceInvitation {
			return clerksync.ErrRateLimited
		}
		return nil
	}
	_, ok := errors.AsType[*river.JobSnoozeError](worker.Work(t.Context(), job))
	require.True(t, ok)
	d.Listing = nil
	_, ok = errors.AsType[*river.JobSnoozeError](worker.Work(t.Context(), job)) // clean, and looked at once more
	require.True(t, ok)
	require.NoError(t, worker.Work(t.Context(), job))
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean'"))
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.sweeps"), "it was one sweep all the time")
}

// TestSweepJob_AfterAFailoverCountsNoSweepBeforeIt, even if the clock of the old primary was ahead.
func TestSweepJob_AfterAFailoverCountsNoSweepBeforeIt(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	worker := &sweepWorker{pool: b.Pool, sweeper: b.sweeper(t, d), logger: b.Logs.Logger()}
	_, err := b.sweeper(t, d).Run(t.Context(), sweep.Options{})
	require.NoError(t, err)
	require.NoError(t, store.SaveIdentity(t.Context(), b.Pool, store.Identity{Timeline: 1}))
	b.Exec(t, "UPDATE rolecall.sweeps SET started_at = started_at + interval '2 seconds'")
	require.NoError(t, store.SaveIdentity(t.Context(), b.Pool, store.Identity{Timeline: 2, Change: "promoted"}))
	job := &river.Job[SweepArgs]{JobRow: &rivertype.JobRow{CreatedAt: time.Now().Add(-time.Second)}, Args: SweepArgs{Trigger: sweep.TriggerFailover}}
	require.ErrorAs(t, worker.Work(t.Context(), job), new(*river.JobSnoozeError), "it swept, and looks whether that was late enough")
	require.Equal(t, 2, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean'"))
}
