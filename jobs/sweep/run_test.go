package sweep

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestSweep_ContinuesFromItsLastPage, also while it looks objects up.
func TestSweep_ContinuesFromItsLastPage(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1200)
	s.interrupt(clerksim.OnPage(listMemberships, "980"))
	require.Equal(t, 1, s.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'running'"))
	s.forgetCalls()
	report := s.sweep(Options{})
	require.Contains(t, []string{listMemberships + "@490", listMemberships + "@980"}, s.pages()[0])
	require.Equal(t, 1200, report.ByKind[clerksync.ResourceMembership].Missing, "of both halves")
	s.requireEqual()
	require.Equal(t, 1, s.Count(t, "SELECT count(*) FROM rolecall.sweeps"))

	gone := s.clerk.Members()[1:4]
	s.remove(gone...)
	slices.SortFunc(gone, func(a, b clerksim.Membership) int { return cmp.Compare(a.ID, b.ID) }) // as they are looked up
	s.interrupt(func(c clerksim.Call) bool { return c.Request.URL.Query().Get("user_id") == gone[1].UserID })
	s.forgetCalls()
	report = s.sweep(Options{})
	require.Empty(t, s.pages())
	require.Equal(t, 2, s.lookUps())
	require.Equal(t, 3, report.Removed)
}

// TestDryRun_OfAnOrderIsResumed, also if another sweep, or the dry run of another order, ran
// between its slices.
func TestDryRun_OfAnOrderIsResumed(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1200)
	first := Options{Trigger: TriggerOperator, DryRun: true, Order: Order{ID: 1, Operator: "kim"}}
	s.interruptWith(first, clerksim.OnPage(listMemberships, "980"))
	second := Options{Trigger: TriggerOperator, DryRun: true, Order: Order{ID: 2, Operator: "lee"}}
	s.interruptWith(second, clerksim.OnPage(listMemberships, "980"))
	s.forgetCalls()
	report := s.sweep(first)
	require.Contains(t, []string{listMemberships + "@490", listMemberships + "@980"}, s.pages()[0])
	require.Equal(t, "kim", report.Order.Operator)
	require.Equal(t, 1200, report.ByKind[clerksync.ResourceMembership].Missing, "of both halves")
	require.Len(t, report.Found, maxFound)
	require.False(t, report.FoundAll())
	other := s.sweep(second)
	require.Equal(t, "lee", other.Order.Operator)
	require.NotEqual(t, other.SweepID, report.SweepID)
	require.Equal(t, 2, s.Count(t, "SELECT count(*) FROM rolecall.sweeps"), "two orders that work by turns both get on")

	s.interruptWith(first, clerksim.OnPage(listMemberships, "980"))
	s.sweep(Options{})
	require.Equal(t, report.Order, s.sweep(first).Order)
	require.Equal(t, 4, s.Count(t, "SELECT count(*) FROM rolecall.sweeps"), "each was resumed")
}

// TestSweep_KnowsTheTotal of the kind that it lists.
func TestSweep_KnowsTheTotal(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1200)
	s.interrupt(clerksim.OnPage(listMemberships, "980"))
	status, err := store.ReadStatus(t.Context(), s.Pool)
	require.NoError(t, err)
	at, err := ReadProgress(*status.CurrentSweep)
	require.NoError(t, err)
	require.Equal(t, Progress{Resource: clerksync.ResourceMembership, Listed: at.Listed, Total: 1200}, at)
	require.GreaterOrEqual(t, at.Listed, 490)
}

func TestSweep_OneAtATime(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1)
	lift := s.faults.BeforeAnswer(func(clerksim.Call) {
		if _, err := s.sweeper(t, s.clerk.Client).Run(t.Context(), Options{}); !errors.Is(err, ErrRunning) {
			t.Errorf("second sweep: %v", err)
		}
	}, clerksim.OnRoute(listMemberships))
	s.sweep(Options{})
	lift()
	s.sweep(Options{})
}

func TestDryRun_LeavesInterruptedSweepAsItIs(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	d.Listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		if r == clerksync.ResourceDomain {
			return clerksync.ErrUnavailable
		}
		return nil
	}
	cutOff, err := b.sweeper(t, d).Run(t.Context(), Options{})
	require.ErrorIs(t, err, clerksync.ErrUnavailable)
	require.True(t, cutOff.Aborted)
	d.Listing = nil
	b.sweep(t, d, Options{DryRun: true})
	b.sweep(t, d, Options{OrganizationID: "org_1"})
	d.Pages = nil
	report := b.sweep(t, d, Options{})
	require.Equal(t, cutOff.SweepID, report.SweepID)
	require.Equal(t, []string{"domain@0"}, d.Pages)
	require.Zero(t, report.Extra)
}

func TestDryRun_DoesNotDecideTheInstance(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1)
	lift := s.faults.PoseAs("ins_staging")
	s.sweep(Options{DryRun: true})
	lift()
	report := s.sweep(Options{})
	require.False(t, report.Aborted, report.Detail)
	known, err := store.KnownInstance(t.Context(), s.Pool)
	require.NoError(t, err)
	require.Equal(t, mirrortest.InstanceID, known)
}

// TestReport_NewestDriftLastsUntilADeliveryComes: the repair of the drift doesn't take it out of
// the report.
func TestReport_NewestDriftLastsUntilADeliveryComes(t *testing.T) {
	t.Parallel()
	s := simulate(t, 2)
	s.sweep(Options{})
	s.setRole(s.clerk.Members()[1], clerksim.RoleAdmin)
	changed := s.clerk.Members()[1].UpdatedAt.UnixMilli()
	require.Equal(t, changed, s.sweep(Options{}).NewestDrift.UnixMilli())
	require.Equal(t, changed, s.sweep(Options{}).NewestDrift.UnixMilli())
}

// TestDryRun_CountsEachObjectOnce, although pages overlap.
func TestDryRun_CountsEachObjectOnce(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1200)
	dry := s.sweep(Options{DryRun: true})
	require.Equal(t, s.sweep(Options{}).Missing, dry.Missing)
	require.Equal(t, KindOfReport{Missing: 1200}, *dry.ByKind[clerksync.ResourceMembership])
}
