package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

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
	refresher, err := NewRefresher(RefresherConfig{
		Pool: b.pool, Directory: d,
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
	d.err = clerksync.ErrUnavailable
	require.ErrorIs(t, refresher.Refresh(t.Context(), "user_00000", "org_1"), clerksync.ErrUnavailable)
}
