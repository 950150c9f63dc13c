package sync_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	clerksync "github.com/callmine/rolecall/sync"
)

func inquiryNow() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// drawInquiry draws a question in a small world, so that each reason is frequent.
func drawInquiry(t *rapid.T) clerksync.Inquiry {
	permissions := rapid.SampledFrom(append([]string{"reports:read", "billing:manage", "org:invoices:read"}, clerksync.ManagingPermissions()...))
	roles := []string{"org:admin", "org:guest", "org:member"}
	q := clerksync.Inquiry{
		Permission: rapid.OneOf(permissions, rapid.Just("")).Draw(t, "permission"), Now: inquiryNow(),
		Grants: clerksync.Grants{}, Roles: clerksync.Roles{},
	}
	for _, role := range roles {
		if granted := rapid.SliceOfDistinct(permissions, rapid.ID[string]).Draw(t, role); len(granted) > 0 {
			q.Grants[role] = granted
		}
		if rapid.Bool().Draw(t, role+" is known") {
			q.Provenance.RoleKeys = append(q.Provenance.RoleKeys, role)
			q.Roles[role] = []clerksync.KeyHolder{{Key: role, Permissions: rapid.SliceOfDistinct(permissions, rapid.ID[string]).Draw(t, role+" at Clerk")}}
		}
	}
	q.Standing = drawStanding(t, roles, q.Roles)
	if q.Standing.Member && len(q.Roles) == 0 { // then Clerk's message of the membership says them
		q.Standing.Permissions = rapid.SliceOfDistinct(permissions, rapid.ID[string]).Draw(t, "in the message")
	}
	q.Provenance.UserKnown = rapid.Bool().Draw(t, "user known")
	q.Provenance.OrganizationKnown = rapid.Bool().Draw(t, "organization known")
	q.Provenance.HeldByOthers = rapid.SliceOfDistinct(rapid.SampledFrom(clerksync.ManagingPermissions()), rapid.ID[string]).Draw(t, "others have")
	q.Provenance.Seats = rapid.SampledFrom([]clerksync.Seats{{}, {}, {Taken: 4, Limit: 5}, {Taken: 5, Limit: 5}, {Taken: 6, Limit: 5}}).Draw(t, "seats")
	q.Provenance.Policy.Grantable = rapid.Bool().Draw(t, "grantable")
	q.Freshness = rapid.SampledFrom([]clerksync.Freshness{{}, {}, {}, {MinRevision: 8}, {MaxStaleness: time.Minute}, {MinRevision: 8, MaxStaleness: time.Minute}}).Draw(t, "demand")
	q.Impersonation.By = rapid.SampledFrom([]string{"", "", "user_support"}).Draw(t, "impersonator")
	q.Impersonation.Denied = rapid.SliceOfDistinct(permissions, rapid.ID[string]).Draw(t, "denied")
	return q
}

func drawStanding(t *rapid.T, roles []string, known clerksync.Roles) clerksync.Standing {
	rarely := rapid.Custom(func(t *rapid.T) bool { return rapid.IntRange(0, 7).Draw(t, "of eight") == 0 })
	s := clerksync.Standing{
		UserID: "user_1", OrganizationID: "org_a", OrganizationDead: rarely.Draw(t, "organization dead"),
		User:       clerksync.UserStatus{Dead: rarely.Draw(t, "dead"), Banned: rarely.Draw(t, "banned"), Deprovisioned: rarely.Draw(t, "deprovisioned")},
		EverMember: !rarely.Draw(t, "never a member"), Revision: rapid.Int64Range(6, 9).Draw(t, "revision"),
		AsOf: rapid.SampledFrom([]time.Time{{}, inquiryNow(), inquiryNow().Add(-time.Hour)}).Draw(t, "as of"),
	}
	if s.EverMember && !rarely.Draw(t, "left") {
		s.Member, s.Role = true, rapid.SampledFrom(roles).Draw(t, "role")
		for _, holder := range known[s.Role] {
			s.Permissions = holder.Permissions
		}
	}
	return s
}

