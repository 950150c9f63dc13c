package sync

import (
	"slices"
	"strings"
	"time"
)

// Reason says why access is allowed or refused. The values are part of the API.
type Reason string

// The reasons of a decision (see api/openapi.yaml). If several apply, [Grants.Decide] gives the one
// that it checks first.
const (
	ReasonAllowed           Reason = "allowed"
	ReasonPermissionMissing Reason = "permission_missing"
	ReasonUnknownRole       Reason = "unknown_role"
	ReasonNotAMember        Reason = "not_a_member"
	ReasonWorkspaceDeleted  Reason = "workspace_deleted"
	ReasonUserDeleted       Reason = "user_deleted"
	ReasonUserBanned        Reason = "user_banned"
	ReasonUserDeprovisioned Reason = "user_deprovisioned"
	ReasonStale             Reason = "stale" // given by [Freshness.Judge] alone

	// ReasonUnknownPermission is given by [Grants.Name] in the place of ReasonPermissionMissing: no
	// role has the permission, so that everybody would be refused.
	ReasonUnknownPermission   Reason = "unknown_permission"
	ReasonImpersonationDenied Reason = "impersonation_denied" // given by [Impersonation.Judge] alone

	// ReasonWorkspaceNotListed is given to a service that is limited to other workspaces. Nothing was
	// read: it says nothing about the user or the workspace.
	ReasonWorkspaceNotListed Reason = "workspace_not_listed"
)

// Standing is what the mirror knows about one user in one organization: all that a decision needs.
type Standing struct {
	UserID         string
	OrganizationID string

	OrganizationDead bool
	User             UserStatus
	EverMember       bool     // a membership of the pair is or was known
	Member           bool     // the pair has a live membership; Role and Permissions are those of the newest
	Role             string   // present canonical key of the role
	Permissions      []string // Clerk's own permissions of the role

	Revision int64 // counts the organization's changes; 0 if it is unknown
	// AsOf is the last instant at which everything that the mirror has of the organization is known
	// to have agreed with Clerk. It is the beginning of the last clean sweep of everything. Before
	// the first one, it is the organization's own beginning, or zero if that is unknown. No event
	// moves it.
	AsOf time.Time
}

// UserStatus says whether an account may do anything at all, in any organization.
type UserStatus struct {
	Dead, Banned, Deprovisioned bool
	// SessionEnded says that a session in which the user asks has ended: the user's own, or the one
	// of an impersonator, whose account may also be refused. Then the token counts no more. It is no
	// reason of a decision.
	SessionEnded bool
}

// Refusal returns why the account may do nothing, or "" if it may.
func (s UserStatus) Refusal() Reason {
	switch {
	case s.Dead:
		return ReasonUserDeleted
	case s.Banned:
		return ReasonUserBanned
	case s.Deprovisioned:
		return ReasonUserDeprovisioned
	default:
		return ""
	}
}

// Decision answers whether a user may do something in an organization. Role is empty
// unless the user is a member who may act.
type Decision struct {
	Allowed        bool
	Reason         Reason
	Role           string // canonical
	Permission     string
	OrganizationID string
	UserID         string
	Impersonator   string // who acts as the user; "" if the user acts
	Revision       int64
	AsOf           time.Time
}

// Grants maps a canonical role key to the permissions that the policy gives it.
type Grants map[string][]string

// Decide answers whether the user may use the permission. The empty permission asks for membership
// alone.
//
// Decide derives liveness from the objects: the database cascades nothing. A membership counts if
// it is live, its organization isn't deleted, and its user is neither deleted, banned nor
// deprovisioned. It also counts if the mirror doesn't know the organization or the user.
func (g Grants) Decide(s Standing, permission string) Decision {
	d := Decision{
		Permission: permission, OrganizationID: s.OrganizationID, UserID: s.UserID, Revision: s.Revision, AsOf: s.AsOf,
	}
	if _, d.Reason = g.refusal(checkKnown, &s, permission); d.Reason == "" {
		d.Allowed, d.Reason = true, ReasonAllowed
	}
	if d.Allowed || d.Reason == ReasonUnknownRole || d.Reason == ReasonPermissionMissing {
		d.Role = s.Role
	}
	return d
}

// Name gives a refusal for a permission that no role has a reason of its own. Such a permission is
// probably misspelt. Besides the policy, atClerk says which permissions the roles at Clerk have. No
// other decision is changed.
func (g Grants) Name(d Decision, atClerk func(permission string) bool) Decision {
	if d.Reason == ReasonPermissionMissing && !g.grant(d.Permission) && !atClerk(d.Permission) {
		d.Reason = ReasonUnknownPermission
	}
	return d
}

// grant reports whether the policy gives the permission to any role.
func (g Grants) grant(permission string) bool {
	for _, permissions := range g {
		if slices.Contains(permissions, permission) {
			return true
		}
	}
	return false
}

// Freshness is what a caller demands of the mirror before it may allow anything. The zero value
// demands nothing.
type Freshness struct {
	MinRevision  int64         // revision that the organization must have reached
	MaxStaleness time.Duration // longest time since the mirror is known to have agreed with Clerk; 0 accepts any
}

// Judge refuses with [ReasonStale] what the decision allows, if the mirror isn't as fresh as
// demanded. A refusal keeps its reason, whatever the demand.
func (f Freshness) Judge(d Decision, now time.Time) Decision {
	if d.Allowed && f.refuses(d.Revision, d.AsOf, now) {
		d.Allowed, d.Reason = false, ReasonStale
	}
	return d
}

// Effective lists the permissions of the member's role, sorted. They are those that the policy
// grants, and the role's own at Clerk, under Clerk's keys. The list is empty if the user isn't a
// member, or if the role has no permissions.
func (g Grants) Effective(s Standing) []string {
	if !s.Member {
		return nil
	}
	all := slices.Concat(g[s.Role], s.Permissions)
	slices.Sort(all)
	return slices.Compact(all)
}

// Granting lists the roles to which the policy grants a permission, sorted.
func (g Grants) Granting(permission string) []string {
	var roles []string
	for role, permissions := range g {
		if slices.Contains(permissions, permission) {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return roles
}

// RoleKey returns the key of a role as Clerk has it. The text may lack the prefix "org:", or be a
// key from before custom roles.
func RoleKey(text string) string {
	key := CanonicalRole(text)
	if !strings.Contains(key, ":") {
		key = "org:" + key
	}
	return key
}

// CanonicalRole translates a role key to today's spelling: "admin" and "basic_member", the keys of
// instances from before custom roles. It returns every other key unchanged.
func CanonicalRole(key string) string {
	switch key {
	case "admin":
		return "org:admin"
	case "basic_member":
		return "org:member"
	default:
		return key
	}
}
