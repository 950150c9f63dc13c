package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// populated is a directory with some members of one organization.
func populated(members int) *directory {
	d := newDirectory()
	for n := range members {
		d.member(n, "org:member")
	}
	return d
}

func TestASweepFillsAnEmptyMirror(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	d.set(clerksync.ResourceRole, map[string]any{
		"id": "role_1", "key": "org:member", "name": "Member", "updated_at": t0, "created_at": t0,
		"permissions": []any{map[string]any{"id": "perm_1", "key": "org:a:b", "name": "A"}},
	})
	d.set(clerksync.ResourcePermission, map[string]any{"id": "perm_1", "key": "org:a:b", "name": "A", "updated_at": t0, "created_at": t0})
	d.set(clerksync.ResourceInvitation, map[string]any{
		"id": "orginv_1", "organization_id": "org_1", "email_address": "kim@callmine.test", "role": "org:member", "status": "pending",
		"created_at": t0, "updated_at": t0,
	})
	d.set(clerksync.ResourceDomain, map[string]any{"id": "orgdmn_1", "organization_id": "org_1", "name": "a.test", "created_at": t0, "updated_at": t0})

	report := b.sweep(t, d, SweepOptions{Trigger: TriggerCommand})
	require.Equal(t, 11, report.Missing, "3 memberships, 3 users, and one of each other kind but roles")
	require.Equal(t, 11, report.Repaired)
	require.Equal(t, 3, report.ByKind[clerksync.ResourceMembership].Missing)
	require.False(t, report.Aborted)
	require.Len(t, b.roles(t), 3)

	again := b.sweep(t, d, SweepOptions{Trigger: TriggerCommand})
	require.Zero(t, again.Missing+again.Stale+again.Extra+again.Repaired, "nothing is left to do")
	require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.organizations WHERE changed_at < (SELECT max(started_at) FROM rolecall.sweeps)"),
		"and nothing is written")
	standings, err := store.Standings(t.Context(), b.pool, store.Pair{UserID: "user_00000", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.Equal(t, []string{"org:a:b"}, standings[0].Permissions)
	clean, err := store.LastCleanSweep(t.Context(), b.pool)
	require.NoError(t, err)
	require.True(t, clean.StartedAt.Equal(standings[0].AsOf), "the whole mirror is as of the last clean sweep")
	require.Zero(t, b.count(t, "SELECT count(*) FROM rolecall.sweep_seen"))
}

func TestASweepRepairsWhatWasMissed(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(4)
	b.sweep(t, d, SweepOptions{})
	d.set(clerksync.ResourceMembership, membershipObject(0, "org:admin", 5)) // promoted
	d.set(clerksync.ResourceMembership, membershipObject(1, "org:owner", 0)) // a role's key changed, and nothing of the membership
	d.remove(clerksync.ResourceMembership, "orgmem_00002")
	d.member(9, "org:member")

	var found []store.FoundDrift
	dry := b.sweep(t, d, SweepOptions{DryRun: true, Found: func(f store.FoundDrift) { found = append(found, f) }})
	require.Equal(t, []int{2, 2, 1, 0}, []int{dry.Missing, dry.Stale, dry.Extra, dry.Repaired})
	require.Len(t, found, 5)
	require.Equal(t, "org:member", b.roles(t)["orgmem_00000"], "a dry run changes nothing")
	require.Zero(t, b.count(t, "SELECT count(*) FROM rolecall.drift WHERE difference <> 'missing'"))

	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, []int{2, 2, 1, 5}, []int{report.Missing, report.Stale, report.Extra, report.Repaired})
	require.Equal(t, []int{2, 2, 1}, []int{report.Added, report.Updated, report.Removed})
	require.Equal(t, map[string]string{
		"orgmem_00000": "org:admin", "orgmem_00001": "org:owner", "orgmem_00003": "org:member", "orgmem_00009": "org:member",
	}, b.roles(t))
	require.Equal(t, 1, b.count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND difference = 'extra' AND cause = 'undelivered'"))
	require.Contains(t, b.audit(t), auditRow{"org_1", "", "member.removed", "user_00002", report.SweepID})
	require.Zero(t, b.sweep(t, d, SweepOptions{}).Repaired)
}

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
	require.Equal(t, []string{"orgmem_00000"}, d.finds)
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
	b.deliver(t, event(t, "msg_1", "organization.created", 1, organizationObject("org_1", 0)))
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

// TestAWebhookThatRacesTheSweepWins: what came after the page was asked for is newer than the page.
func TestAWebhookThatRacesTheSweepWins(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	stale, occurred := membershipObject(0, "org:owner", 0), time.Now().UnixMilli()-t0
	d.tamper = func(r clerksync.Resource, _ clerksync.PageRequest, page *clerksync.Page) {
		if r != clerksync.ResourceMembership {
			return
		}
		d.tamper = nil
		page.Objects[0] = mustJSON(t, stale)
		// While the answer is under way: member 0 is demoted within the same millisecond by a clock that is behind ours, member 1 goes.
		b.deliver(t, event(t, "msg_1", "organizationMembership.updated", occurred, membershipObject(0, "org:guest", 0)))
		b.deliver(t, event(t, "msg_2", "organizationMembership.deleted", occurred, membershipObject(1, "org:member", 0)))
	}
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, map[string]string{"orgmem_00000": "org:guest", "orgmem_00002": "org:member"}, b.roles(t))
	require.Zero(t, report.Repaired)
	require.Empty(t, d.finds)
}

