package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type membersCommand struct {
	Workspace string `arg:"" help:"The workspace: its id (org_…), slug or name."`
	May       string `placeholder:"PERMISSION" help:"Only members who may use this permission, such as members:manage."`
	paging
	listFormat
}

// listedMember is a member as the command prints it.
type listedMember struct {
	UserID     string       `json:"user_id"`
	Identifier *string      `json:"identifier"` // e-mail address or other identifier
	Name       string       `json:"name"`
	Role       string       `json:"role"`
	Since      *time.Time   `json:"since"`      // null: Clerk hasn't said since when
	InvitedBy  *namedPerson `json:"invited_by"` // null: no accepted invitation is known
	Status     string       `json:"status"`     // why the member may do nothing: banned, deprovisioned or deleted; empty for members who may act
	Manages    bool         `json:"manages"`    // may manage the workspace's members
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
		dayColumn("since", func(m listedMember) *time.Time { return m.Since }),
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
		{
			name: "manages", cell: func(m listedMember) string { return strconv.FormatBool(m.Manages) },
			shown: func(m listedMember) string {
				if m.Manages {
					return "yes"
				}
				return ""
			},
		},
	}}
}

func (c *membersCommand) run(ctx context.Context, io streams) error {
	return withDatabase(ctx, func(cfg config.Config, db database.DB) error {
		if c.May != "" && !clerksync.Storable(c.May) {
			return &support.PermissionError{Permission: c.May}
		}
		workspace, err := support.FindWorkspace(ctx, db, c.Workspace)
		if err != nil {
			return err
		}
		read, err := cfg.Policy(ctx)
		grants, source, err := support.PolicyInForce(ctx, db, support.Configured(cfg.PolicySource(), read, err))
		if err != nil {
			return err
		}
		if c.May != "" {
			fmt.Fprintf(io.err, "Who may use %s is by %s.\n", line(c.May), line(source))
		}
		if !c.JSON && !c.CSV {
			if _, err := fmt.Fprintln(io.out, workspaceTitle(workspace)); err != nil {
				return fmt.Errorf("print workspace: %w", err)
			}
		}
		search := support.MemberSearch{Grants: grants, May: c.May}
		pages := memberColumns().pages(io.out, c.listFormat)
		pages.order = "members of " + workspace.ID
		return listAll(io, pages, c.paging, func(after cursor, limit int) ([]listedMember, cursor, error) {
			members, next, err := membersAfter(ctx, db, workspace, search, after, limit)
			if err == nil && len(members) == 0 && c.May != "" {
				err = checkPermission(ctx, db, grants, c.May)
			}
			return members, next, err
		})
	})
}

// mostPermissions bounds how many known permissions are looked through.
const mostPermissions = 10_000

// checkPermission returns an error if neither the policy nor Clerk has a permission. An empty list
// would then say that nobody may use it.
func checkPermission(ctx context.Context, db store.DBTX, grants clerksync.Grants, permission string) error {
	known, err := store.KnownPermissions(ctx, db, mostPermissions)
	if err != nil {
		return err
	}
	for _, granted := range grants {
		known = append(known, granted...)
	}
	if slices.Contains(known, permission) || strings.HasPrefix(permission, "org:sys_") { // Clerk's own ones aren't listed
		return nil
	}
	slices.Sort(known)
	return usageError(fmt.Sprintf("--may: neither the policy nor Clerk has the permission %q. Known are %s",
		permission, strings.Join(slices.Compact(known), ", ")))
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

func membersAfter(
	ctx context.Context, db store.DBTX, workspace store.DirectoryWorkspace, search support.MemberSearch, after cursor, limit int,
) (listed []listedMember, next cursor, err error) {
	members, err := support.SearchMembers(ctx, db, workspace, search, store.Position{At: after.at, ID: after.text}, limit)
	if err != nil {
		return nil, cursor{}, err
	}
	for _, m := range members.Page {
		one := listedMember{
			UserID: m.ID, Identifier: m.Identifier, Name: strings.TrimSpace(orEmpty(m.FirstName) + " " + orEmpty(m.LastName)),
			Role: m.Role, Since: support.JoinedAt(m.JoinedAt), Status: m.Status, Manages: m.Manages,
		}
		if by := m.InvitedBy; by != nil {
			one.InvitedBy = &namedPerson{by.ID, by.Identifier}
		}
		listed = append(listed, one)
	}
	if members.Next != nil {
		next = cursor{at: members.Next.At, text: members.Next.ID}
	}
	return listed, next, nil
}
