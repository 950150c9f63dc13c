package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type diffPolicy struct {
	File           string `arg:"" help:"The policy file to compare with the policy in force."`
	Members        bool   `xor:"what" help:"List the members who gain or lose something, instead of the roles."`
	WithoutManager bool   `xor:"what" help:"List the workspaces that would have no member any more who may manage members, instead of the roles."`
	ExitCode       bool   `help:"Exit with 1 if any role gains or loses something."`
	paging
	listFormat
}

// mostLeft is how many workspaces without a manager the summary names.
const mostLeft = 20

// policyDifference is the difference of two policies as the command prints it.
type policyDifference struct {
	Against        string          `json:"against"` // with what the file is compared
	Roles          []changedRole   `json:"roles"`
	WithoutManager []leftWorkspace `json:"without_manager"` // 20 at most
	More           bool            `json:"more"`            // there are more than that
	Confirmation   *string         `json:"confirmation"`    // the line with which a process takes the file; null if it needs none
	Confirmed      bool            `json:"confirmed"`       // the file has that line
}

type changedRole struct {
	Role    string   `json:"role"`
	Members int64    `json:"members"` // who may act
	Gains   []string `json:"gains"`
	Loses   []string `json:"loses"`
}

type leftWorkspace struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Slug    *string `json:"slug"`
	Members int64   `json:"members"`
}

type changedMember struct {
	WorkspaceID   string   `json:"workspace_id"`
	WorkspaceName string   `json:"workspace_name"`
	UserID        string   `json:"user_id"`
	Identifier    *string  `json:"identifier"`
	Role          string   `json:"role"`
	Gains         []string `json:"gains"`
	Loses         []string `json:"loses"`
}

func changedRoleColumns() list[changedRole] {
	return list[changedRole]{name: "roles", columns: []column[changedRole]{
		{name: "role", cell: func(r changedRole) string { return r.Role }},
		{name: "members", kind: number, cell: func(r changedRole) string { return strconv.FormatInt(r.Members, 10) }},
		{name: "gains", kind: text, cell: func(r changedRole) string { return strings.Join(r.Gains, " ") }},
		{name: "loses", kind: text, cell: func(r changedRole) string { return strings.Join(r.Loses, " ") }},
	}}
}

func leftWorkspaceColumns() list[leftWorkspace] {
	return list[leftWorkspace]{name: "workspaces", columns: []column[leftWorkspace]{
		{name: "name", kind: text, cell: func(w leftWorkspace) string { return w.Name }},
		{name: "id", cell: func(w leftWorkspace) string { return w.ID }},
		{name: "slug", kind: text, cell: func(w leftWorkspace) string { return orEmpty(w.Slug) }},
		{name: "members", kind: number, cell: func(w leftWorkspace) string { return strconv.FormatInt(w.Members, 10) }},
	}}
}

func changedMemberColumns() list[changedMember] {
	return list[changedMember]{name: "members", columns: []column[changedMember]{
		{name: "workspace_name", kind: text, cell: func(m changedMember) string { return m.WorkspaceName }},
		{name: "workspace_id", cell: func(m changedMember) string { return m.WorkspaceID }},
		{name: "identifier", kind: text, cell: func(m changedMember) string { return orEmpty(m.Identifier) }},
		{name: "user_id", cell: func(m changedMember) string { return m.UserID }},
		{name: "role", cell: func(m changedMember) string { return m.Role }},
		{name: "gains", kind: text, cell: func(m changedMember) string { return strings.Join(m.Gains, " ") }},
		{name: "loses", kind: text, cell: func(m changedMember) string { return strings.Join(m.Loses, " ") }},
	}}
}

func (c *diffPolicy) run(ctx context.Context, io streams) error {
	next, err := policy.ReadFile(ctx, c.File)
	if err != nil {
		return &codedError{exitUsage, err}
	}
	return withDatabase(ctx, func(cfg config.Config, db database.DB) error {
		read, err := cfg.Policy(ctx)
		configured := support.Configured(cfg.PolicySource(), read, err)
		return db.Snapshot(ctx, func(db store.DBTX) error {
			inForce, against, err := support.PolicyInForce(ctx, db, configured)
			if err != nil {
				return err
			}
			change, err := store.ReadPolicyChange(ctx, db, clerksync.GrantsChange{Before: inForce, After: next.Grants})
			if err != nil {
				return err
			}
			if err := c.print(ctx, io, db, change, against, next); err != nil {
				return err
			}
			if c.ExitCode && len(change.Roles()) > 0 {
				return errors.New("the file grants other things than " + against)
			}
			return nil
		})
	})
}

