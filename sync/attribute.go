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
	Audited bool   // a change is attributed to it; only its actor's joining may still be
}

// Attribution says which change a command made.
type Attribution struct{ CommandID, OrganizationID, Target string }

// Attribute attributes entries to the commands that made the changes, the oldest command first. It
// returns the entries with their actors, and one attribution for each command that made a change.
//
// A command is attributed one change. A command that creates a workspace also explains its
// creator's joining. An entry in which Clerk names the actor keeps that actor, and is attributed to
// a command of that actor only. The open commands may be of any organization and action. A command
// that may stand for several organizations is listed once for each.
//
// The source of the change makes no difference: the command itself, a webhook or a sweep. The first
// of them makes the entry.
func Attribute(entries []AuditEntry, open []OpenCommand) (attributed []AuditEntry, attributions []Attribution) {
	attributed = slices.Clone(entries)
	free := slices.DeleteFunc(slices.Clone(open), func(c OpenCommand) bool { return c.Audited })
	for i := range attributed {
		e := &attributed[i]
		by, made := whoMade(*e, free)
		switch {
		case made:
			e.Actor = by.Actor
			attributions = append(attributions, Attribution{CommandID: by.ID, OrganizationID: e.OrganizationID, Target: e.Target})
			free = slices.DeleteFunc(free, func(c OpenCommand) bool { return c.ID == by.ID })
		case e.Actor == "" && slices.ContainsFunc(open, func(c OpenCommand) bool { return c.joins(*e) }):
			e.Actor = e.Target
		}
		if e.Action == ActionMemberRemoved && e.Actor == e.Target {
			e.Action = ActionMemberLeft
		}
	}
	return attributed, attributions
}

// whoMade returns the command that made the change: the one that reports it, or else the first one
// that asks for it. If Clerk names the actor and several of that actor's commands ask for it, there
// is none: each command later determines its own result.
func whoMade(e AuditEntry, free []OpenCommand) (by OpenCommand, found bool) {
	reports := func(c OpenCommand) bool { return c.ID == e.Cause && c.Action == e.Action && c.mayHaveMade(e) }
	if i := slices.IndexFunc(free, reports); i >= 0 {
		return free[i], true
	}
	asks := func(c OpenCommand) bool { return c.made(e) && c.mayHaveMade(e) }
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

// mayHaveMade reports whether Clerk names no actor for the change, or the command's actor.
func (c OpenCommand) mayHaveMade(e AuditEntry) bool { return e.Actor == "" || e.Actor == c.Actor }

// made reports whether the entry records the change that the command asks for.
func (c OpenCommand) made(e AuditEntry) bool {
	return c.Action == e.Action && c.OrganizationID == e.OrganizationID && (c.Target == e.Target || c.Target == "") &&
		strings.EqualFold(c.Result, e.Outcome())
}

// joins reports whether the entry records that the creator joined the workspace that the command
// creates.
func (c OpenCommand) joins(e AuditEntry) bool {
	return c.Action == ActionWorkspaceCreated && e.Action == ActionMemberJoined && c.Actor == e.Target && c.OrganizationID == e.OrganizationID
}