// asDecided is the decision as package api makes it.
func asDecided(q clerksync.Inquiry) clerksync.Decision {
	d := q.Impersonation.Judge(q.Grants.Decide(q.Standing, q.Permission))
	return q.Grants.Name(q.Freshness.Judge(d, q.Now), q.Roles.Permit)
}

func failing(r clerksync.Reasoning) (facts []clerksync.FactName) {
	for _, f := range r.Facts {
		if f.Fails() {
			facts = append(facts, f.Name)
		}
	}
	return facts
}

func TestLaw_ExplanationAndDecisionAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := drawInquiry(t)
		r := q.Explain()
		require.Equal(t, asDecided(q), r.Decision)
		require.Equal(t, r.Decision.Allowed, len(failing(r)) == 0, "allowed, exactly if no fact refuses: %v", r.Facts)
		require.Equal(t, !r.Decision.Allowed, r.Deciding().Fails(), "the reason's fact refuses")
		for i, name := range clerksync.FactNames() {
			f := r.Facts[i]
			require.Equal(t, name, f.Name)
			require.NotEmpty(t, f.Detail)
			require.False(t, !f.Applies && f.Holds)
		}
		if r.Decision.Allowed {
			require.Nil(t, r.Change, "nothing needs to change")
		}
	})
}

// TestExplain_NeverGivesTheRoleThatIsHeld: the role was deleted, and another one made with its key.
// The membership has the deleted one.
func TestExplain_NeverGivesTheRoleThatIsHeld(t *testing.T) {
	t.Parallel()
	q := clerksync.Inquiry{
		Standing:   clerksync.Standing{UserID: "user_1", OrganizationID: "org_a", EverMember: true, Member: true, Role: "org:clerk"},
		Permission: "org:invoices:read", Now: inquiryNow(),
		Roles: clerksync.Roles{"org:clerk": {{Key: "org:clerk"}, {Key: "org:clerk", Permissions: []string{"org:invoices:read"}}}},
	}
	q.Provenance.RoleKeys = []string{"org:clerk"}
	require.Equal(t, clerksync.ReasonUnknownRole, q.Explain().Decision.Reason)
	require.Nil(t, q.Explain().Change)
}

// TestExplain_NoSweepIsFastEnough: its beginning is older than demanded when it ends.
func TestExplain_NoSweepIsFastEnough(t *testing.T) {
	t.Parallel()
	q := clerksync.Inquiry{
		Standing:   clerksync.Standing{UserID: "user_1", OrganizationID: "org_a", EverMember: true, Member: true, AsOf: inquiryNow().Add(-time.Hour)},
		Freshness:  clerksync.Freshness{MaxStaleness: time.Minute},
		Now:        inquiryNow(),
		Provenance: clerksync.Provenance{SweepTook: 59 * time.Second},
	}
	require.Equal(t, clerksync.ChangeWaitForSweep, q.Explain().Change.Kind)
	q.Provenance.SweepTook = time.Minute
	require.Equal(t, clerksync.ReasonStale, q.Explain().Decision.Reason)
	require.Nil(t, q.Explain().Change)
}

// repair changes the inquiry so that one fact holds, and no other fact changes.
func repair(q clerksync.Inquiry, fact clerksync.FactName) clerksync.Inquiry {
	switch fact {
	case clerksync.FactAccount:
		q.Standing.User = clerksync.UserStatus{}
	case clerksync.FactWorkspace:
		q.Standing.OrganizationDead = false
	case clerksync.FactMembership:
		q.Standing.EverMember, q.Standing.Member, q.Standing.Role = true, true, "org:all"
		q.Grants = maps.Clone(q.Grants)
		q.Grants["org:all"] = []string{q.Permission, "another"}
	case clerksync.FactRole, clerksync.FactGrant:
		q.Standing.Permissions = append(slices.Clone(q.Standing.Permissions), q.Permission)
	case clerksync.FactFreshness:
		q.Freshness = clerksync.Freshness{}
	default:
		q.Impersonation.By = ""
	}
	return q
}

