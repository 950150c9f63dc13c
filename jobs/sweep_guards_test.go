package jobs

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

// TestWhatALookUpShowsAliveStays: one absence from a listing proves nothing.
func TestWhatALookUpShowsAliveStays(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	d.tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
		if r == clerksync.ResourceMembership {
			page.Objects, page.Total = page.Objects[1:], page.Total-1
		}
	}
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, []string{"orgmem_00000"}, slices.Compact(d.finds))
	require.Equal(t, 1, report.Vindicated)
	require.Zero(t, report.Extra)
	require.Len(t, b.roles(t), 3)
}

// TestAListingThatFallsShortRemovesNothing, however it does.
func TestAListingThatFallsShortRemovesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*directory){
		"page 2 fails": func(d *directory) {
			d.listing = func(r clerksync.Resource, p clerksync.PageRequest) error {
				if r == clerksync.ResourceMembership && p.Offset > 0 {
					return errors.New("boom")
				}
				return nil
			}
		},
		"fewer than counted": func(d *directory) {
			d.tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				if r == clerksync.ResourceMembership {
					page.Objects = page.Objects[:len(page.Objects)-3]
				}
			}
		},
		"empty but counted": func(d *directory) {
			d.tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				if r == clerksync.ResourceMembership {
					page.Objects = nil
				}
			}
		},
		"users without a count": func(d *directory) {
			d.tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				if r == clerksync.ResourceUser {
					page.Objects, page.Total = nil, -1
				}
			}
		},
		"more than asked for": func(d *directory) {
			d.tamper = func(_ clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				page.Objects = slices.Repeat(page.Objects, 501)
			}
		},
		"objects without ids": func(d *directory) {
			d.tamper = func(_ clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				for i := range page.Objects {
					page.Objects[i] = []byte(`{}`)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), populated(600)
			b.sweep(t, d, SweepOptions{})
			spoil(d)
			d.remove(clerksync.ResourceMembership, "orgmem_00001")
			report := b.sweep(t, d, SweepOptions{})
			require.True(t, report.Aborted)
			require.Equal(t, ReasonListingIncomplete, report.Reason)
			require.Empty(t, d.finds)
			require.Len(t, b.roles(t), 600)
			require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'aborted'"))
		})
	}
}

func TestTheBrakeStopsAMassRemoval(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(100)
	b.sweep(t, d, SweepOptions{})
	for n := range 30 {
		d.remove(clerksync.ResourceMembership, fmt.Sprintf("orgmem_%05d", n))
	}
	report := b.sweep(t, d, SweepOptions{})
	require.True(t, report.Aborted)
	require.Equal(t, ReasonRemovalRatio, report.Reason)
	require.Equal(t, []int{100, 30, 10, 30}, []int{report.Memberships, report.AtStake, report.RemovalLimit, report.Extra})
	require.Empty(t, d.finds, "the brake comes before the look-ups")
	require.Len(t, b.roles(t), 100)

	confirmed := b.sweep(t, d, SweepOptions{Confirm: true})
	require.False(t, confirmed.Aborted)
	require.Equal(t, 30, confirmed.Removed)
	require.Len(t, d.finds, 30)
	require.Len(t, b.roles(t), 70)
}

// TestTheBrakeCountsWhatGoesWithItsOrganization: a truncated list of organizations takes all their members along.
func TestTheBrakeCountsWhatGoesWithItsOrganization(t *testing.T) {
	t.Parallel()
	for _, r := range []clerksync.Resource{clerksync.ResourceOrganization, clerksync.ResourceUser} {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), populated(20)
			b.sweep(t, d, SweepOptions{})
			d.mu.Lock()
			d.objects[r] = nil
			d.mu.Unlock()
			report := b.sweep(t, d, SweepOptions{})
			require.Equal(t, ReasonRemovalRatio, report.Reason)
			require.Equal(t, 20, report.AtStake)
			require.Len(t, b.roles(t), 20)
		})
	}
}

func TestAKeyOfAnotherInstanceIsRefusedBeforeAnythingIsRead(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1)
	b.deliver(t, event(t, "msg_1", "organization.created", 1, organizationObject("org_1")))
	d.instance = "ins_other"
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, ReasonWrongInstance, report.Reason)
	require.Empty(t, d.pages)
	require.Empty(t, b.roles(t))
}

func TestARefusedKeyIsNoEmptyList(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	d.err = clerksync.ErrUnauthorized
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, ReasonUnauthorized, report.Reason)
	require.Len(t, b.roles(t), 3)
}

func TestAnUnreadableObjectIsReportedAndStays(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	broken := membershipObject(1, "org:member", 9)
	broken["role"] = 7
	d.set(clerksync.ResourceMembership, broken)
	report, err := b.sweeper(t, d).Run(t.Context(), SweepOptions{})
	require.Error(t, err)
	require.Equal(t, 1, report.Unreadable)
	require.Len(t, b.roles(t), 3)
	require.Contains(t, b.logs.String(), "orgmem_00001")
}

// TestPagesThatBringNothingNewEndTheSweep, instead of going on for ever.
func TestPagesThatBringNothingNewEndTheSweep(t *testing.T) {
	t.Parallel()
	for _, r := range []clerksync.Resource{clerksync.ResourceUser, clerksync.ResourceMembership} {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), populated(1500)
			d.tamper = func(of clerksync.Resource, p clerksync.PageRequest, page *clerksync.Page) {
				if of == r && len(page.Objects) < p.Limit { // instead of the last page, the first one once more
					page.Objects = nil
					for _, o := range d.objects[r][:500] {
						page.Objects = append(page.Objects, mustJSON(t, o))
					}
					page.Total = 1_000_000
				}
			}
			report := b.sweep(t, d, SweepOptions{})
			require.Equal(t, ReasonListingIncomplete, report.Reason)
		})
	}
}

// TestOneObjectThatClerkCannotShowDoesNotKeepASweepForEver.
func TestOneObjectThatClerkCannotShowDoesNotKeepASweepForEver(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	d.listing = func(r clerksync.Resource, _ clerksync.PageRequest) error {
		if r == clerksync.ResourceMembership {
			return clerksync.ErrUnavailable
		}
		return nil
	}
	for range maxFailures - 1 {
		_, err := b.sweeper(t, d).Run(t.Context(), SweepOptions{})
		require.ErrorIs(t, err, clerksync.ErrUnavailable)
	}
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, ReasonListingIncomplete, report.Reason)
	require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.sweeps WHERE state = 'aborted'"))
}

// TestSignUpsDuringTheSweepDoNotStopIt: users are counted after they were listed.
func TestSignUpsDuringTheSweepDoNotStopIt(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	signUps := 0
	d.tamper = func(r clerksync.Resource, p clerksync.PageRequest, page *clerksync.Page) {
		if r == clerksync.ResourceUser && len(page.Objects) < p.Limit && signUps < 6 {
			id := fmt.Sprintf("user_new_%d", signUps)
			d.objects[r] = append(d.objects[r], map[string]any{"id": id, "created_at": t0, "updated_at": t0})
			signUps++
			page.Total++
		}
	}
	report := b.sweep(t, d, SweepOptions{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 9, b.count(t, "SELECT count(*) FROM rolecall.users"))
}
