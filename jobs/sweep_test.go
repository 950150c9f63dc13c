package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

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
	require.Equal(t, 3, b.count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND cause = 'first_fill'"))
	require.Zero(t, b.count(t, "SELECT count(*) FROM rolecall.drift WHERE cause = 'undelivered'"), "nothing was lost: it is older than the mirror")

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