// harm changes the inquiry so that one fact fails.
func harm(q clerksync.Inquiry, fact clerksync.FactName) clerksync.Inquiry {
	switch fact {
	case clerksync.FactAccount:
		q.Standing.User.Banned = true
	case clerksync.FactWorkspace:
		q.Standing.OrganizationDead = true
	case clerksync.FactMembership:
		q.Standing.Member = false
	case clerksync.FactRole:
		q.Standing.Role, q.Standing.Permissions = "org:nothing", nil
	case clerksync.FactGrant:
		q.Standing.Role, q.Standing.Permissions = "org:little", []string{"another"}
	case clerksync.FactFreshness:
		q.Freshness.MinRevision = q.Standing.Revision + 1
	default:
		q.Impersonation = clerksync.Impersonation{By: "user_support", Denied: []string{q.Permission}}
	}
	return q
}

// A refusal becomes an allowance once each fact that refuses is put right, and not before the last
// one. An allowance becomes a refusal if any fact that holds is spoilt.
func TestLaw_EachFactFlippedFlipsTheAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := drawInquiry(t)
		r := q.Explain()
		wrong := rapid.Permutation(failing(r)).Draw(t, "order")
		for i, fact := range wrong {
			require.False(t, asDecided(q).Allowed, "refused while %v fail", wrong[i:])
			q = repair(q, fact)
		}
		require.True(t, asDecided(q).Allowed, "allowed once %v are put right", wrong)
		for _, f := range q.Explain().Facts {
			if f.Holds {
				require.False(t, asDecided(harm(q, f.Name)).Allowed, f.Name)
				require.True(t, harm(q, f.Name).Explain().Fact(f.Name).Fails(), f.Name)
			}
		}
	})
}

// made is the inquiry after a change.
func made(t *rapid.T, q clerksync.Inquiry, c clerksync.Change) clerksync.Inquiry {
	switch c.Kind {
	case clerksync.ChangeUnbanUser:
		q.Standing.User.Banned = false
	case clerksync.ChangeRestoreUser:
		q.Standing.User.Deprovisioned = false
	case clerksync.ChangeAddMember, clerksync.ChangeGiveRole:
		q.Standing.EverMember, q.Standing.Member, q.Standing.Role, q.Standing.Permissions = true, true, c.Role, nil
		for _, holder := range q.Roles[c.Role] {
			q.Standing.Permissions = holder.Permissions
		}
	case clerksync.ChangeGrantPermission:
		q.Grants = maps.Clone(q.Grants)
		q.Grants[c.Subject] = append(slices.Clone(q.Grants[c.Subject]), q.Permission)
	case clerksync.ChangeWaitForSweep:
		q.Standing.AsOf = q.Now
	case clerksync.ChangeWaitForRevision:
		q.Standing.Revision = q.Freshness.MinRevision
	case clerksync.ChangeEndImpersonation:
		q.Impersonation.By = ""
	default:
		t.Fatalf("unknown change %q", c.Kind)
	}
	return q
}

func TestLaw_TheChangeLetsThePersonIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := drawInquiry(t)
		if c := q.Explain().Change; c != nil {
			require.NotEmpty(t, c.Words)
			require.NotEmpty(t, c.Subject)
			require.True(t, asDecided(made(t, q, *c)).Allowed, "%+v", *c)
		}
	})
}

