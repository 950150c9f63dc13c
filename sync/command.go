package sync

// ActionMemberLeft is a [ActionMemberRemoved] that the member asked for. Clerk doesn't tell the two
// apart; only a command does.
const ActionMemberLeft Action = "member.left"

// Command is a change that somebody asks Clerk for through Rolecall. Its Action says which, and
// which fields count.
type Command struct {
	Actor          string // user_… who asks
	Action         Action // of the audit entry that it makes; leaving is [ActionMemberRemoved] of oneself
	OrganizationID string // "" for [ActionWorkspaceCreated] until Clerk has answered
	Target         string // id of the user or invitation; "" for what is made anew until Clerk has answered
	Name           string // of the workspace
	Slug           string // of a new workspace; "" for none
	Role           string // canonical key
	Email          string // to invite
}

// Outcome returns what the audit entry of the change says of the state that it made, as far as the
// command decides it: by this two changes of one target are told apart.
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

// Outcome returns what [Command.Outcome] does for the command that made the entry.
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
