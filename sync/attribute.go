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
	Audited bool   // a change is attributed to it already; besides that, only its actor's joining may be
}

// Attribution says which change a command made.
type Attribution struct {
	CommandID, OrganizationID, Target string

	Cause string // of the entry: the command itself, or what showed the change before it
}

// Attribute attributes entries to the commands that made the changes, the oldest command first. It
// returns the entries with their actors, and one attribution for each command that made a change.
//
// At most one change is attributed to a command. The exception is a command that creates a
// workspace: its creator's joining is attributed to it, too. If Clerk names the actor of an entry,
// that actor stays, and only a command of that actor can have made the change. The open commands
// may be of any organization and action. A creation whose workspace isn't known yet is listed once
// for each organization that it may have made.
//
// A change may become known from the command's own answer, a webhook or a sweep. The first of them
// makes the entry, and the attribution is the same for all.
func Attribute(entries []AuditEntry, open []OpenCommand) (attributed []AuditEntry, attributions []Attribution) {
	attributed = slices.Clone(entries)
	free := slices.DeleteFunc(slices.Clone(open), func(c OpenCommand) bool { return c.Audited })
	for i := range attributed {
		e := &attributed[i]
		by, made := whoMade(*e, free)
		switch {
		case made:
			e.Actor, e.Impersonator = by.Actor, by.Impersonator
			attributions = append(attributions, Attribution{CommandID: by.ID, OrganizationID: e.OrganizationID, Target: e.Target, Cause: e.Cause})
			free = slices.DeleteFunc(free, func(c OpenCommand) bool { return c.ID == by.ID })
		case e.Actor == "":
			if i := slices.IndexFunc(open, func(c OpenCommand) bool { return c.joins(*e) }); i >= 0 {
				e.Actor, e.Impersonator = e.Target, open[i].Impersonator
			}
		}
		if e.Action == ActionMemberRemoved && e.Actor == e.Target {
			e.Action = ActionMemberLeft
		}
	}
	return attributed, attributions
}

// whoMade returns the command that made the change: the one that reports it, or else the first one
// that asked for it. It finds none if Clerk names the actor and several of that actor's commands
// asked for the change. Each of these commands later reports its own result.
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

// mayHaveMade reports whether the command's actor can be the one of the change: Clerk names the
// same actor, or none.
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
