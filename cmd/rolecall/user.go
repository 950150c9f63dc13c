package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

type userCommand struct {
	User string `arg:"" help:"The user: an id (user_…), an e-mail address or a name."`
	All  bool   `help:"List all workspaces, whatever their number. Without it, 1000 at most."`
	listFormat
}

const (
	// mostFormer is how many ended memberships the command shows.
	mostFormer = 20
	// mostRecent is how many audit entries the command shows.
	mostRecent = 20
)

// shownUser is a user as the command prints it.
type shownUser struct {
	ID            string             `json:"id"`
	Identifier    *string            `json:"identifier"` // e-mail address or other identifier
	Name          string             `json:"name"`
	Status        string             `json:"status"` // as of a member; empty for a user who may act
	Known         bool               `json:"known"`  // the mirror has the account itself
	CreatedAt     *time.Time         `json:"created_at"`
	DeletedAt     *time.Time         `json:"deleted_at"`
	SessionsEnded shownSessions      `json:"sessions_ended"`
	Workspaces    []userWorkspace    `json:"workspaces"` // the oldest membership first; 1000 at most, unless all are asked for
	More          bool               `json:"workspaces_more"`
	Former        []formerMembership `json:"former"` // the last 20 that ended
	MoreFormer    bool               `json:"former_more"`
	Entries       []auditEntry       `json:"entries"` // the last 20 about the user, of the instance and of the 50 workspaces joined last

	refusal *support.Refusal
}

type shownSessions struct {
	Count   int64      `json:"count"`
	AtLeast bool       `json:"at_least"` // there may be more
	LastAt  *time.Time `json:"last_at"`
}

type userWorkspace struct {
	WorkspaceID string     `json:"workspace_id"`
	Name        string     `json:"name"`
	Slug        *string    `json:"slug"`
	Role        string     `json:"role"`
	Since       *time.Time `json:"since"` // null: Clerk hasn't said since when
}

type formerMembership struct {
	userWorkspace

	EndedAt          time.Time `json:"ended_at"`
	Cause            string    `json:"cause"` // the delivery, command, sweep or look-up that showed it
	WorkspaceDeleted bool      `json:"workspace_deleted"`
}

func userWorkspaceColumns() list[userWorkspace] {
	return list[userWorkspace]{name: "workspaces", columns: membershipColumns(func(w userWorkspace) userWorkspace { return w })}
}

func membershipColumns[T any](of func(T) userWorkspace) []column[T] {
	return []column[T]{
		{name: "name", kind: text, cell: func(w T) string { return of(w).Name }},
		{name: "workspace_id", cell: func(w T) string { return of(w).WorkspaceID }},
		{name: "slug", kind: onlyData, cell: func(w T) string { return orEmpty(of(w).Slug) }},
		{name: "role", cell: func(w T) string { return of(w).Role }},
		dayColumn("since", func(w T) *time.Time { return of(w).Since }),
	}
}

func formerColumns() list[formerMembership] {
	return list[formerMembership]{name: "former memberships", columns: append(
		membershipColumns(func(m formerMembership) userWorkspace { return m.userWorkspace }),
		dayColumn("ended_at", func(m formerMembership) *time.Time { return &m.EndedAt }),
		column[formerMembership]{name: "cause", cell: func(m formerMembership) string { return m.Cause }},
	)}
}

func (c *userCommand) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		var user shownUser
		err := db.Snapshot(ctx, func(tx store.DBTX) (err error) {
			user, err = readUser(ctx, tx, c.User, c.All)
			return err
		})
		switch {
		case err != nil:
			return err
		case c.JSON || c.CSV:
			err = userWorkspaceColumns().print(io.out, c.listFormat, user.Workspaces, user)
		default:
			err = printUser(io.out, user)
		}
		return errors.Join(err, c.sayMore(io.err, user))
	})
}

// sayMore says what isn't listed. JSON says that itself.
func (c *userCommand) sayMore(out io.Writer, user shownUser) error {
	var notes string
	if user.More {
		notes += fmt.Sprintf("There are more workspaces than these %d: add --all\n", len(user.Workspaces))
	}
	if user.MoreFormer && !c.CSV {
		notes += "Older former memberships aren't listed: rolecall audit list --target " + user.ID + " --action member.removed\n"
	}
	if c.JSON || notes == "" {
		return nil
	}
	_, err := io.WriteString(out, notes)
	return err
}

