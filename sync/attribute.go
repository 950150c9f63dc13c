package sync

import (
	"slices"
	"strings"
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

// Attribute returns the entries signed by the commands that made the changes, the oldest command
// first, and their signatures: each signs one change, and whoever creates a workspace also signs
// for joining it. An entry that Clerk signed keeps its actor, and takes the signature of that
// actor's command alone. The open commands may be of any organization and action; one that may
// stand for several organizations is there once for each.
//
// It doesn't matter who tells of the change: the command itself, a webhook or a sweep. Whoever is
// first makes the entry.
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

// whoMade returns the command that made the change: the one that tells of it, or else the first
// that asks for it. Where Clerk itself names the actor, and several of that actor's ask for it,
// nobody knows which: then it is none, and each finds out by itself.
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

// maySign reports whether Clerk leaves open who made the change, or says that the command's actor
// did.
func (c OpenCommand) maySign(e AuditEntry) bool { return e.Actor == "" || e.Actor == c.Actor }

// made reports whether the entry is of the change that the command asks for.
func (c OpenCommand) made(e AuditEntry) bool {
	return c.Action == e.Action && c.OrganizationID == e.OrganizationID && (c.Target == e.Target || c.Target == "") &&
		strings.EqualFold(c.Result, e.Outcome())
}

// joins reports whether the entry is of the creator's joining of the workspace that the command
// creates.
func (c OpenCommand) joins(e AuditEntry) bool {
	return c.Action == ActionWorkspaceCreated && e.Action == ActionMemberJoined && c.Actor == e.Target && c.OrganizationID == e.OrganizationID
}