// TestAMemberWhoJoinsDuringTheSweepStays: it isn't in the pages, and its webhook came after the sweep began.
func TestAMemberWhoJoinsDuringTheSweepStays(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(2)
	b.sweep(t, d, SweepOptions{})
	d.tamper = func(r clerksync.Resource, _ clerksync.PageRequest, _ *clerksync.Page) {
		if r == clerksync.ResourceInvitation {
			d.tamper = nil
			b.deliver(t, event(t, "msg_1", "organizationMembership.created", 1, membershipObject(7, "org:member", 1)))
		}
	}
	report := b.sweep(t, d, SweepOptions{})
	require.Zero(t, report.Extra)
	require.Empty(t, d.finds)
	require.Len(t, b.roles(t), 3)
}

// TestATombstoneIsLiftedOnlyByALookUp: a forged or foreign deletion took somebody's access away.
func TestATombstoneIsLiftedOnlyByALookUp(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(2)
	b.sweep(t, d, SweepOptions{})
	b.deliver(t, event(t, "msg_1", "organizationMembership.deleted", 1, membershipObject(0, "org:member", 0)))
	b.deliver(t, event(t, "msg_2", "organization.deleted", 1, map[string]any{"id": "org_1"}))
	require.Empty(t, b.roles(t))

	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, []string{"org_1", "orgmem_00000"}, d.finds)
	require.Equal(t, 2, report.Added)
	require.Len(t, b.roles(t), 2)
	require.Contains(t, b.audit(t), auditRow{"org_1", "", "member.joined", "user_00000", report.SweepID})

	b.exec(t, "UPDATE rolecall.deliveries SET state = 'received' WHERE svix_id = 'msg_1'")
	_, err := b.apply(t.Context(), "msg_1")
	require.NoError(t, err)
	require.Len(t, b.roles(t), 2, "the same deletion once more")
	require.Zero(t, b.sweep(t, d, SweepOptions{}).Repaired)
}

func TestATombstoneStaysIfTheLookUpDoesNotShowIt(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(2)
	b.sweep(t, d, SweepOptions{})
	b.deliver(t, event(t, "msg_1", "organizationMembership.deleted", 1, membershipObject(0, "org:member", 0)))
	d.finding = func(r clerksync.Resource, _ clerksync.Reference) { d.remove(r, "orgmem_00000") }
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, []string{"orgmem_00000"}, d.finds)
	require.Zero(t, report.Repaired)
	require.Len(t, b.roles(t), 1)
}

