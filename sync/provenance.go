package sync

import (
	"maps"
	"slices"
	"time"
)

// Origin says where something that the mirror knows came from.
type Origin struct {
	Since time.Time // when it became so, as far as that is known; zero if it isn't
	Cause string    // the delivery, command, sweep or look-up that said so, or [CausePolicy]; "" if it isn't known
}

// CausePolicy is the cause of what the policy says.
const CausePolicy = "policy"

// Provenance says where the facts about a user in an organization came from. It annotates a
// [Standing] of the same moment.
type Provenance struct {
	UserKnown, OrganizationKnown bool
	Account, Organization        Origin // of their present status

	Membership KnownMembership // the one that counts, or the last one that ended
	AsOf       Origin          // the sweep by which the organization is as of then
	SweepTook  time.Duration   // how long that sweep took; 0 if there was none

	RoleKeys []string // of the roles that exist at Clerk; none if the mirror doesn't know the roles
	// AtClerk is the last change of the membership's role at Clerk, and so of its permissions there.
	AtClerk Origin

	// HeldByOthers lists those of [ManagingPermissions] that another member who may act has.
	HeldByOthers []string
	Seats        Seats // of the organization, as far as a user without a membership needs one

	Policy PolicyOrigin
}

// Seats says how many memberships an organization has, and how many Clerk allows it.
type Seats struct {
	Taken int64 // also by accounts that are banned or deprovisioned
	Limit int64 // 0 if any number is allowed, or if the limit isn't known
}

// Full reports whether Clerk refuses a further member.
func (s Seats) Full() bool { return s.Limit > 0 && s.Taken >= s.Limit }

// clerkManagesMembers is Clerk's own permission to manage an organization. Clerk refuses to take it
// from the last member who has it.
const clerkManagesMembers = "org:sys_memberships:manage"

// ManagingPermissions lists the permissions that no organization should lose with a member's role:
// ours and Clerk's own.
func ManagingPermissions() []string { return []string{MembersManage, clerkManagesMembers} }

// KnownMembership is what the mirror knows of a membership beside its standing. The zero value is
// that of a pair without any.
type KnownMembership struct {
	ID        string
	JoinedAt  time.Time
	InvitedBy string // who sent the invitation that was accepted: user_…; "" if that isn't known
	NamedRole string // the key of its role when that was given
	Ended     bool   // the user has left; RoleHad and PermissionsHad are then those of the time before
	Origin           // of its beginning or, if it ended, of its end
	Role      Origin // since when the role is this one

	RoleHad        string
	PermissionsHad []string
}

// PolicyOrigin says where grants are written.
type PolicyOrigin struct {
	ReadAt time.Time // when the policy was read; zero if that isn't known
	// Places say where grants are written, such as "policy.yaml, line 9", as far as that is known.
	Places map[Grant]string
	// Grantable says that a policy could grant the permission: it is written as permissions are.
	Grantable bool
}

// Grant is one permission that a policy gives a role.
type Grant struct{ Role, Permission string }

// LastWriter says where the newest state of an object came from: its end, or its newest field. It
// is zero for an object that isn't known.
func (m Mirror) LastWriter(id string) Origin {
	all := Facts{
		Subject: id, Users: values(m.Users), Memberships: values(m.Memberships), Invitations: values(m.Invitations), Domains: values(m.Domains),
		Permissions: values(m.Permissions), Roles: values(m.Roles), Organizations: values(m.Organizations),
	}
	o := all.subject()
	if o == nil || !known(o) {
		return Origin{}
	}
	at, cause := Newest(o.Registers()).OccurredAt, Newest(o.Registers()).DeliveryID
	if end := o.tombstone(); end.Dead() {
		at, cause = end.OccurredAt, end.DeliveryID
	}
	return Origin{Since: time.UnixMilli(at).UTC(), Cause: cause}
}

func values[T any](objects map[string]T) []T { return slices.Collect(maps.Values(objects)) }
