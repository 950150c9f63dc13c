package sync_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

var grants = clerksync.Grants{"org:member": {"reports:read"}, "org:admin": {"reports:read", "billing:manage"}}

func TestDecide(t *testing.T) {
	t.Parallel()
	member := clerksync.Standing{UserID: "user_1", OrganizationID: "org_a", EverMember: true, Member: true, Role: "org:member"}
	with := func(change func(*clerksync.Standing)) clerksync.Standing {
		s := member
		change(&s)
		return s
	}
	for name, tc := range map[string]struct {
		standing   clerksync.Standing
		permission string
		want       clerksync.Reason
	}{
		"member, granted":     {member, "reports:read", clerksync.ReasonAllowed},
		"member, not granted": {member, "billing:manage", clerksync.ReasonPermissionMissing},
		"membership alone":    {member, "", clerksync.ReasonAllowed},
		"admin":               {with(func(s *clerksync.Standing) { s.Role = "org:admin" }), "billing:manage", clerksync.ReasonAllowed},
		"custom role without any permission": {
			with(func(s *clerksync.Standing) { s.Role = "org:guest" }), "reports:read", clerksync.ReasonUnknownRole,
		},
		"custom role is a member": {with(func(s *clerksync.Standing) { s.Role = "org:guest" }), "", clerksync.ReasonAllowed},
		"custom role with Clerk's permission": {
			with(func(s *clerksync.Standing) { s.Role = "org:clerk"; s.Permissions = []string{"org:invoices:read"} }),
			"org:invoices:read", clerksync.ReasonAllowed,
		},
		"custom role with another permission": {
			with(func(s *clerksync.Standing) { s.Role = "org:clerk"; s.Permissions = []string{"org:invoices:read"} }),
			"reports:read", clerksync.ReasonPermissionMissing,
		},
		"left": {with(func(s *clerksync.Standing) { s.Member = false }), "reports:read", clerksync.ReasonNotAMember},
		"never came, workspace gone, user gone": {
			clerksync.Standing{OrganizationDead: true, User: clerksync.UserStatus{Dead: true}}, "reports:read", clerksync.ReasonNotAMember,
		},
		"everything at once: the workspace": {
			with(func(s *clerksync.Standing) {
				s.OrganizationDead, s.Member = true, false
				s.User = clerksync.UserStatus{Dead: true, Banned: true, Deprovisioned: true}
			}), "reports:read", clerksync.ReasonWorkspaceDeleted,
		},
		"user gone before banned": {
			with(func(s *clerksync.Standing) {
				s.User = clerksync.UserStatus{Dead: true, Banned: true, Deprovisioned: true}
			}),
			"reports:read", clerksync.ReasonUserDeleted,
		},
		"banned before deprovisioned": {
			with(func(s *clerksync.Standing) { s.User = clerksync.UserStatus{Banned: true, Deprovisioned: true} }),
			"reports:read", clerksync.ReasonUserBanned,
		},
		"deprovisioned before having left": {
			with(func(s *clerksync.Standing) { s.User.Deprovisioned = true; s.Member = false }),
			"reports:read", clerksync.ReasonUserDeprovisioned,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := grants.Decide(tc.standing, tc.permission)
			require.Equal(t, tc.want, d.Reason)
			require.Equal(t, tc.want == clerksync.ReasonAllowed, d.Allowed)
			mayAct := tc.want == clerksync.ReasonAllowed || tc.want == clerksync.ReasonPermissionMissing || tc.want == clerksync.ReasonUnknownRole
			require.Equal(t, mayAct, d.Role != "", "a role is told only of a member who may act")
		})
	}
}