// TestAListThatShiftsSkipsNobody: deletions move what follows into pages that were read already.
func TestAListThatShiftsSkipsNobody(t *testing.T) {
	t.Parallel()
	for _, deleted := range []int{1, 9, 40, 700} {
		t.Run(fmt.Sprint(deleted), func(t *testing.T) {
			t.Parallel()
			b, d := setup(t), populated(2000)
			d.tamper = func(r clerksync.Resource, p clerksync.PageRequest, _ *clerksync.Page) {
				if r == clerksync.ResourceMembership && p.Offset > 600 {
					d.tamper = nil
					d.objects[r] = d.objects[r][deleted:]
				}
			}
			report := b.sweep(t, d, SweepOptions{})
			require.False(t, report.Aborted, report.Detail)
			roles := b.roles(t)
			for n := deleted; n < 2000; n++ {
				require.Contains(t, roles, fmt.Sprintf("orgmem_%05d", n))
			}
		})
	}
}

func TestUsersAreListedByCursorOrElseByOffset(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1200)
	b.sweep(t, d, SweepOptions{})
	require.Contains(t, d.pages, "user@0user_00499")

	b, d = setup(t), populated(1200)
	ignored := d.objects[clerksync.ResourceUser]
	d.tamper = func(r clerksync.Resource, p clerksync.PageRequest, page *clerksync.Page) { // a Clerk that doesn't know the cursor
		if r == clerksync.ResourceUser && p.After != "" {
			page.Objects = nil
			for _, o := range ignored[:500] {
				page.Objects = append(page.Objects, mustJSON(t, o))
			}
		}
	}
	report := b.sweep(t, d, SweepOptions{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 1200, b.count(t, "SELECT count(*) FROM rolecall.users WHERE version ->> 'r' = '2'"))
}

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
	require.Equal(t, []string{"orgmem_00002", "orgmem_00003"}, d.finds)
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

func TestASweepOfOneOrganizationTouchesNoOther(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.deliver(t, event(t, "msg_1", "organizationMembership.created", 1, map[string]any{
		"id": "orgmem_other", "role": "org:member", "created_at": t0, "updated_at": t0,
		"organization": map[string]any{"id": "org_2"}, "public_user_data": map[string]any{"user_id": "user_x"},
	}))
	report := b.sweep(t, d, SweepOptions{OrganizationID: "org_1"})
	require.Zero(t, report.Extra)
	require.Len(t, b.roles(t), 4)
	require.Equal(t, 1, b.sweep(t, d, SweepOptions{}).Extra, "what a whole one finds")
}