// readUser reads all that the command shows of the user whom a text names.
func readUser(ctx context.Context, db store.DBTX, text string, all bool) (shownUser, error) {
	found, err := support.FindUser(ctx, db, text)
	if err != nil {
		return shownUser{}, err
	}
	u, err := support.ReadUser(ctx, db, found, store.Position{}, support.Limits{Memberships: mostListed, Former: mostFormer, Entries: mostRecent})
	if err != nil {
		return shownUser{}, err
	}
	user := shownUser{
		ID: u.ID, Identifier: u.Identifier, Name: strings.TrimSpace(orEmpty(u.FirstName) + " " + orEmpty(u.LastName)),
		Known: u.Known, MoreFormer: u.MoreFormer, CreatedAt: u.CreatedAt, DeletedAt: u.DeletedAt, refusal: u.Refusal,
		Workspaces: []userWorkspace{}, Former: []formerMembership{},
		SessionsEnded: shownSessions{Count: u.EndedSessions.N, AtLeast: u.EndedSessions.AtLeast},
	}
	if u.Refusal != nil {
		user.Status = u.Refusal.Status
	}
	if !u.LastEnded.IsZero() {
		user.SessionsEnded.LastAt = new(u.LastEnded.UTC())
	}
	for all && u.Next != nil {
		further, err := store.DirectoryMemberships(ctx, db, u.ID, *u.Next, mostListed)
		if err != nil {
			return shownUser{}, err
		}
		u.Present, u.Next = append(u.Present, further...), nil
		if len(further) == mostListed {
			u.Next = new(further[mostListed-1].Position())
		}
	}
	user.More = u.Next != nil
	for _, m := range u.Present {
		user.Workspaces = append(user.Workspaces, userWorkspaceOf(m))
	}
	for _, m := range u.Former {
		user.Former = append(user.Former, formerMembership{userWorkspaceOf(m.DirectoryMembership), m.EndedAt.UTC(), m.Cause, m.WorkspaceDeleted})
	}
	user.Entries, err = namedEntries(ctx, db, u.Entries)
	return user, err
}

func userWorkspaceOf(m store.DirectoryMembership) userWorkspace {
	return userWorkspace{WorkspaceID: m.OrganizationID, Name: m.Name, Slug: m.Slug, Role: m.Role, Since: support.JoinedAt(m.JoinedAt)}
}

// printUser prints a user for people.
func printUser(out io.Writer, u shownUser) error {
	facts := newTable(out)
	facts.row("user", u.ID)
	facts.row("identifier", orEmpty(u.Identifier))
	facts.row("name", u.Name)
	facts.row("status", statusInWords(u))
	facts.row("created", ago(u.CreatedAt, nil))
	sessions := "none in the last 8 days"
	if n := u.SessionsEnded; n.Count > 0 {
		sessions = support.Count(store.Tally{N: n.Count, AtLeast: n.AtLeast}) + " in the last 8 days, the last one " + ago(n.LastAt, nil)
	}
	facts.row("sessions ended", sessions)
	if err := facts.print("user"); err != nil {
		return err
	}
	table := listFormat{}
	return firstError(
		func() error { return titled(out, "Workspaces") },
		func() error { return userWorkspaceColumns().print(out, table, u.Workspaces, nil) },
		func() error { return titled(out, "Former memberships, the last one first") },
		func() error { return formerColumns().print(out, table, u.Former, nil) },
		func() error { return titled(out, "Audit entries about the user, the newest first") },
		func() error { return auditColumns(false).print(out, table, aboutOthers(u.Entries, u.ID), nil) },
	)
}

// aboutOthers leaves the target out of the entries whose target is the user: the title says it.
func aboutOthers(entries []auditEntry, userID string) []auditEntry {
	told := slices.Clone(entries)
	for i := range told {
		if told[i].Target == userID {
			told[i].Target, told[i].TargetName = "", nil
		}
	}
	return told
}

// statusInWords says what an account may do and, if that is nothing, since when and what made it
// so.
func statusInWords(u shownUser) string {
	switch {
	case !u.Known:
		return "unknown: the mirror has memberships, but not the account"
	case u.refusal == nil:
		return "active"
	case u.refusal.Since.IsZero():
		return u.Status
	default:
		return u.Status + " since " + ago(&u.refusal.Since, nil) + ", " + u.refusal.Cause
	}
}

// titled prints the title of a list.
func titled(out io.Writer, title string) error {
	if _, err := fmt.Fprintf(out, "\n%s\n", title); err != nil {
		return fmt.Errorf("print title: %w", err)
	}
	return nil
}

// firstError calls functions until one fails.
func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
