package sync

import (
	"slices"
	"strings"
)

// Action says what an audit entry records. The values are part of the API.
type Action string

// The actions that changes of the mirror record (see api/openapi.yaml). Products add dotted actions
// of their own.
const (
	ActionWorkspaceCreated   Action = "workspace.created"
	ActionWorkspaceRenamed   Action = "workspace.renamed"
	ActionWorkspaceDeleted   Action = "workspace.deleted"
	ActionMemberJoined       Action = "member.joined"
	ActionMemberRoleChanged  Action = "member.role_changed"
	ActionMemberRemoved      Action = "member.removed"
	ActionInvitationSent     Action = "invitation.sent"
	ActionInvitationAccepted Action = "invitation.accepted"
	ActionInvitationRevoked  Action = "invitation.revoked"
	ActionInvitationExpired  Action = "invitation.expired"
	ActionUserBanned         Action = "user.banned"
	ActionUserUnbanned       Action = "user.unbanned"
	ActionUserDeprovisioned  Action = "user.deprovisioned"
	ActionUserRestored       Action = "user.restored"
	ActionUserDeleted        Action = "user.deleted"
	ActionRoleChanged        Action = "role.changed"

	// What a late event says about the past: see restate.go.
	ActionWorkspaceRestated Action = "workspace.restated"
	ActionMemberRestated    Action = "member.restated"
	ActionUserRestated      Action = "user.restated"
	ActionRoleRestated      Action = "role.restated"
)

// OperatorPrefix begins the actor of what an operator of Rolecall did: "operator:NAME".
const OperatorPrefix = "operator:"

// The actions of operators in the console, in the log of the whole instance. docs/audit.md lists
// them.
const (
	ActionOperatorSignedIn  Action = "operator.signed_in"
	ActionOperatorSignedOut Action = "operator.signed_out"
	ActionOperatorRefused   Action = "operator.sign_in_refused"
	ActionOperatorJobs      Action = "operator.jobs_changed"
	ActionOperatorReplayed  Action = "operator.deliveries_replayed"
	ActionOperatorSwept     Action = "operator.sweep_ordered"
	ActionOperatorExported  Action = "operator.exported"
	ActionOperatorErased    Action = "operator.erased"  // by the command line; vouches for what is left of entries
	ActionOperatorCut       Action = "operator.log_cut" // by the log's life; vouches for cuts
)

// OwnActions lists all actions that Rolecall itself records.
func OwnActions() []Action {
	return slices.Concat(WorkspaceActions(), UserActions(), RoleActions(), []Action{
		ActionOperatorSignedIn, ActionOperatorSignedOut, ActionOperatorRefused, ActionOperatorJobs, ActionOperatorReplayed,
		ActionOperatorSwept, ActionOperatorExported, ActionOperatorErased, ActionOperatorCut,
	})
}

// Never reports whether no entry can have this action: only Rolecall could record it, and never
// does. A filter by it is a mistake.
func (a Action) Never() bool { return a.Reserved() && !slices.Contains(OwnActions(), a) }

// AtClerk reports whether entries of this action record changes at Clerk, rather than what a
// product or an operator did.
func (a Action) AtClerk() bool {
	switch a.area() {
	case "workspace", "member", "invitation", "user", "role":
		return true
	default:
		return false
	}
}

// Reserved reports whether only Rolecall itself records entries of this action.
func (a Action) Reserved() bool { return a.AtClerk() || a.area() == "operator" }

// area returns the action's text before its first dot.
func (a Action) area() string {
	area, _, _ := strings.Cut(string(a), ".")
	return area
}

// Details are what an audit entry says of a state: the values of some fields by name. Nil means
// that there was no state.
type Details map[string]any

// AuditEntry records one effective change of the mirror. A repeated or superseded delivery makes
// none.
type AuditEntry struct {
	OrganizationID string // "" for entries of the whole instance: users and roles
	Actor          string // user_… or service:NAME; "" if Clerk doesn't say
	Impersonator   string // who acted as the actor, as far as a command says so; "" if the actor acted
	Action         Action
	Target         string // id of the changed object; of the user for memberships
	Before, After  Details
	At             int64  // when it happened, epoch milliseconds; 0: when the event occurred
	Cause          string // svix-id of the delivery, the command, or the sweep or look-up that showed the change
}

// The functions below compare two states of one object. Changes of a dead object make no entry,
// because new values of its fields change no user's access.

func auditOrganization(before, after Organization) []AuditEntry {
	e := AuditEntry{OrganizationID: after.ID, Target: after.ID}
	told := func(o Organization) bool { return o.Name.Version.Rank == RankFull }
	details := organizationDetails
	switch {
	case after.Dead():
		e.Action, e.Before = ActionWorkspaceDeleted, details(before)
	case before.Dead():
		e.Action, e.After = ActionWorkspaceCreated, details(after)
		return []AuditEntry{e, e.neverGone(ActionWorkspaceRestated, before.Tombstone)}
	case !told(before) && told(after):
		e.Action, e.After, e.At = ActionWorkspaceCreated, details(after), after.CreatedAt.Value
		e.Actor = deref(after.CreatedBy.Value)
	case told(before) && (before.Name.Value != after.Name.Value || deref(before.Slug.Value) != deref(after.Slug.Value)):
		e.Action, e.Before, e.After = ActionWorkspaceRenamed, details(before), details(after)
	default:
		return nil
	}
	return []AuditEntry{e}
}

