package jobs

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestASweepThatWasCutOffGoesOnFromItsLastPage, also one that was already confirming.
func TestASweepThatWasCutOffGoesOnFromItsLastPage(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1200)
	ctx, cancel := context.WithCancel(t.Context())
	d.listing = func(r clerksync.Resource, p clerksync.PageRequest) error {
		if r == clerksync.ResourceMembership && p.Offset > 600 {
			cancel()
		}
		return nil
	}
	_, err := b.sweeper(t, d).Run(ctx, SweepOptions{})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'running'"))
	d.listing, d.pages = nil, nil

	report := b.sweep(t, d, SweepOptions{})
	require.Contains(t, []string{"membership@490", "membership@980"}, d.pages[0])
	require.Equal(t, 2401, report.Missing, "of both halves")
	require.Len(t, b.roles(t), 1200)
	require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.sweeps"))

	d.remove(clerksync.ResourceMembership, "orgmem_00001", "orgmem_00002", "orgmem_00003")
	ctx, cancel = context.WithCancel(t.Context())
	d.finding = func(_ clerksync.Resource, ref clerksync.Reference) {
		if ref.ID == "orgmem_00002" {
			cancel()
		}
	}
	_, err = b.sweeper(t, d).Run(ctx, SweepOptions{})
	require.ErrorIs(t, err, context.Canceled)
	d.finding, d.pages, d.finds = nil, nil, nil
	report = b.sweep(t, d, SweepOptions{})
	require.Empty(t, d.pages)
	require.Equal(t, []string{"orgmem_00002", "orgmem_00003"}, slices.Compact(d.finds))
	require.Equal(t, 3, report.Removed)
}

func TestOneSweepAtATime(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1)
	d.listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		if r == clerksync.ResourceMembership {
			_, err := b.sweeper(t, d).Run(t.Context(), SweepOptions{})
			require.ErrorIs(t, err, ErrSweepRunning)
		}
		return nil
	}
	b.sweep(t, d, SweepOptions{})
	d.listing = nil
	b.sweep(t, d, SweepOptions{})
}

// TestTheLeaderSweepsAtTheStart, and a job whose sweep somebody else has made meanwhile sweeps no more.
func TestTheLeaderSweepsAtTheStart(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1)
	cfg := b.workersConfig()
	cfg.Sweeper, cfg.SweepInterval = b.sweeper(t, d), time.Hour
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	start(t, w)
	eventually(t, func() bool {
		return b.count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean'") == 1 &&
			b.count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'sweep' AND state = 'completed'") == 1
	})
	require.Len(t, b.roles(t), 1)
}

// TestADryRunLeavesACutOffSweepAsItIs.
func TestADryRunLeavesACutOffSweepAsItIs(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	d.listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		if r == clerksync.ResourceDomain {
			return clerksync.ErrUnavailable
		}
		return nil
	}
	cutOff, err := b.sweeper(t, d).Run(t.Context(), SweepOptions{})
	require.ErrorIs(t, err, clerksync.ErrUnavailable)
	require.True(t, cutOff.Aborted)
	d.listing = nil
	b.sweep(t, d, SweepOptions{DryRun: true})
	b.sweep(t, d, SweepOptions{OrganizationID: "org_1"})
	d.pages = nil
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, cutOff.SweepID, report.SweepID)
	require.Equal(t, []string{"domain@0"}, d.pages)
	require.Zero(t, report.Extra)
}

// TestASweepOutlivesAnOutageOfClerk: the job goes on trying, from its first call to its last.
func TestASweepOutlivesAnOutageOfClerk(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	d.err = clerksync.ErrUnavailable
	worker := &sweepWorker{pool: b.pool, sweeper: b.sweeper(t, d), logger: b.logs.logger()}
	job := &river.Job[SweepArgs]{JobRow: &rivertype.JobRow{CreatedAt: time.Now()}, Args: SweepArgs{Trigger: TriggerInterval}}
	for range maxSweepAttempts + 1 {
		snooze, ok := errors.AsType[*river.JobSnoozeError](worker.Work(t.Context(), job))
		require.True(t, ok, "no attempt is used up")
		require.Equal(t, sweepPause, snooze.Duration)
	}
	d.err = nil
	d.listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		if r == clerksync.ResourceInvitation {
			return clerksync.ErrRateLimited
		}
		return nil
	}
	_, ok := errors.AsType[*river.JobSnoozeError](worker.Work(t.Context(), job))
	require.True(t, ok)
	d.listing = nil
	_, ok = errors.AsType[*river.JobSnoozeError](worker.Work(t.Context(), job)) // clean, and looked at once more
	require.True(t, ok)
	require.NoError(t, worker.Work(t.Context(), job))
	require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean'"))
	require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.sweeps"), "it was one sweep all the time")
}

// TestADryRunSaysNothingOfWhichInstanceTheMirrorIsOf.
func TestADryRunSaysNothingOfWhichInstanceTheMirrorIsOf(t *testing.T) {
	t.Parallel()
	b, staging, d := setup(t), populated(1), populated(1)
	staging.instance = "ins_staging"
	b.sweep(t, staging, SweepOptions{DryRun: true})
	report := b.sweep(t, d, SweepOptions{})
	require.False(t, report.Aborted, report.Detail)
	known, err := store.KnownInstance(t.Context(), b.pool)
	require.NoError(t, err)
	require.Equal(t, ownInstance, known)
}

// TestSilenceLastsUntilADeliveryComes, not until a sweep has repaired what it hid.
func TestSilenceLastsUntilADeliveryComes(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1)
	b.sweep(t, d, SweepOptions{})
	changed := time.Now().UnixMilli() - t0
	d.set(clerksync.ResourceMembership, membershipObject(0, "org:admin", changed))
	found := b.sweep(t, d, SweepOptions{})
	require.Equal(t, t0+changed, found.NewestDrift.UnixMilli())
	require.Equal(t, found.NewestDrift.UnixMilli(), b.sweep(t, d, SweepOptions{}).NewestDrift.UnixMilli())
}

// TestADryRunCountsEachObjectOnce, though pages overlap.
func TestADryRunCountsEachObjectOnce(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1200)
	require.Equal(t, 2401, b.sweep(t, d, SweepOptions{DryRun: true}).Missing)
}
