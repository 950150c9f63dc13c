package sweep

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestConfirm_ObjectThatLookUpShowsStays: absence from one listing proves nothing.
func TestConfirm_ObjectThatLookUpShowsStays(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	s.faults.Omit(clerksim.Listings, s.clerk.Members()[0].ID)
	report := s.sweep(Options{})
	require.Equal(t, 1, s.lookUps())
	require.Equal(t, 1, report.Vindicated)
	require.Zero(t, countsOf(report))
	s.requireEqual()
}

// TestSweep_IncompleteListingRemovesNothing, whatever makes it incomplete.
func TestSweep_IncompleteListingRemovesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*clerksim.APIFaults){
		"page 2 fails": func(f *clerksim.APIFaults) {
			f.FailWithHTML(http.StatusForbidden, clerksim.OnPage(listMemberships, "490"))
		},
		"fewer than counted": func(f *clerksim.APIFaults) { f.ShortenPages(3, clerksim.OnRoute(listMemberships)) },
		"empty but counted":  func(f *clerksim.APIFaults) { f.ShortenPages(maxPageSize, clerksim.OnRoute(listMemberships)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 600)
			s.sweep(Options{})
			spoil(s.faults)
			s.remove(s.clerk.Members()[1])
			report := s.sweep(Options{})
			require.True(t, report.Aborted)
			require.Equal(t, ReasonListingIncomplete, report.Reason)
			require.Zero(t, s.lookUps())
			require.Len(t, s.Roles(t), 600)
			require.Equal(t, 1, s.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'aborted'"))
		})
	}
}

// TestSweep_UnusableListingRemovesNothing: Clerk answers as it never should.
func TestSweep_UnusableListingRemovesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*mirrortest.Directory){
		"users without a count": func(d *mirrortest.Directory) {
			d.Tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				if r == clerksync.ResourceUser {
					page.Objects, page.Total = nil, -1
				}
			}
		},
		"more than asked for": func(d *mirrortest.Directory) {
			d.Tamper = func(_ clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				page.Objects = slices.Repeat(page.Objects, 501)
			}
		},
		"objects without ids": func(d *mirrortest.Directory) {
			d.Tamper = func(_ clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				for i := range page.Objects {
					page.Objects[i] = []byte(`{}`)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), mirrortest.Populated(600)
			b.sweep(t, d, Options{})
			spoil(d)
			d.Remove(clerksync.ResourceMembership, "orgmem_00001")
			report := b.sweep(t, d, Options{})
			require.True(t, report.Aborted)
			require.Equal(t, ReasonListingIncomplete, report.Reason)
			require.Empty(t, d.Finds)
			require.Len(t, b.Roles(t), 600)
			require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'aborted'"))
		})
	}
}

func TestBrake_StopsMassRemoval(t *testing.T) {
	t.Parallel()
	s := simulate(t, 100)
	s.sweep(Options{})
	s.remove(s.clerk.Members()[1:31]...)
	report := s.sweep(Options{})
	require.True(t, report.Aborted)
	require.Equal(t, ReasonRemovalRatio, report.Reason)
	type stakes struct{ Memberships, AtStake, RemovalLimit, Extra int }
	require.Equal(t, stakes{Memberships: 100, AtStake: 30, RemovalLimit: 10, Extra: 30},
		stakes{report.Memberships, report.AtStake, report.RemovalLimit, report.Extra})
	require.Zero(t, s.lookUps(), "the brake comes before the look-ups")
	require.Len(t, s.Roles(t), 100)

	confirmed := s.sweep(Options{Confirm: true})
	require.False(t, confirmed.Aborted)
	require.Equal(t, 30, confirmed.Removed)
	require.Equal(t, 30, s.lookUps())
	s.requireEqual()
}

// TestBrake_AConfirmationHoldsForTheSweep: the sweeps of the schedule, and other orders, take turns
// with the operator's on one sweep. Whichever comes to remove, it knows what was confirmed.
func TestBrake_AConfirmationHoldsForTheSweep(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1200)
	s.sweep(Options{})
	s.remove(s.clerk.Members()[1:201]...)
	s.interruptWith(Options{Trigger: TriggerOperator, Order: Order{ID: 1, Operator: "kim", ConfirmUpTo: 200}}, clerksim.OnPage(listMemberships, "490"))
	s.interruptWith(Options{Trigger: TriggerOperator, Order: Order{ID: 2, Operator: "lee"}}, clerksim.OnPage(listMemberships, "490"))
	report := s.sweep(Options{Trigger: TriggerInterval})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 200, report.Removed)

	s.remove(s.clerk.Members()[1:201]...)
	require.True(t, s.sweep(Options{Trigger: TriggerInterval}).Aborted, "it holds for no other sweep")
}

// TestBrake_CountsMembersOfMissingOrganizations: a truncated list of organizations takes all their
// members along.
func TestBrake_CountsMembersOfMissingOrganizations(t *testing.T) {
	t.Parallel()
	for _, routes := range [][]string{{"GET /organizations"}, {listUsers, countUsers}} {
		t.Run(routes[0], func(t *testing.T) {
			t.Parallel()
			s := simulate(t, 20)
			s.sweep(Options{})
			s.faults.Empty(func(c clerksim.Call) bool { return slices.Contains(routes, c.Route) })
			report := s.sweep(Options{})
			require.Equal(t, ReasonRemovalRatio, report.Reason)
			require.Equal(t, 20, report.AtStake)
			s.requireEqual()
		})
	}
}

