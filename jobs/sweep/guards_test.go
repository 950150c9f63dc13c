package sweep

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestConfirm_ObjectThatLookUpShowsStays: absence from one listing proves nothing.
func TestConfirm_ObjectThatLookUpShowsStays(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	d.Tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
		if r == clerksync.ResourceMembership {
			page.Objects, page.Total = page.Objects[1:], page.Total-1
		}
	}
	report := b.sweep(t, d, Options{})
	require.Equal(t, []string{"orgmem_00000"}, slices.Compact(d.Finds))
	require.Equal(t, 1, report.Vindicated)
	require.Zero(t, report.Extra)
	require.Len(t, b.Roles(t), 3)
}

// TestSweep_IncompleteListingRemovesNothing, whatever makes it incomplete.
func TestSweep_IncompleteListingRemovesNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*mirrortest.Directory){
		"page 2 fails": func(d *mirrortest.Directory) {
			d.Listing = func(r clerksync.Resource, p clerksync.PageRequest) error {
				if r == clerksync.ResourceMembership && p.Offset > 0 {
					return errors.New("boom")
				}
				return nil
			}
		},
		"fewer than counted": func(d *mirrortest.Directory) {
			d.Tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				if r == clerksync.ResourceMembership {
					page.Objects = page.Objects[:len(page.Objects)-3]
				}
			}
		},
		"empty but counted": func(d *mirrortest.Directory) {
			d.Tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
				if r == clerksync.ResourceMembership {
					page.Objects = nil
				}
			}
		},
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
	b, d := setup(t), mirrortest.Populated(100)
	b.sweep(t, d, Options{})
	for n := range 30 {
		d.Remove(clerksync.ResourceMembership, fmt.Sprintf("orgmem_%05d", n))
	}
	report := b.sweep(t, d, Options{})
	require.True(t, report.Aborted)
	require.Equal(t, ReasonRemovalRatio, report.Reason)
	type stakes struct{ Memberships, AtStake, RemovalLimit, Extra int }
	require.Equal(t, stakes{Memberships: 100, AtStake: 30, RemovalLimit: 10, Extra: 30},
		stakes{report.Memberships, report.AtStake, report.RemovalLimit, report.Extra})
	require.Empty(t, d.Finds, "the brake comes before the look-ups")
	require.Len(t, b.Roles(t), 100)

	confirmed := b.sweep(t, d, Options{Confirm: true})
	require.False(t, confirmed.Aborted)
	require.Equal(t, 30, confirmed.Removed)
	require.Len(t, slices.Compact(d.Finds), 30)
	require.Len(t, b.Roles(t), 70)
}

// TestBrake_CountsMembersOfMissingOrganizations: a truncated list of organizations takes all their
// members along.
func TestBrake_CountsMembersOfMissingOrganizations(t *testing.T) {
	t.Parallel()
	for _, r := range []clerksync.Resource{clerksync.ResourceOrganization, clerksync.ResourceUser} {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), mirrortest.Populated(20)
			b.sweep(t, d, Options{})
			d.Clear(r)
			report := b.sweep(t, d, Options{})
			require.Equal(t, ReasonRemovalRatio, report.Reason)
			require.Equal(t, 20, report.AtStake)
			require.Len(t, b.Roles(t), 20)
		})
	}
}

func TestSweep_KeyOfAnotherInstanceReadsNothing(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(1)
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organization.created", 1, mirrortest.Organization("org_1")))
	d.InstanceID = "ins_other"
	report := b.sweep(t, d, Options{})
	require.Equal(t, ReasonWrongInstance, report.Reason)
	require.Empty(t, d.Pages)
	require.Empty(t, b.Roles(t))
}

func TestSweep_RefusedKeyRemovesNothing(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	d.Err = clerksync.ErrUnauthorized
	report := b.sweep(t, d, Options{})
	require.Equal(t, ReasonUnauthorized, report.Reason)
	require.Len(t, b.Roles(t), 3)
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
	b, d := setup(t), mirrortest.Populated(3)
	signUps := 0
	d.Tamper = func(r clerksync.Resource, p clerksync.PageRequest, page *clerksync.Page) {
		if r == clerksync.ResourceUser && len(page.Objects) < p.Limit && signUps < 6 {
			id := fmt.Sprintf("user_new_%d", signUps)
			d.Objects[r] = append(d.Objects[r], map[string]any{"id": id, "created_at": mirrortest.T0, "updated_at": mirrortest.T0})
			signUps++
			page.Total++
		}
	}
	report := b.sweep(t, d, Options{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 9, b.Count(t, "SELECT count(*) FROM rolecall.users"))
}
