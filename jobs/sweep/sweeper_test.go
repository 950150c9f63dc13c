package sweep

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestSweep_FillsEmptyMirror(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	d.Set(clerksync.ResourceRole, map[string]any{
		"id": "role_1", "key": "org:member", "name": "Member", "updated_at": mirrortest.T0, "created_at": mirrortest.T0,
		"permissions": []any{map[string]any{"id": "perm_1", "key": "org:a:b", "name": "A"}},
	})
	d.Set(clerksync.ResourcePermission, map[string]any{"id": "perm_1", "key": "org:a:b", "name": "A", "updated_at": mirrortest.T0, "created_at": mirrortest.T0})
	d.Set(clerksync.ResourceInvitation, map[string]any{
		"id": "orginv_1", "organization_id": "org_1", "email_address": "kim@callmine.test", "role": "org:member", "status": "pending",
		"created_at": mirrortest.T0, "updated_at": mirrortest.T0,
	})
	d.Set(clerksync.ResourceDomain, map[string]any{"id": "orgdmn_1", "organization_id": "org_1", "name": "a.test", "created_at": mirrortest.T0, "updated_at": mirrortest.T0})

	report := b.sweep(t, d, Options{Trigger: TriggerCommand})
	require.Equal(t, 11, report.Missing, "3 memberships, 3 users, and one of each other kind but roles")
	require.Equal(t, 11, report.Repaired)
	require.Equal(t, 3, report.ByKind[clerksync.ResourceMembership].Missing)
	require.False(t, report.Aborted)
	require.Len(t, b.Roles(t), 3)
	require.Equal(t, 3, b.Count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND cause = 'first_fill'"))
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.drift WHERE cause = 'undelivered'"), "nothing was lost: all is older than the mirror")

	again := b.sweep(t, d, Options{Trigger: TriggerCommand})
	require.Zero(t, countsOf(again), "nothing is left to do")
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.organizations WHERE changed_at < (SELECT max(started_at) FROM rolecall.sweeps)"),
		"and nothing is written")
	standings, err := store.Standings(t.Context(), b.Pool, store.Pair{UserID: "user_00000", OrganizationID: "org_1"})
	require.NoError(t, err)
	require.Equal(t, []string{"org:a:b"}, standings[0].Permissions)
	clean, err := store.LastCleanSweep(t.Context(), b.Pool)
	require.NoError(t, err)
	require.True(t, clean.StartedAt.Equal(standings[0].AsOf), "the whole mirror is as of the last clean sweep")
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.sweep_seen"))
}

func TestSweep_RepairsMissedChanges(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(4)
	b.sweep(t, d, Options{})
	d.Set(clerksync.ResourceMembership, mirrortest.Membership(0, "org:admin", 5)) // promoted
	d.Set(clerksync.ResourceMembership, mirrortest.Membership(1, "org:owner", 0)) // only the key of its role changed
	d.Remove(clerksync.ResourceMembership, "orgmem_00002")
	d.Member(9, "org:member")

	var found []store.FoundDrift
	dry := b.sweep(t, d, Options{DryRun: true, Found: func(f store.FoundDrift) { found = append(found, f) }})
	require.Equal(t, counts{Missing: 2, Stale: 2, Extra: 1}, countsOf(dry))
	require.Len(t, found, 5)
	require.Equal(t, "org:member", b.Roles(t)["orgmem_00000"], "a dry run changes nothing")
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.drift WHERE difference <> 'missing'"))

	report := b.sweep(t, d, Options{})
	require.Equal(t, counts{Missing: 2, Stale: 2, Extra: 1, Repaired: 5, Added: 2, Updated: 2, Removed: 1}, countsOf(report))
	require.Equal(t, map[string]string{
		"orgmem_00000": "org:admin", "orgmem_00001": "org:owner", "orgmem_00003": "org:member", "orgmem_00009": "org:member",
	}, b.Roles(t))
	require.Equal(t, 1, b.Count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND difference = 'extra' AND cause = 'undelivered'"))
	require.Contains(t, b.Audit(t), mirrortest.AuditRow{Organization: "org_1", Action: "member.removed", Target: "user_00002", Cause: report.SweepID})
	require.Zero(t, b.sweep(t, d, Options{}).Repaired)
}

func TestSweep_ListsUsersByCursorOrElseByOffset(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(1200)
	b.sweep(t, d, Options{})
	require.Contains(t, d.Pages, "user@0user_00499")

	b, d = setup(t), mirrortest.Populated(1200)
	ignored := d.Objects[clerksync.ResourceUser]
	d.Tamper = func(r clerksync.Resource, p clerksync.PageRequest, page *clerksync.Page) { // a Clerk that doesn't know the cursor
		if r == clerksync.ResourceUser && p.After != "" {
			page.Objects = nil
			for _, o := range ignored[:500] {
				page.Objects = append(page.Objects, mirrortest.JSON(t, o))
			}
		}
	}
	report := b.sweep(t, d, Options{})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 1200, b.Count(t, "SELECT count(*) FROM rolecall.users WHERE version ->> 'r' = '2'"))
}

func TestSweep_OfOneOrganizationTouchesNoOther(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.Deliver(t, mirrortest.Event(t, "msg_1", "organizationMembership.created", 1, map[string]any{
		"id": "orgmem_other", "role": "org:member", "created_at": mirrortest.T0, "updated_at": mirrortest.T0,
		"organization": map[string]any{"id": "org_2"}, "public_user_data": map[string]any{"user_id": "user_x"},
	}))
	report := b.sweep(t, d, Options{OrganizationID: "org_1"})
	require.Zero(t, report.Extra)
	require.Len(t, b.Roles(t), 4)
	require.Equal(t, 1, b.sweep(t, d, Options{}).Extra, "which a full sweep finds")
}

func TestSweep_CountsDriftByCause(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	for n := range 3 {
		d.Set(clerksync.ResourceMembership, mirrortest.Membership(n, "org:admin", 5))
	}
	waiting := mirrortest.Event(t, "msg_1", "organizationMembership.updated", 5, mirrortest.Membership(0, "org:admin", 5))
	aside := mirrortest.Event(t, "msg_2", "organizationMembership.updated", 5, mirrortest.Membership(1, "org:admin", 5))
	aside.Quarantine("for a test")
	b.Insert(t, waiting, aside)
	report := b.sweep(t, d, Options{})
	require.Equal(t, 3, report.Updated)
	for _, cause := range []string{"waiting", "quarantined", "undelivered"} {
		require.Equal(t, 1, b.Count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND difference = 'stale' AND cause = '"+cause+"'"))
	}
}

func TestSweep_OfDeletedOrganizationEndsIt(t *testing.T) {
	t.Parallel()
	b, d := setup(t), mirrortest.Populated(3)
	b.sweep(t, d, Options{})
	d.Clear()
	report := b.sweep(t, d, Options{OrganizationID: "org_1"})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 4, report.Removed, "with its three members")
	require.Empty(t, b.Roles(t))
}

// lagging is a directory whose first look-up shows nothing yet.
type lagging struct {
	*mirrortest.Directory

	looked *int
}

func (l lagging) Find(ctx context.Context, r clerksync.Resource, ref clerksync.Reference) ([]json.RawMessage, error) {
	if *l.looked++; *l.looked == 1 {
		return nil, nil
	}
	l.Set(r, mirrortest.Membership(7, "org:member", 1))
	return l.Directory.Find(ctx, r, ref)
}
