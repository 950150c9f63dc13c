package sync

// ActionMemberLeft is an [ActionMemberRemoved] that the member asked for. Clerk doesn't tell the
// two apart; only a command does.
const ActionMemberLeft Action = "member.left"

// Command is a change that a user asks Clerk for through Rolecall. Its Action says which change it
// is, and which fields count.
type Command struct {
	Actor          string // the asking user (user_…)
	Impersonator   string // who acts as the actor; "" if the actor acts
	Action         Action // of the audit entry that it makes; leaving is an [ActionMemberRemoved] whose target is the actor
	OrganizationID string // "" for [ActionWorkspaceCreated] until Clerk has answered
	Target         string // id of the user or invitation; "" for a new object until Clerk has answered
	Name           string // of the workspace
	Slug           string // of a new workspace; "" for none
	Role           string // canonical key
	Email          string // to invite
	RequestID      string // of the request that asks; "" if it has none
}

// Outcome returns the part of the new state that the command asks for and the audit entry repeats.
// It tells two changes of one target apart.
func (c Command) Outcome() string {
	switch c.Action {
	case ActionWorkspaceCreated, ActionWorkspaceRenamed:
		return c.Name
	case ActionMemberRoleChanged:
		return c.Role
	case ActionInvitationSent:
		return c.Email + " " + c.Role
	default:
		return ""
	}
}

// Outcome returns the [Command.Outcome] of a command that made the entry.
func (e AuditEntry) Outcome() string {
	detail := func(name string) string {
		text, _ := e.After[name].(string) // or none
		return text
	}
	switch e.Action {
	case ActionWorkspaceCreated, ActionWorkspaceRenamed:
		return detail("name")
	case ActionMemberRoleChanged:
		return CanonicalRole(detail("role"))
	case ActionInvitationSent:
		return detail("email") + " " + CanonicalRole(detail("role"))
	default:
		return ""
	}
}