// TestLaw_NoRoleTakesAPermissionUnsaid, nor the last one to manage members; and if a role takes
// nothing, none is suggested that does.
func TestLaw_NoRoleTakesAPermissionUnsaid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := drawInquiry(t)
		// Mostly, only the role is in the way: else few of the hundred draws of a short run suggest one.
		q.Standing.OrganizationDead, q.Standing.User = false, clerksync.UserStatus{}
		q.Freshness, q.Impersonation = clerksync.Freshness{}, clerksync.Impersonation{}
		c := q.Explain().Change
		if c == nil || c.Kind != clerksync.ChangeGiveRole {
			return
		}
		held := q.Grants.Effective(q.Standing)
		lostWith := func(role string) []string {
			then := q.Grants.Effective(made(t, q, clerksync.Change{Kind: clerksync.ChangeGiveRole, Role: role}).Standing)
			return slices.DeleteFunc(slices.Clone(held), func(p string) bool {
				// What a role has at Clerk isn't known if the mirror doesn't know the role.
				unknown := len(q.Roles[role]) == 0 && !slices.Contains(q.Grants[q.Standing.Role], p) && !slices.Contains(clerksync.ManagingPermissions(), p)
				return unknown || slices.Contains(then, p)
			})
		}
		lost := lostWith(c.Role)
		for _, permission := range lost {
			require.Contains(t, c.Words, permission)
			if slices.Contains(clerksync.ManagingPermissions(), permission) {
				require.Contains(t, q.Provenance.HeldByOthers, permission, "the last one")
			}
		}
		if len(lost) == 0 {
			require.NotContains(t, c.Words, "lose")
			return
		}
		for _, role := range q.RolesWith() {
			require.True(t, role == q.Standing.Role || len(lostWith(role)) > 0, "%s takes nothing, and %s does", role, c.Role)
		}
	})
}

// TestExplain_TakesNoWorkspaceItsLastManager: Clerk would refuse that, or nobody could invite any
// more.
func TestExplain_TakesNoWorkspaceItsLastManager(t *testing.T) {
	t.Parallel()
	const manages, invoices = "org:sys_memberships:manage", "org:invoices:create"
	q := clerksync.Inquiry{
		Standing: clerksync.Standing{
			UserID: "user_1", OrganizationID: "org_a", EverMember: true, Member: true, Role: "org:admin", Permissions: []string{manages},
		},
		Permission: invoices, Now: inquiryNow(), Grants: clerksync.Grants{"org:admin": {"members:manage"}},
		Roles: clerksync.Roles{
			"org:admin": {{Key: "org:admin", Permissions: []string{manages}}}, "org:clerk": {{Key: "org:clerk", Permissions: []string{invoices}}},
		},
	}
	q.Provenance.RoleKeys = []string{"org:admin", "org:clerk"}
	for _, others := range [][]string{nil, {manages}, {clerksync.MembersManage}} {
		q.Provenance.HeldByOthers = others
		require.Nil(t, q.Explain().Change, others)
	}
	q.Provenance.HeldByOthers = []string{manages, clerksync.MembersManage}
	require.Equal(t, "give user_1 the role org:clerk; they would lose members:manage, "+manages, q.Explain().Change.Words)

	q.Roles["org:owner"] = []clerksync.KeyHolder{{Key: "org:owner", Permissions: []string{manages, invoices, clerksync.MembersManage}}}
	q.Provenance.RoleKeys, q.Provenance.HeldByOthers = append(q.Provenance.RoleKeys, "org:owner"), nil
	require.Equal(t, "give user_1 the role org:owner", q.Explain().Change.Words, "a role that takes nothing comes first")
}

// TestExplain_AFullWorkspaceTakesNoMember: Clerk refuses a further one.
func TestExplain_AFullWorkspaceTakesNoMember(t *testing.T) {
	t.Parallel()
	q := clerksync.Inquiry{
		Standing:   clerksync.Standing{UserID: "user_1", OrganizationID: "org_a"},
		Provenance: clerksync.Provenance{UserKnown: true, OrganizationKnown: true, Seats: clerksync.Seats{Taken: 4, Limit: 5}},
		Now:        inquiryNow(),
	}
	require.Equal(t, clerksync.ChangeAddMember, q.Explain().Change.Kind)
	q.Provenance.Seats.Taken = 5
	require.Nil(t, q.Explain().Change)
	require.Equal(t, "never a member here; the workspace is full: 5 of 5 seats are taken", q.Explain().Fact(clerksync.FactMembership).Detail)
}
