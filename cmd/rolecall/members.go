package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

type membersCommand struct {
	Workspace string `arg:"" help:"The workspace: its id (org_…), slug or name."`
	paging
	listFormat
}

// listedMember is a member as the command prints it.
type listedMember struct {
	UserID     string       `json:"user_id"`
	Identifier *string      `json:"identifier"` // e-mail address or other identifier
	Name       string       `json:"name"`
	Role       string       `json:"role"`
	Since      time.Time    `json:"since"`
	InvitedBy  *namedPerson `json:"invited_by"` // null: no accepted invitation is known
	Status     string       `json:"status"`     // why the member may do nothing: banned, deprovisioned or deleted; empty for members who may act
}

// namedPerson is a person with an id and, if known, an e-mail address or other identifier.
type namedPerson struct {
	ID         string  `json:"id"`
	Identifier *string `json:"identifier"`
}

func memberColumns() list[listedMember] {
	return list[listedMember]{name: "members", columns: []column[listedMember]{
		{name: "identifier", kind: text, cell: func(m listedMember) string { return orEmpty(m.Identifier) }},
		{name: "user_id", cell: func(m listedMember) string { return m.UserID }},
		{name: "name", kind: onlyData, cell: func(m listedMember) string { return m.Name }},
		{name: "role", cell: func(m listedMember) string { return m.Role }},
		dayColumn("since", func(m listedMember) *time.Time { return &m.Since }),
		{name: "status", cell: func(m listedMember) string { return m.Status }},
		{
			name: "invited_by", kind: text,
			cell: func(m listedMember) string {
				if m.InvitedBy == nil {
					return ""
				}
				return m.InvitedBy.ID
			},
			shown: func(m listedMember) string {
				if m.InvitedBy == nil {
					return ""
				}
				if m.InvitedBy.Identifier == nil {
					return m.InvitedBy.ID
				}
				return *m.InvitedBy.Identifier
			},
		},
	}}
}

func (c *membersCommand) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		workspace, err := support.FindWorkspace(ctx, db, c.Workspace)
		if err != nil {
			return err
		}
		if !c.JSON && !c.CSV {
			if _, err := fmt.Fprintln(io.out, workspaceTitle(workspace)); err != nil {
				return fmt.Errorf("print workspace: %w", err)
			}
		}
		pages := memberColumns().pages(io.out, c.listFormat)
		return listAll(io, pages, c.paging, func(after cursor, limit int) ([]listedMember, cursor, error) {
			return membersAfter(ctx, db, workspace, after, limit)
		})
	})
}

// workspaceTitle says which workspace a list is about.
func workspaceTitle(w store.DirectoryWorkspace) string {
	title := line(w.ID)
	if w.Name != "" {
		title = line(w.Name) + "  " + title
	}
	if w.DeletedAt != nil {
		title += "  (deleted)"
	}
	return title
}

func membersAfter(ctx context.Context, db store.DBTX, workspace store.DirectoryWorkspace, after cursor, limit int,
) (listed []listedMember, next cursor, err error) {
	members, err := support.ReadMembers(ctx, db, workspace, store.Position{At: after.at, ID: after.text}, limit)
	if err != nil {
		return nil, cursor{}, err
	}
	for _, m := range members.Page {
		one := listedMember{
			UserID: m.ID, Identifier: m.Identifier, Name: strings.TrimSpace(orEmpty(m.FirstName) + " " + orEmpty(m.LastName)),
			Role: m.Role, Since: m.JoinedAt.UTC(), Status: m.Status,
		}
		if by := m.InvitedBy; by != nil {
			one.InvitedBy = &namedPerson{by.ID, by.Identifier}
		}
		listed = append(listed, one)
	}
	if members.Next != nil {
		next = cursor{members.Next.At, members.Next.ID}
	}
	return listed, next, nil
}
