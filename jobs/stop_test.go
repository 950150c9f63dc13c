package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// slowly makes each change of a user take a while at the database.
func (b *bundle) slowly(t *testing.T, seconds string) {
	t.Helper()
	b.Exec(t, sleeping("rolecall.users", "true", seconds))
}

// untilPatient waits until a job takes long.
func (b *bundle) untilPatient(t *testing.T) {
	t.Helper()
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'PgSleep' AND now() - xact_start > interval '0.7 seconds'`) == 1
	}, "no job takes long")
}

// lastApply returns the newest job that applies deliveries.
func (b *bundle) lastApply(t *testing.T) (last job) {
	t.Helper()
	for _, j := range b.jobs(t) {
		if len(j.SvixIDs) > 0 {
			last = j
		}
	}
	return last
}

// TestWorkers_StopGivesRunningJobBack: stopping costs the job no attempt, and other workers apply
// it.
func TestWorkers_StopGivesRunningJobBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	accept(t, b.inbox(t), mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	b.slowly(t, "30")
	cfg := b.workersConfig()
	riverCfg := cfg.river()
	riverCfg.SoftStopTimeout = 100 * time.Millisecond // less than what is left of the job's own time-out
	w, err := newWorkers(cfg, riverCfg)
	require.NoError(t, err)
	start(t, w)
	b.untilPatient(t)
	ctx, cancel := context.WithTimeout(t.Context(), jobTimeout)
	defer cancel()
	require.NoError(t, w.Stop(ctx))
	last := b.lastApply(t)
	require.Equal(t, job{ID: last.ID, State: "available", Attempt: 0, SvixIDs: []string{"msg_1"}}, last)
	require.Zero(t, b.Ledger(t, "msg_1").Attempts)
	require.Equal(t, "received", b.Ledger(t, "msg_1").State)

	b.Exec(t, "DROP TRIGGER sleep ON rolecall.users")
	b.work(t)
	b.UntilState(t, "msg_1", clerksync.StateApplied)
	mirrortest.Eventually(t, func() bool { return b.lastApply(t).State == "completed" })
	require.Equal(t, 1, b.lastApply(t).Attempt)
}

// TestWorkers_StopLetsRunningJobFinish: a job that can finish in time does.
func TestWorkers_StopLetsRunningJobFinish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	accept(t, b.inbox(t), mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	b.slowly(t, "2")
	w := b.work(t)
	b.untilPatient(t)
	require.NoError(t, w.Stop(t.Context()))
	require.Equal(t, "applied", b.Ledger(t, "msg_1").State)
	require.Equal(t, "completed", b.lastApply(t).State)
}

func TestWorkers_StopBeforeStart(t *testing.T) {
	t.Parallel()
	require.NoError(t, setup(t).idle(t).Stop(t.Context()))
}
