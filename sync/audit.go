package sync

import "slices"

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
)

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
	details := func(o Organization) Details { return Details{"name": o.Name.Value, "slug": o.Slug.Value} }
	switch {
	case after.Dead():
		e.Action, e.Before = ActionWorkspaceDeleted, details(before)
	case before.Dead():
		e.Action, e.After = ActionWorkspaceCreated, details(after)
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

func auditMembership(before, after Membership) []AuditEntry {
	e := AuditEntry{OrganizationID: after.OrganizationID, Target: after.UserID}
	details := func(m Membership) Details {
		if m.Role.Value == "" {
			return nil
		}
		return Details{"membership_id": m.ID, "role": m.Role.Value}
	}
	switch {
	case after.Dead():
		e.Action, e.Before = ActionMemberRemoved, details(before)
	case before.Dead():
		e.Action, e.After = ActionMemberJoined, details(after)
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
		return []AuditEntry{{Action: ActionUserDeleted, Target: after.ID}}
	}
	if before.Dead() {
		return []AuditEntry{{Action: ActionUserRestored, Target: after.ID}}
	}
	var entries []AuditEntry
	add := func(was, is bool, set, unset Action) {
		if was != is {
			action := unset
			if is {
				action = set
			}
			entries = append(entries, AuditEntry{Action: action, Target: after.ID})
		}
	}
	add(before.Banned.Value, after.Banned.Value, ActionUserBanned, ActionUserUnbanned)
	add(before.Deprovisioned.Value, after.Deprovisioned.Value, ActionUserDeprovisioned, ActionUserRestored)
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

// noAudit is for objects that grant no access by themselves.
func noAudit[T any](_, _ T) []AuditEntry { return nil }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