func TestFreshness_StaleMirrorAllowsNothing(t *testing.T) {
	t.Parallel()
	asOf := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	standing := clerksync.Standing{EverMember: true, Member: true, Role: "org:member", Revision: 7, AsOf: asOf}
	never := standing
	never.AsOf = time.Time{}
	for name, tc := range map[string]struct {
		demand clerksync.Freshness
		of     clerksync.Standing
		stale  bool
	}{
		"nothing demanded":        {clerksync.Freshness{}, standing, false},
		"nothing demanded, never": {clerksync.Freshness{}, never, false},
		"revision reached":        {clerksync.Freshness{MinRevision: 7}, standing, false},
		"revision not reached":    {clerksync.Freshness{MinRevision: 8}, standing, true},
		"just fresh enough":       {clerksync.Freshness{MaxStaleness: time.Minute}, standing, false},
		"a moment too old":        {clerksync.Freshness{MaxStaleness: time.Minute - 1}, standing, true},
		"never agreed":            {clerksync.Freshness{MaxStaleness: 1 << 62}, never, true},
		"one of two":              {clerksync.Freshness{MinRevision: 7, MaxStaleness: time.Second}, standing, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := asOf.Add(time.Minute)
			for _, permission := range []string{"reports:read", "", "billing:manage"} {
				want := grants.Decide(tc.of, permission)
				if tc.stale && want.Allowed {
					want.Allowed, want.Reason = false, clerksync.ReasonStale
				}
				require.Equal(t, want, tc.demand.Judge(grants.Decide(tc.of, permission), now))
			}
			stranger := grants.Decide(clerksync.Standing{}, "reports:read")
			require.Equal(t, stranger, tc.demand.Judge(stranger, now), "a refusal stands")
		})
	}
}

func TestGrants_PermissionsAreASortedUnion(t *testing.T) {
	t.Parallel()
	s := clerksync.Standing{Member: true, Role: "org:admin", Permissions: []string{"org:invoices:read", "reports:read"}}
	require.Equal(t, []string{"billing:manage", "org:invoices:read", "reports:read"}, grants.Effective(s))
	s.Member = false
	require.Empty(t, grants.Effective(s))
	require.Equal(t, []string{"reports:read", "billing:manage"}, grants["org:admin"], "the policy itself isn't sorted")
}

func TestGrants_NameWhatNoRoleHas(t *testing.T) {
	t.Parallel()
	policy := clerksync.Grants{"org:member": {"reports:read"}, "org:admin": {"reports:write"}}
	atClerk := func(permission string) bool { return permission == "org:a:b" }
	for permission, want := range map[string]clerksync.Reason{
		"reports:write": clerksync.ReasonPermissionMissing, "org:a:b": clerksync.ReasonPermissionMissing,
		"reports:wrte": clerksync.ReasonUnknownPermission, "org:a:c": clerksync.ReasonUnknownPermission,
	} {
		d := policy.Decide(clerksync.Standing{EverMember: true, Member: true, Role: "org:member"}, permission)
		require.Equal(t, clerksync.ReasonPermissionMissing, d.Reason)
		named := policy.Name(d, atClerk)
		require.Equal(t, want, named.Reason, permission)
		named.Reason = d.Reason
		require.Equal(t, d, named)
	}
	for _, other := range []clerksync.Decision{
		{Allowed: true, Reason: clerksync.ReasonAllowed, Permission: "x"}, {Reason: clerksync.ReasonNotAMember, Permission: "x"}, {Reason: clerksync.ReasonUnknownRole, Permission: "x"},
	} {
		require.Equal(t, other, policy.Name(other, atClerk))
	}
}

func TestRoles_Permit(t *testing.T) {
	t.Parallel()
	roles := clerksync.Roles{"org:a": {{Key: "org:a"}, {Key: "org:b", Permissions: []string{"org:x:y"}}}}
	require.True(t, roles.Permit("org:x:y"))
	require.False(t, roles.Permit("org:x:z"))
	require.False(t, roles.Permit("org:a"))
	require.True(t, clerksync.Roles(nil).Permit("org:x:z"), "the copies in memberships may have it")
	require.False(t, clerksync.Roles(nil).Permit("x:z"), "which no permission at Clerk is called")
}
