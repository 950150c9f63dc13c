package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestStopGivesARunningJobBack: stopping costs the job no attempt, and somebody else applies it.
func TestStopGivesARunningJobBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	accept(t, b.inbox(t), userNamed(t, "msg_1", "user_1", "Kim", 1))
	release := b.hold(t, "SELECT FROM rolecall.deliveries FOR UPDATE")
	cfg := b.workersConfig()
	riverCfg := cfg.river()
	riverCfg.SoftStopTimeout = 100 * time.Millisecond // less than what is left of the job's own time-out
	w, err := newWorkers(cfg, riverCfg)
	require.NoError(t, err)
	start(t, w)
	b.untilBlocked(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), jobTimeout)
	defer cancel()
	require.NoError(t, w.Stop(ctx))
	jobs := b.jobs(t)
	require.Len(t, jobs, 1)
	require.Equal(t, job{ID: jobs[0].ID, State: "available", Attempt: 0, SvixIDs: []string{"msg_1"}}, jobs[0])
	require.Zero(t, b.ledger(t, "msg_1").Attempts)
	require.Equal(t, "received", b.ledger(t, "msg_1").State)

	release()
	b.work(t)
	b.untilState(t, "msg_1", clerksync.StateApplied)
	eventually(t, func() bool { return b.jobs(t)[0].State == "completed" })
	require.Equal(t, 1, b.jobs(t)[0].Attempt)
}

// TestStopLetsARunningJobFinish that can.
func TestStopLetsARunningJobFinish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	accept(t, b.inbox(t), userNamed(t, "msg_1", "user_1", "Kim", 1))
	release := b.hold(t, "SELECT FROM rolecall.deliveries FOR UPDATE")
	w := b.work(t)
	b.untilBlocked(t, 1)
	stopped := make(chan error)
	go func() { stopped <- w.Stop(context.WithoutCancel(t.Context())) }()
	release()
	require.NoError(t, <-stopped)
	require.Equal(t, "applied", b.ledger(t, "msg_1").State)
	require.Equal(t, "completed", b.jobs(t)[0].State)
}

func TestStopOfWorkersThatNeverStarted(t *testing.T) {
	t.Parallel()
	require.NoError(t, setup(t).idle(t).Stop(t.Context()))
}
