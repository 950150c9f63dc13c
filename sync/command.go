package sync

import (
	"errors"
	"time"
)

// ActionMemberLeft is a [ActionMemberRemoved] that the member asked for. Clerk doesn't tell the two apart; only a command does.
const ActionMemberLeft Action = "member.left"

// Command is a change that somebody asks Clerk for through Rolecall. Its Action says which, and which fields count.
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

// Outcome returns what the audit entry of the change says of the state that it made, as far as the command decides it: by this
// two changes of one target are told apart.
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

// Why Clerk refuses a command, as it is about the state of things, for errors.Is. Nothing has changed then.
var (
	ErrAlreadyMember        = errors.New("the address is a member's already")
	ErrInvitationNotUnique  = errors.New("the address has a pending invitation")
	ErrQuotaExceeded        = errors.New("the organization can't have more members")
	ErrLastAdmin            = errors.New("nobody would be left who may manage the organization")
	ErrManagedByDirectory   = errors.New("a directory manages the membership")
	ErrInvitationNotPending = errors.New("the invitation isn't pending any more")
	ErrSlugTaken            = errors.New("another organization has the slug")
	ErrNotAdminAtClerk      = errors.New("the user may not manage the organization at clerk")
	ErrOvertaken            = errors.New("somebody has changed it since the command was first given")
	ErrGone                 = errors.New("clerk knows no such object")
	ErrInvalidInput         = errors.New("clerk takes no such value")
)

// ErrOutcomeUnknown says that a command was sent to Clerk and no usable answer came: it may have been carried out.
var ErrOutcomeUnknown = errors.New("clerk may have carried the command out")

// Refusal is an error of a command that Clerk explains.
type Refusal interface {
	error
	// Field names the member of the request that is at fault: name, slug, role or email; "" if none is, or another one.
	Field() string
	// Wait is how long to wait before trying again; 0 if nobody knows.
	Wait() time.Duration
}

// What else a command may end with.
var (
	// ErrKeyReused says that the idempotency key stands for another request.
	ErrKeyReused = errors.New("the idempotency key was used for another request")
	// ErrInProgress says that the command with this idempotency key hasn't ended yet.
	ErrInProgress = errors.New("the command is still running")
	// ErrNotRecorded says that Clerk has carried the command out, and the mirror doesn't know yet. A webhook or a sweep will tell
	// it, and the audit log will name the actor.
	ErrNotRecorded = errors.New("clerk has carried the command out, but it isn't recorded")
)
