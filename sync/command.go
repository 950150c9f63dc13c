package sync

import (
	"errors"
	"slices"
	"strings"
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

// OpenCommand is a command that was begun and may have made a change that isn't audited yet.
type OpenCommand struct {
	Command

	ID      string
	Result  string // its [Command.Outcome]
	Audited bool   // it has signed its change: what it may still sign for is its actor's joining
}

// Signature says which change a command made.
type Signature struct{ CommandID, OrganizationID, Target string }

// Attribute returns the entries signed by the commands that made the changes, the oldest command first, and their signatures: each
// signs one change, and whoever creates a workspace also signs for joining it. An entry that Clerk signed keeps its actor, and
// takes the signature of that actor's command alone. The open commands may be of any organization and action; one that may stand for
// several organizations is there once for each.
//
// It doesn't matter who tells of the change: the command itself, a webhook or a sweep. Whoever is first makes the entry.
func Attribute(entries []AuditEntry, open []OpenCommand) (signed []AuditEntry, signatures []Signature) {
	signed = slices.Clone(entries)
	free := slices.DeleteFunc(slices.Clone(open), func(c OpenCommand) bool { return c.Audited })
	for i := range signed {
		e := &signed[i]
		by, made := whoMade(*e, free)
		switch {
		case made:
			e.Actor = by.Actor
			signatures = append(signatures, Signature{CommandID: by.ID, OrganizationID: e.OrganizationID, Target: e.Target})
			free = slices.DeleteFunc(free, func(c OpenCommand) bool { return c.ID == by.ID })
		case e.Actor == "" && slices.ContainsFunc(open, func(c OpenCommand) bool { return c.joins(*e) }):
			e.Actor = e.Target
		}
		if e.Action == ActionMemberRemoved && e.Actor == e.Target {
			e.Action = ActionMemberLeft
		}
	}
	return signed, signatures
}

// whoMade returns the command that made the change: the one that tells of it, or else the first that asks for it. Where Clerk itself names
// the actor, and several of that actor's ask for it, nobody knows which: then it is none, and each finds out by itself.
func whoMade(e AuditEntry, free []OpenCommand) (by OpenCommand, found bool) {
	tells := func(c OpenCommand) bool { return c.ID == e.Cause && c.Action == e.Action && c.maySign(e) }
	if i := slices.IndexFunc(free, tells); i >= 0 {
		return free[i], true
	}
	asks := func(c OpenCommand) bool { return c.made(e) && c.maySign(e) }
	i := slices.IndexFunc(free, asks)
	if i < 0 {
		return OpenCommand{}, false
	}
	another := func(c OpenCommand) bool { return c.ID != free[i].ID && asks(c) }
	if e.Actor != "" && slices.ContainsFunc(free, another) {
		return OpenCommand{}, false
	}
	return free[i], true
}

// maySign reports whether Clerk leaves open who made the change, or says that the command's actor did.
func (c OpenCommand) maySign(e AuditEntry) bool { return e.Actor == "" || e.Actor == c.Actor }

// made reports whether the entry is of the change that the command asks for.
func (c OpenCommand) made(e AuditEntry) bool {
	return c.Action == e.Action && c.OrganizationID == e.OrganizationID && (c.Target == e.Target || c.Target == "") &&
		strings.EqualFold(c.Result, e.Outcome())
}

// joins reports whether the entry is of the creator's joining of the workspace that the command creates.
func (c OpenCommand) joins(e AuditEntry) bool {
	return c.Action == ActionWorkspaceCreated && e.Action == ActionMemberJoined && c.Actor == e.Target && c.OrganizationID == e.OrganizationID
}