// TestBrake_CountsWhatLateDeliveriesChanged: while Clerk hides some members, deliveries of earlier
// changes of theirs are applied. The sweep would remove them, too.
func TestBrake_CountsWhatLateDeliveriesChanged(t *testing.T) {
	t.Parallel()
	s := simulate(t, 100)
	s.sweep(Options{})
	changed := s.clerk.Members()[1:31]
	var ids []string
	for _, m := range changed {
		s.setRole(m, clerksim.RoleAdmin)
		ids = append(ids, m.ID)
	}
	late := s.clerk.Deliveries()
	s.faults.Omit(nil, ids...)
	s.faults.BeforeAnswer(func(clerksim.Call) {
		for _, d := range late {
			s.Deliver(t, d)
		}
	}, clerksim.Times(1, clerksim.OnRoute("GET /organizations")))
	report := s.sweep(Options{})
	require.Equal(t, ReasonRemovalRatio, report.Reason)
	require.Equal(t, 30, report.AtStake)
	s.requireEqual()
}

// TestBrake_CountsAgainWhatWasAwaited: webhooks wait that tell who joined before the sweep, and
// Clerk's reads don't show these members yet. Once they are applied, the sweep would remove them.
func TestBrake_CountsAgainWhatWasAwaited(t *testing.T) {
	t.Parallel()
	s := simulate(t, 20)
	s.sweep(Options{})
	for range 12 {
		m := s.member()
		s.faults.Omit(nil, m.ID)
	}
	joined := s.clerk.Deliveries()
	s.Insert(t, joined...)
	sweeper, err := New(Config{Pool: s.Pool, Clerk: s.clerk.Client, Logger: s.Logs.Logger(), Settle: 50 * time.Millisecond, ApplyWait: time.Hour})
	require.NoError(t, err)
	ended := make(chan Report, 1)
	go func() {
		report, _ := sweeper.Run(t.Context(), Options{})
		ended <- report
	}()
	mirrortest.Eventually(t, func() bool {
		return s.Count(t, `SELECT count(*) FROM rolecall.sweeps WHERE state = 'running' AND progress::jsonb ? 'awaits'`) == 1
	}, "the wait has begun")
	_, err = s.Apply(t.Context(), mirrortest.IDs(joined)...)
	require.NoError(t, err)
	report := <-ended
	require.Equal(t, ReasonRemovalRatio, report.Reason)
	require.Equal(t, 12, report.AtStake)
	s.requireEqual()
}

func TestSweep_KeyOfAnotherInstanceReadsNothing(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1)
	_, err := s.world.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	s.webhooks() // which name the instance
	s.faults.PoseAs("ins_other")
	report := s.sweep(Options{})
	require.Equal(t, ReasonWrongInstance, report.Reason)
	require.Equal(t, map[string]int{"GET /instance": 1}, s.faults.Calls())
	require.Empty(t, s.Roles(t))
}

func TestSweep_RefusedKeyRemovesNothing(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	s.faults.Fail(http.StatusUnauthorized, nil)
	report := s.sweep(Options{})
	require.Equal(t, ReasonUnauthorized, report.Reason)
	s.requireEqual()
}

func TestSweep_UnreadableObjectIsReportedAndStays(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	broken := mirrortest.Membership(1, "org:member", 9)
	broken["role"] = 7
	d.Set(clerksync.ResourceMembership, broken)
	report, err := b.sweeper(t, d).Run(t.Context(), Options{})
	require.Error(t, err)
	require.Equal(t, 1, report.Unreadable)
	require.Len(t, b.Roles(t), 3)
	require.Contains(t, b.Logs.String(), "orgmem_00001")
}

// TestSweep_EndlessListEnds: a list whose pages repeat ends the sweep.
func TestSweep_EndlessListEnds(t *testing.T) {
	t.Parallel()
	for _, r := range []clerksync.Resource{clerksync.ResourceUser, clerksync.ResourceMembership} {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), mirrortest.Populated(1500)
			d.Tamper = func(of clerksync.Resource, p clerksync.PageRequest, page *clerksync.Page) {
				if of == r && len(page.Objects) < p.Limit { // instead of the last page, the first one once more
					page.Objects = nil
					for _, o := range d.Objects[r][:500] {
						page.Objects = append(page.Objects, mirrortest.JSON(t, o))
					}
					page.Total = 1_000_000
				}
			}
			report := b.sweep(t, d, Options{})
			require.Equal(t, ReasonListingIncomplete, report.Reason)
		})
	}
}

func TestSweep_GivesUpWhereClerkKeepsFailing(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	d.Listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		if r == clerksync.ResourceMembership {
			return clerksync.ErrUnavailable
		}
		return nil
	}
	for range maxFailures - 1 {
		_, err := b.sweeper(t, d).Run(t.Context(), Options{})
		require.ErrorIs(t, err, clerksync.ErrUnavailable)
	}
	report := b.sweep(t, d, Options{})
	require.Equal(t, ReasonListingIncomplete, report.Reason)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'aborted'"))
}

// TestSweep_SignUpsMeanwhileDoNotStopIt: Clerk counts the users after it listed them.
func TestSweep_SignUpsMeanwhileDoNotStopIt(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.faults.AfterAnswer(func(clerksim.Call) {
		if _, err := s.world.CreateUser(clerksim.NewUser{}); err != nil {
			t.Error(err)
		}
	}, clerksim.Times(6, clerksim.OnRoute(listUsers)))
	report := s.sweep(Options{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 9, s.Count(t, "SELECT count(*) FROM rolecall.users"))
}
