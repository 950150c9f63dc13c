package sweep

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestSweep_FillsEmptyMirror(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	admin, member := s.clerk.Members()[0], s.clerk.Members()[1]
	s.role("org:clerk", "org:invoices:read")
	s.setRole(member, "org:clerk")
	_, err := s.world.Invite(s.organization, admin.UserID, "kim@callmine.test", clerksim.RoleMember)
	require.NoError(t, err)
	_, err = s.world.AddDomain(s.organization, "callmine.test")
	require.NoError(t, err)

	report := s.sweep(Options{Trigger: TriggerCommand})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, counts{Missing: report.Listed, Repaired: report.Listed, Added: report.Listed}, countsOf(report))
	missing := map[clerksync.Resource]int{}
	for kind, counts := range report.ByKind {
		missing[kind] = counts.Missing
	}
	require.Equal(t, 3, missing[clerksync.ResourceMembership])
	require.Len(t, missing, len(clerksync.Resources()), "some of each kind")
	s.requireEqual()
	require.Equal(t, 3, s.Count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND cause = 'first_fill'"))
	require.Zero(t, s.Count(t, "SELECT count(*) FROM rolecall.drift WHERE cause = 'undelivered'"), "nothing was lost: all is older than the mirror")

	again := s.sweep(Options{Trigger: TriggerCommand})
	require.Zero(t, countsOf(again), "nothing is left to do")
	require.Equal(t, 1, s.Count(t, "SELECT count(*) FROM rolecall.organizations WHERE changed_at < (SELECT max(started_at) FROM rolecall.sweeps)"),
		"and nothing is written")
	standings, err := store.Standings(t.Context(), s.Pool, store.Pair{UserID: member.UserID, OrganizationID: s.organization})
	require.NoError(t, err)
	require.Equal(t, []string{"org:invoices:read"}, standings[0].Permissions)
	clean, err := store.LastCleanSweep(t.Context(), s.Pool)
	require.NoError(t, err)
	require.True(t, clean.StartedAt.Equal(standings[0].AsOf), "the whole mirror is as of the last clean sweep")
}

func TestSweep_RepairsMissedChanges(t *testing.T) {
	t.Parallel()
	s := simulate(t, 4)
	members, clerk := s.clerk.Members(), s.role("org:clerk", "org:invoices:read")
	s.setRole(members[2], "org:clerk")
	s.sweep(Options{})
	before := s.Roles(t)
	s.setRole(members[1], clerksim.RoleAdmin)
	s.renameRole(clerk, "org:owner") // in the membership, this changes only the role's key
	s.remove(members[3])
	s.member()

	var found []store.FoundDrift
	dry := s.sweep(Options{DryRun: true, Found: func(f store.FoundDrift) { found = append(found, f) }})
	require.Equal(t, counts{Missing: 2, Stale: 3, Extra: 1}, countsOf(dry), "a user and a membership; two memberships and a role; a membership")
	require.Len(t, found, 6)
	require.Equal(t, before, s.Roles(t), "a dry run changes nothing")
	require.Zero(t, s.Count(t, "SELECT count(*) FROM rolecall.drift WHERE difference <> 'missing'"))

	report := s.sweep(Options{})
	require.Equal(t, counts{Missing: 2, Stale: 3, Extra: 1, Repaired: 6, Added: 2, Updated: 3, Removed: 1}, countsOf(report))
	s.requireEqual()
	require.Equal(t, 1, s.Count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND difference = 'extra' AND cause = 'undelivered'"))
	require.Contains(t, s.Audit(t), mirrortest.AuditRow{
		Organization: s.organization, Action: "member.removed", Target: members[3].UserID, Cause: report.SweepID,
	})
	require.Zero(t, countsOf(s.sweep(Options{})))
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
	s := simulate(t, 3)
	members := s.clerk.Members()
	other, err := s.world.CreateOrganization(clerksim.NewOrganization{CreatedBy: members[1].UserID})
	require.NoError(t, err)
	elsewhere, err := s.world.AddMember(other.ID, members[2].UserID, "")
	require.NoError(t, err)
	s.sweep(Options{})
	s.remove(members[2], elsewhere)
	require.Equal(t, 1, s.sweep(Options{OrganizationID: s.organization}).Removed)
	require.Contains(t, s.Roles(t), elsewhere.ID)
	require.Equal(t, 1, s.sweep(Options{}).Removed, "which a full sweep finds")
	s.requireEqual()
}

func TestSweep_CountsDriftByCause(t *testing.T) {
	t.Parallel()
	s := simulate(t, 4)
	s.sweep(Options{})
	for _, m := range s.clerk.Members()[1:] {
		s.setRole(m, clerksim.RoleAdmin)
	}
	sent := s.clerk.Deliveries()
	require.Len(t, sent, 3)
	sent[1].Quarantine("for a test")
	s.Insert(t, sent[:2]...) // and the third is lost
	require.Equal(t, 3, s.sweep(Options{}).Updated)
	for _, cause := range []string{"waiting", "quarantined", "undelivered"} {
		require.Equal(t, 1, s.Count(t, "SELECT count FROM rolecall.drift WHERE resource = 'membership' AND difference = 'stale' AND cause = '"+cause+"'"))
	}
}

func TestSweep_OfDeletedOrganizationEndsIt(t *testing.T) {
	t.Parallel()
	s := simulate(t, 3)
	s.sweep(Options{})
	require.NoError(t, s.world.DeleteOrganization(s.organization))
	report := s.sweep(Options{OrganizationID: s.organization})
	require.False(t, report.Aborted, report.Detail)
	require.Equal(t, 4, report.Removed, "with its three members")
	require.Empty(t, s.Roles(t))
}
