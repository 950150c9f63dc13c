package jobs

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// orderBundle has workers that sweep only when an operator says so.
type orderBundle struct {
	*bundle
	clerk *mirrortest.Clerk
}

func setupOrders(t *testing.T, members int) *orderBundle {
	t.Helper()
	b := &orderBundle{setup(t), mirrortest.NewClerk(t)}
	b.clerk.World.Populate(1, members)
	cfg := b.workersConfig()
	cfg.Sweeper = b.sweeper(t, b.clerk.Client)
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	start(t, w)
	return b
}

// order gives an order, as a process without workers does, and waits for its end.
func (b *orderBundle) order(t *testing.T, args OrderedSweepArgs) (OrderedSweep, sweep.Report) {
	t.Helper()
	var id int64
	require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) (err error) {
		id, err = OrderSweep(t.Context(), tx, args)
		return err
	}))
	var order OrderedSweep
	mirrortest.Eventually(t, func() bool {
		orders, err := SweepOrders(t.Context(), b.Pool, 1)
		require.NoError(t, err)
		order = orders[0]
		return order.ID == id && order.Ended()
	})
	require.Equal(t, rivertype.JobStateCompleted, order.State)
	ran, err := store.FindSweep(t.Context(), b.Pool, order.SweepID)
	require.NoError(t, err)
	report, err := sweep.ReadReport(ran)
	require.NoError(t, err)
	return order, report
}

// TestOrderSweep_RunsAndNamesItsSweep: the report names the order and what differed.
func TestOrderSweep_RunsAndNamesItsSweep(t *testing.T) {
	t.Parallel()
	b := setupOrders(t, 3)
	order, report := b.order(t, OrderedSweepArgs{Operator: "kim"})
	require.Equal(t, "kim", order.Operator)
	require.Equal(t, &sweep.Order{ID: order.ID, Operator: "kim"}, report.Order)
	require.Empty(t, report.Found, "the first fill isn't worth naming")
	require.Len(t, b.Roles(t), 3)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'clean' AND trigger = 'operator'"))

	gone := b.clerk.Members()[1]
	require.NoError(t, b.clerk.World.RemoveMember(gone.OrganizationID, gone.UserID))
	_, report = b.order(t, OrderedSweepArgs{Operator: "kim"})
	require.Equal(t, []sweep.Found{
		{Kind: clerksync.ResourceMembership, ID: gone.ID, Difference: clerksync.Extra, Cause: store.CauseUndelivered},
	}, report.Found)
	require.True(t, report.FoundAll())
	require.Len(t, b.Roles(t), 2)
	mirrortest.Eventually(t, func() bool { return b.Count(t, "SELECT count(*) FROM rolecall.sweep_seen") == 0 })
}

// TestOrderSweep_DryRunChangesNothing, and is resumed by its own order alone.
func TestOrderSweep_DryRunChangesNothing(t *testing.T) {
	t.Parallel()
	b := setupOrders(t, 3)
	_, report := b.order(t, OrderedSweepArgs{Operator: "kim", DryRun: true})
	require.True(t, report.DryRun)
	require.NotEmpty(t, report.Found)
	require.Empty(t, b.Roles(t))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE NOT dry_run"))
}

// TestOrderSweep_ConfirmsNoMoreThanWasSeen: more memberships vanish between the number that the
// operator saw and the sweep.
func TestOrderSweep_ConfirmsNoMoreThanWasSeen(t *testing.T) {
	t.Parallel()
	b := setupOrders(t, 40)
	b.order(t, OrderedSweepArgs{Operator: "kim"})
	remove := func(members []clerksim.Membership) {
		for _, m := range members {
			require.NoError(t, b.clerk.World.RemoveMember(m.OrganizationID, m.UserID))
		}
	}
	members := b.clerk.Members()
	remove(members[1:16])
	_, seen := b.order(t, OrderedSweepArgs{Operator: "kim", DryRun: true})
	require.Equal(t, sweep.ReasonRemovalRatio, seen.Reason)
	require.Equal(t, 15, seen.AtStake)
	require.Equal(t, []sweep.Stake{{OrganizationID: members[0].OrganizationID, Live: 40, AtStake: 15}}, seen.Stakes)

	remove(members[16:18])
	_, stopped := b.order(t, OrderedSweepArgs{Operator: "kim", ConfirmUpTo: seen.AtStake})
	require.Equal(t, sweep.ReasonRemovalRatio, stopped.Reason)
	require.Contains(t, stopped.Detail, "17 of 40 memberships would be removed, and only 15 were confirmed")
	require.Len(t, b.Roles(t), 40)

	_, done := b.order(t, OrderedSweepArgs{Operator: "kim", ConfirmUpTo: stopped.AtStake})
	require.False(t, done.Aborted)
	require.Len(t, b.Roles(t), 23)
}

// TestOrderSweep_TwiceIsOnce while the first one hasn't ended.
func TestOrderSweep_TwiceIsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	order := func(args OrderedSweepArgs) error {
		return pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
			_, err := OrderSweep(t.Context(), tx, args)
			return err
		})
	}
	require.NoError(t, order(OrderedSweepArgs{Operator: "kim"}))
	require.ErrorContains(t, order(OrderedSweepArgs{Operator: "lee"}), "ordered already by kim")
	require.NoError(t, order(OrderedSweepArgs{Operator: "lee", DryRun: true}))
	require.NoError(t, order(OrderedSweepArgs{Operator: "lee", ConfirmUpTo: 3}))
	orders, err := SweepOrders(t.Context(), b.Pool, 10)
	require.NoError(t, err)
	require.Len(t, orders, 3)
	require.Equal(t, 3, orders[0].ConfirmUpTo)
	require.False(t, orders[0].Ended())
}

// TestOrderSweep_AtOnceIsOnce: a double click gives two orders at the same moment.
func TestOrderSweep_AtOnceIsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var orders sync.WaitGroup
	for range 8 {
		orders.Go(func() {
			err := pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
				_, err := OrderSweep(t.Context(), tx, OrderedSweepArgs{Operator: "kim", DryRun: true})
				return err
			})
			if !errors.Is(err, ErrOrdered) {
				assert.NoError(t, err)
			}
		})
	}
	orders.Wait()
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'ordered_sweep'"))
}

// TestOrderSweep_GivesUpOnAClerkThatDoesntAnswer: before a sweep has begun, nothing else counts its
// failures.
func TestOrderSweep_WaitsForClerk(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	d.Err = clerksync.ErrUnavailable
	cfg := b.workersConfig()
	cfg.Sweeper = b.sweeper(t, d)
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	start(t, w)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
		_, err := OrderSweep(t.Context(), tx, OrderedSweepArgs{Operator: "kim"})
		return err
	}))
	last := func() OrderedSweep {
		orders, err := SweepOrders(t.Context(), b.Pool, 1)
		require.NoError(t, err)
		return orders[0]
	}
	mirrortest.Eventually(t, func() bool { return last().Waits != "" })
	require.Contains(t, last().Waits, clerksync.ErrUnavailable.Error())
	b.Exec(t, "UPDATE rolecall.river_job SET created_at = now() - interval '11 minutes', scheduled_at = now() WHERE kind = 'ordered_sweep'")
	mirrortest.Eventually(t, func() bool { return last().Ended() })
	require.Contains(t, last().Failure, "couldn't begin")
	require.WithinDuration(t, time.Now(), *last().EndedAt, time.Minute)
}