func organizationDetails(o Organization) Details {
	return Details{"name": o.Name.Value, "slug": o.Slug.Value}
}

// neverGone restates the state after a lifted tombstone as of that tombstone: what a read had
// missed was there all the time.
func (e AuditEntry) neverGone(action Action, lifted Tombstone) AuditEntry {
	e.Action, e.At = action, lifted.OccurredAt
	return e
}

func auditMembership(before, after Membership) []AuditEntry {
	e := AuditEntry{OrganizationID: after.OrganizationID, Target: after.UserID}
	details := func(m Membership) Details {
		if m.Role.Value == "" {
			return nil
		}
		return Details{"membership_id": m.ID, "role": m.Role.Value}
	}
	switch {
	case after.Dead() && !before.Known() && after.Role.Written(): // the deletion came first, and has the whole state
		joined := e
		joined.Action, joined.After, joined.At = ActionMemberJoined, details(after), after.CreatedAt.Value
		e.Action, e.Before = ActionMemberRemoved, details(after)
		return []AuditEntry{joined, e}
	case after.Dead():
		e.Action, e.Before = ActionMemberRemoved, details(before)
		if e.Before == nil { // its role was never known
			e.Before = Details{"membership_id": after.ID}
		}
	case before.Dead():
		e.Action, e.After = ActionMemberJoined, details(after)
		return []AuditEntry{e, e.neverGone(ActionMemberRestated, before.Tombstone)}
	case !before.Role.Written():
		e.Action, e.After, e.At = ActionMemberJoined, details(after), after.CreatedAt.Value
	case before.Role.Value != after.Role.Value:
		e.Action, e.Before, e.After = ActionMemberRoleChanged, details(before), details(after)
	default:
		return nil
	}
	return []AuditEntry{e}
}

func auditInvitation(before, after Invitation) []AuditEntry {
	if before.Status.Value == after.Status.Value {
		return nil
	}
	e := AuditEntry{
		OrganizationID: after.OrganizationID, Target: after.ID,
		After: Details{"email": after.Email.Value, "role": after.Role.Value},
	}
	switch after.Status.Value {
	case InvitationPending:
		e.Action, e.Actor, e.At = ActionInvitationSent, deref(after.InviterID.Value), after.CreatedAt.Value
	case InvitationWasAccepted:
		e.Action, e.Actor = ActionInvitationAccepted, deref(after.UserID.Value)
		if inviter := deref(after.InviterID.Value); inviter != "" {
			e.After["inviter_id"] = inviter
		}
	case InvitationWasRevoked:
		e.Action = ActionInvitationRevoked
	case InvitationExpired:
		e.Action = ActionInvitationExpired
	default:
		return nil
	}
	return []AuditEntry{e}
}

func auditUser(before, after User) []AuditEntry {
	if after.Dead() {
		return []AuditEntry{{Action: ActionUserDeleted, Target: after.ID, After: Details{"deleted": true}}}
	}
	if before.Dead() {
		e := AuditEntry{Action: ActionUserRestored, Target: after.ID, After: Details{
			"deleted": false, "banned": after.Banned.Value, "deprovisioned": after.Deprovisioned.Value,
		}}
		return []AuditEntry{e, e.neverGone(ActionUserRestated, before.Tombstone)}
	}
	var entries []AuditEntry
	add := func(name string, was, is bool, set, unset Action) {
		if was != is {
			action := unset
			if is {
				action = set
			}
			entries = append(entries, AuditEntry{Action: action, Target: after.ID, After: Details{name: is}})
		}
	}
	add("banned", before.Banned.Value, after.Banned.Value, ActionUserBanned, ActionUserUnbanned)
	add("deprovisioned", before.Deprovisioned.Value, after.Deprovisioned.Value, ActionUserDeprovisioned, ActionUserRestored)
	return entries
}

func auditRole(before, after Role) []AuditEntry {
	details := func(r Role) Details {
		if !r.Key.Written() || r.Dead() {
			return nil
		}
		return Details{"key": r.Key.Value, "name": r.Name.Value, "permission_ids": r.PermissionIDs.Value}
	}
	if !after.Dead() && before.Key.Value == after.Key.Value && before.Name.Value == after.Name.Value &&
		slices.Equal(before.PermissionIDs.Value, after.PermissionIDs.Value) {
		return nil
	}
	return []AuditEntry{{Action: ActionRoleChanged, Target: after.ID, Before: details(before), After: details(after)}}
}

// unrecorded is for objects that grant no access by themselves.
func unrecorded[T any]() recorder[T] {
	return recorder[T]{changed: func(_, _ T) []AuditEntry { return nil }}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
