package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestRiverResult_OfEachFailure(t *testing.T) {
	t.Parallel()
	stopping, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancel)
	tooLong := fmt.Errorf("apply: %w", late.Err())
	away := fmt.Errorf("apply: %w", &pgconn.PgError{Code: "57P01"})
	poison := fmt.Errorf("apply: %w", &pgconn.PgError{Code: "22P02"})

	require.NoError(t, riverResult(t.Context(), nil))
	require.NoError(t, riverResult(stopping, nil), "done is done")
	require.Equal(t, poison, riverResult(t.Context(), poison), "the delivery's own fault")
	require.Equal(t, tooLong, riverResult(late, tooLong), "another session's lock: tried again, and taken over at last")
	require.Equal(t, errors.ErrUnsupported, riverResult(t.Context(), errors.ErrUnsupported))
	for name, tc := range map[string]struct {
		ctx   context.Context
		err   error
		after time.Duration
	}{
		"the database is away":      {t.Context(), away, databasePause},
		"stopping":                  {stopping, fmt.Errorf("apply: %w", stopping.Err()), 0},
		"stopping, away":            {stopping, away, 0},
		"stopping, whatever it was": {stopping, poison, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snooze, ok := errors.AsType[*rivertype.JobSnoozeError](riverResult(tc.ctx, tc.err))
			require.True(t, ok)
			require.Equal(t, tc.after, snooze.Duration)
		})
	}
}

func TestRetryPolicy_WaitsForSecondsOnly(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(mirrortest.T0)
	p := retryPolicy{now: func() time.Time { return now }}
	var waits []time.Duration
	var until time.Duration
	for failed := range maxJobAttempts {
		wait := p.NextRetry(&rivertype.JobRow{Errors: make([]rivertype.AttemptError, failed)}).Sub(now)
		waits = append(waits, wait)
		if failed < maxDeliveryAttempts-1 {
			until += wait
		}
	}
	const s = time.Second
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s, 30 * s, 30 * s, 30 * s, 30 * s}, waits)
	require.Equal(t, 15*s, until, "as the comment on maxDeliveryAttempts says")
	require.Equal(t, now.Add(30*s), p.NextRetry(&rivertype.JobRow{Errors: make([]rivertype.AttemptError, 1000)}))
}

// TestApply_LockCostsNoAttempt locks the rows of a job for longer than several tries take.
func TestApply_LockCostsNoAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	accept(t, b.inbox(t), mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	release := b.Hold(t, "SELECT FROM rolecall.deliveries FOR UPDATE")
	b.work(t)
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE (metadata ->> 'snoozes')::int >= 2") == 1
	})
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE errors IS NOT NULL"), "nor its job")
	require.Zero(t, b.Ledger(t, "msg_1").Attempts)
	release()
	b.UntilState(t, "msg_1", clerksync.StateApplied)
	require.Zero(t, b.Ledger(t, "msg_1").Attempts)
}

// TestApply_LockedDeliveryStopsNoOther has one row locked for longer than a batch may take.
func TestApply_LockedDeliveryStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Deliver(t, mirrortest.UserNamed(t, "msg_0", "user_1", "Kim", 1))
	b.Insert(t, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 2), mirrortest.UserNamed(t, "msg_2", "user_2", "Robin", 2))
	release := b.Hold(t, "SELECT FROM rolecall.users WHERE id = 'user_1' FOR UPDATE")
	w, err := newWorkers(b.workersConfig(), b.workersConfig().river())
	require.NoError(t, err)
	n, err := w.takeOver(t.Context(), later())
	require.NoError(t, err)
	require.Equal(t, 2, n, "in one job")
	start(t, w)
	b.UntilState(t, "msg_2", clerksync.StateApplied)
	require.Equal(t, string(clerksync.StateReceived), b.Ledger(t, "msg_1").State)
	release()
	b.UntilState(t, "msg_1", clerksync.StateApplied)
	require.Zero(t, b.Ledger(t, "msg_1").Attempts)
}

// TestApply_LostRaceIsTriedFiveTimes: a trigger drops each new row, as if another transaction had
// always been first to add it.
func TestApply_LostRaceIsTriedFiveTimes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, `CREATE SEQUENCE rolecall.races;
		CREATE FUNCTION rolecall.lose() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM nextval('rolecall.races'); RETURN NULL; END $$;
		CREATE TRIGGER lose BEFORE INSERT ON rolecall.users FOR EACH ROW EXECUTE FUNCTION rolecall.lose()`)
	b.Insert(t, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	w := &applyWorker{pool: b.Pool, logger: b.Logs.Logger(), ended: func(clerksync.State, time.Duration) {}}
	require.ErrorIs(t, w.one(t.Context(), part{ids: []string{"msg_1"}}), store.ErrRaced)
	require.Equal(t, 5, b.Count(t, "SELECT last_value FROM rolecall.races"))
	require.Equal(t, "received", b.Ledger(t, "msg_1").State)
	require.Zero(t, b.Ledger(t, "msg_1").Attempts, "not its fault")

	b.Exec(t, "DROP TRIGGER lose ON rolecall.users")
	require.NoError(t, w.one(t.Context(), part{ids: []string{"msg_1"}}))
	require.Equal(t, "applied", b.Ledger(t, "msg_1").State)
}