func TestDriftIsCountedByItsCause(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	for n := range 3 {
		d.set(clerksync.ResourceMembership, membershipObject(n, "org:admin", 5))
	}
	waiting := event(t, "msg_1", "organizationMembership.updated", 5, membershipObject(0, "org:admin", 5))
	aside := event(t, "msg_2", "organizationMembership.updated", 5, membershipObject(1, "org:admin", 5))
	aside.Quarantine("for a test")
	b.insert(t, waiting, aside)
	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, 3, report.Updated)
	for _, cause := range []string{"waiting", "quarantined", "undelivered"} {
		require.Equal(t, 1, b.count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND difference = 'stale' AND cause = '"+cause+"'"))
	}
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

// TestAMembersRoleIsAsOfWhenClerkWasAsked: two roles exchanged their keys, and no event told of it, nor of their members.
func TestAMembersRoleIsAsOfWhenClerkWasAsked(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(2)
	role := func(id, key, permission string, after int64) map[string]any {
		return map[string]any{
			"id": id, "key": key, "name": id, "created_at": t0, "updated_at": t0 + after,
			"permissions": []any{map[string]any{"id": "perm_" + permission, "key": "org:" + permission, "name": permission}},
		}
	}
	for _, name := range []string{"read", "write"} {
		d.set(clerksync.ResourcePermission, map[string]any{"id": "perm_" + name, "key": "org:" + name, "name": name, "updated_at": t0})
	}
	d.set(clerksync.ResourceRole, role("role_1", "org:clerk", "read", 0))
	d.set(clerksync.ResourceRole, role("role_2", "org:lead", "write", 0))
	d.set(clerksync.ResourceMembership, membershipObject(0, "org:clerk", 1))
	d.set(clerksync.ResourceMembership, membershipObject(1, "org:lead", 1))
	b.sweep(t, d, SweepOptions{})
	d.set(clerksync.ResourceRole, role("role_1", "org:lead", "read", 7))
	d.set(clerksync.ResourceRole, role("role_2", "org:clerk", "write", 7))
	d.set(clerksync.ResourceMembership, membershipObject(0, "org:lead", 1))
	d.set(clerksync.ResourceMembership, membershipObject(1, "org:clerk", 1))
	b.sweep(t, d, SweepOptions{})
	standings, err := store.Standings(t.Context(), b.pool,
		store.Pair{UserID: "user_00000", OrganizationID: "org_1"}, store.Pair{UserID: "user_00001", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.Equal(t, []string{"org:read"}, standings[0].Permissions)
	require.Equal(t, []string{"org:write"}, standings[1].Permissions)
}

// TestASweepFollowsAChangeOfRoles, of which no event tells for each member.
func TestASweepFollowsAChangeOfRoles(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(1)
	cfg := b.workersConfig()
	cfg.Sweeper = b.sweeper(t, d)
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	start(t, w)
	in := b.inbox(t)
	role := func(svixID, key string, after int64) clerksync.Delivery {
		return event(t, svixID, "role.updated", after, map[string]any{"id": "role_1", "key": key, "name": "Clerk", "updated_at": t0 + after})
	}
	accept(t, in, role("msg_1", "org:clerk", 1))
	b.untilState(t, "msg_1", clerksync.StateApplied)
	require.Zero(t, b.count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'sweep'"))
	accept(t, in, role("msg_2", "org:guest", 2))
	b.untilState(t, "msg_2", clerksync.StateApplied)
	require.Equal(t, 1, b.count(t, "SELECT count(*) FROM rolecall.river_job WHERE kind = 'sweep' AND scheduled_at > now() + interval '5 seconds'"))
	b.exec(t, "UPDATE rolecall.river_job SET scheduled_at = now() WHERE kind = 'sweep'") // nobody wants to wait
	eventually(t, func() bool { return len(b.roles(t)) == 1 })
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

// TestARefreshLetsInWhoJustJoined, and revives nobody.
func TestARefreshLetsInWhoJustJoined(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(2)
	var allowed error
	refresher, err := NewRefresher(RefresherConfig{
		Pool: b.pool, Directory: d, Allowed: func() error { return allowed },
		UserMemberships: func(ctx context.Context, userID string) ([]json.RawMessage, error) {
			return d.Find(ctx, clerksync.ResourceMembership, clerksync.Reference{UserID: userID})
		},
	})
	require.NoError(t, err)
	require.NoError(t, refresher.Refresh(t.Context(), "user_00000", "org_1"))
	require.NoError(t, refresher.RefreshUser(t.Context(), "user_00001"))
	require.NoError(t, refresher.Refresh(t.Context(), "user_nobody", "org_1"))
	require.Len(t, b.roles(t), 2)
	require.Len(t, b.audit(t), 2)
	require.NoError(t, refresher.Refresh(t.Context(), "user_00000", "org_1"))
	require.Len(t, b.audit(t), 2, "nothing new")

	b.deliver(t, event(t, "msg_1", "organizationMembership.deleted", 1, membershipObject(0, "org:member", 0)))
	require.NoError(t, refresher.Refresh(t.Context(), "user_00000", "org_1"))
	require.NotContains(t, b.roles(t), "orgmem_00000", "an answer right after a removal may be of before")
	d.member(7, "org:member")
	d.set(clerksync.ResourceUser, map[string]any{"id": "user_00007", "banned": true, "created_at": t0, "updated_at": t0})
	require.NoError(t, refresher.Refresh(t.Context(), "user_00007", "org_1"))
	require.NotContains(t, b.roles(t), "orgmem_00007", "of whose ban only the user itself tells")

	d.err = clerksync.ErrUnavailable
	require.ErrorIs(t, refresher.Refresh(t.Context(), "user_00000", "org_1"), clerksync.ErrUnavailable)
	d.finds, allowed = nil, errors.New("a key of another instance")
	require.ErrorIs(t, refresher.Refresh(t.Context(), "user_00000", "org_1"), allowed)
	require.Empty(t, d.finds)
}

// TestClerksWordIsFinal: what a delivery from the future says wins against every later one, but not against Clerk.
func TestClerksWordIsFinal(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	const century = 100 * 365 * 24 * 3600 * 1000
	b.deliver(t, event(t, "msg_1", "organizationMembership.updated", 1, membershipObject(0, "org:admin", century)))
	b.deliver(t, event(t, "msg_2", "user.updated", 1, map[string]any{"id": "user_00001", "banned": true, "created_at": t0, "updated_at": t0 + century}))
	moved := membershipObject(2, "org:member", 0)
	moved["organization"] = map[string]any{"id": "org_zzz"}
	b.deliver(t, event(t, "msg_3", "organizationMembership.updated", 1, moved))
	require.Equal(t, "org:admin", b.roles(t)["orgmem_00000"])
	require.NotContains(t, b.roles(t), "orgmem_00001")

	report := b.sweep(t, d, SweepOptions{})
	require.Equal(t, 3, report.Stale)
	require.Equal(t, map[string]string{"orgmem_00000": "org:member", "orgmem_00001": "org:member", "orgmem_00002": "org:member"}, b.roles(t))
	standings, err := store.Standings(t.Context(), b.pool, store.Pair{UserID: "user_00002", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.True(t, standings[0].Member)
	require.Zero(t, b.sweep(t, d, SweepOptions{}).Stale)

	b.deliver(t, event(t, "msg_4", "organizationMembership.updated", 9, membershipObject(0, "org:admin", 9)))
	require.Equal(t, "org:admin", b.roles(t)["orgmem_00000"], "real deliveries count again")
}

// TestASweepOfADeletedOrganizationEndsIt.
func TestASweepOfADeletedOrganizationEndsIt(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(3)
	b.sweep(t, d, SweepOptions{})
	d.mu.Lock()
	clear(d.objects)
	d.mu.Unlock()
	report := b.sweep(t, d, SweepOptions{OrganizationID: "org_1"})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 4, report.Removed, "with its three members")
	require.Empty(t, b.roles(t))
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

// TestWhoJustJoinedIsNotRemovedByAnAnswerFromBefore: Clerk's lists and look-ups may lag behind its webhooks.
func TestWhoJustJoinedIsNotRemovedByAnAnswerFromBefore(t *testing.T) {
	t.Parallel()
	b, d := setup(t), populated(2)
	b.sweep(t, d, SweepOptions{})
	b.deliver(t, event(t, "msg_1", "organizationMembership.created", 1, membershipObject(7, "org:member", 1)))
	looked := 0
	slow, err := NewSweeper(SweeperConfig{Pool: b.pool, Directory: lagging{d, &looked}, Logger: b.logs.logger(), Settle: time.Second})
	require.NoError(t, err)
	report, err := slow.Run(t.Context(), SweepOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, report.Vindicated)
	require.Zero(t, report.Removed)
	require.Len(t, b.roles(t), 3)
}

// lagging is a directory whose first look-up shows nothing yet.
type lagging struct {
	*directory

	looked *int
}

func (l lagging) Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	if *l.looked++; *l.looked == 1 {
		return nil, nil
	}
	l.set(r, membershipObject(7, "org:member", 1))
	return l.directory.Find(ctx, r, ref)
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