func (c *diffPolicy) print(ctx context.Context, io streams, db store.DBTX, change store.PolicyChange, against string, next policy.Policy) error {
	switch {
	case c.Members:
		pages := changedMemberColumns().pages(io.out, c.listFormat)
		pages.order = "members whom a policy changes"
		return listAll(io, pages, c.paging, lookingAhead(func(after cursor, limit int) ([]changedMember, error) {
			return membersChanged(ctx, db, change, after, limit)
		}, func(m changedMember) cursor { return cursor{text: m.WorkspaceID + " " + m.UserID} }))
	case c.WithoutManager:
		pages := leftWorkspaceColumns().pages(io.out, c.listFormat)
		pages.order = "workspaces left without a manager"
		return listAll(io, pages, c.paging, lookingAhead(func(after cursor, limit int) ([]leftWorkspace, error) {
			return workspacesLeft(ctx, db, change, after.text, limit)
		}, func(w leftWorkspace) cursor { return cursor{text: w.ID} }))
	default:
		difference, err := differenceOf(ctx, db, change, against, next)
		if err != nil {
			return err
		}
		if c.JSON || c.CSV {
			return changedRoleColumns().print(io.out, c.listFormat, difference.Roles, difference)
		}
		return difference.print(io.out)
	}
}

func membersChanged(ctx context.Context, db store.DBTX, change store.PolicyChange, after cursor, limit int) ([]changedMember, error) {
	organization, user, _ := strings.Cut(after.text, " ") // ids have no blanks
	members, err := change.Members(ctx, db, store.Pair{OrganizationID: organization, UserID: user}, limit)
	listed := make([]changedMember, len(members))
	for i, m := range members {
		listed[i] = changedMember{
			WorkspaceID: m.OrganizationID, WorkspaceName: m.WorkspaceName, UserID: m.UserID, Identifier: m.Identifier,
			Role: m.Role, Gains: listOf(m.Gains), Loses: listOf(m.Loses),
		}
	}
	return listed, err
}

func workspacesLeft(ctx context.Context, db store.DBTX, change store.PolicyChange, after string, limit int) ([]leftWorkspace, error) {
	left, err := change.LeftWithoutManager(ctx, db, after, limit)
	listed := make([]leftWorkspace, len(left))
	for i, w := range left {
		listed[i] = leftWorkspace{ID: w.ID, Name: w.Name, Slug: w.Slug, Members: w.Members}
	}
	return listed, err
}

func differenceOf(ctx context.Context, db store.DBTX, change store.PolicyChange, against string, next policy.Policy) (policyDifference, error) {
	d := policyDifference{Against: against, Roles: []changedRole{}, Confirmed: next.Confirmed}
	roles, err := change.ByRole(ctx, db)
	if err != nil {
		return d, err
	}
	for _, r := range roles {
		d.Roles = append(d.Roles, changedRole{r.Role, r.Members, listOf(r.Gains), listOf(r.Loses)})
	}
	left, err := workspacesLeft(ctx, db, change, "", mostLeft+1)
	d.WithoutManager, d.More = left[:min(len(left), mostLeft)], len(left) > mostLeft
	if len(left) > 0 {
		d.Confirmation = new(policy.Confirmation(next.Grants))
	}
	return d, err
}

// listOf returns a list that JSON writes as one, also without any element.
func listOf(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// print prints the difference for people.
func (d policyDifference) print(out io.Writer) error {
	fmt.Fprintf(out, "compared with %s\n\n", line(d.Against))
	if len(d.Roles) == 0 {
		_, err := fmt.Fprintln(out, "no role gains or loses anything")
		return err
	}
	if err := changedRoleColumns().print(out, listFormat{}, d.Roles, nil); err != nil {
		return err
	}
	if d.Confirmation == nil {
		return nil
	}
	fmt.Fprintln(out, "\nno member could manage members any more in these workspaces:")
	if err := leftWorkspaceColumns().print(out, listFormat{}, d.WithoutManager, nil); err != nil {
		return err
	}
	if d.More {
		fmt.Fprintln(out, "and in more: --without-manager --all lists them")
	}
	said := "A process refuses this policy, unless the file has this line:\n  "
	if d.Confirmed {
		said = "A process takes this policy, because the file has this line:\n  "
	}
	_, err := fmt.Fprintln(out, "\n"+said+*d.Confirmation)
	return err
}
