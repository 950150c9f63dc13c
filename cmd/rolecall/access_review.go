package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
)

type accessReviewCommand struct {
	At        moment `placeholder:"TIME" help:"As of then: an age (90m, 7d, 2w), a date, which begins at midnight UTC, or an instant (RFC 3339). Without it, now."`
	Workspace string `placeholder:"WORKSPACE" help:"Only this workspace: its id (org_…), slug or name."`
	Role      string `placeholder:"ROLE" help:"Only who had this role then, such as org:admin."`
	listFormat
}

// reviewColumns returns the columns of a review. The table of one workspace leaves the workspace
// out.
func reviewColumns(ofOneWorkspace bool) list[support.ReviewedMember] {
	type member = support.ReviewedMember
	workspace, workspaceName := whole, text
	if ofOneWorkspace {
		workspace, workspaceName = onlyData, onlyData
	}
	return list[member]{name: "memberships", columns: []column[member]{
		{name: "workspace_name", kind: workspaceName, cell: func(m member) string { return m.WorkspaceName }},
		{name: "identifier", kind: text, cell: func(m member) string { return orEmpty(m.Identifier) }},
		{name: "role", cell: func(m member) string { return m.Role }},
		dayColumn("role_since", func(m member) *time.Time { return &m.RoleSince }),
		dayColumn("member_since", func(m member) *time.Time { return &m.MemberSince }),
		{name: "user_id", cell: func(m member) string { return m.UserID }},
		{name: "workspace_id", kind: workspace, cell: func(m member) string { return m.WorkspaceID }},
		{name: "status", cell: func(m member) string { return m.Status }},
		{
			name: "invited_by", kind: text, cell: func(m member) string { return orEmpty(m.InvitedBy) },
			shown: func(m member) string {
				if m.InviterName != nil {
					return *m.InviterName
				}
				return orEmpty(m.InvitedBy)
			},
		},
		{name: "invited_by_identifier", kind: onlyData, cell: func(m member) string { return orEmpty(m.InviterName) }},
		{name: "role_cause", kind: onlyData, cell: func(m member) string { return m.RoleCause }},
		{name: "found_by_sweep", kind: onlyData, cell: func(m member) string { return strconv.FormatBool(m.FoundBySweep) }},
	}}
}

func (c *accessReviewCommand) run(ctx context.Context, io streams) error {
	at := c.At.Time
	if at.IsZero() {
		at = time.Now()
	}
	if at.After(time.Now()) {
		return usageError("--at: " + at.Format(time.RFC3339) + " is in the future")
	}
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		organization, err := support.WorkspaceID(ctx, db, c.Workspace)
		if err != nil {
			return err
		}
		terms, err := support.Terms(ctx, db, at)
		if err != nil {
			return err
		}
		pages := reviewColumns(organization != "").pages(io.out, c.listFormat)
		pages.head = terms
		if !c.JSON { // in JSON, the head says it
			out := io.out
			if c.CSV {
				out = io.err
			}
			if _, err := fmt.Fprintln(out, wrap("Access as of "+health.Instant(terms.At)+". "+terms.Words(), "")); err != nil {
				return fmt.Errorf("print what the review can claim: %w", err)
			}
		}
		if err := support.AccessReview(ctx, db, organization, at, func(members []support.ReviewedMember) error {
			return pages.add(c.selected(members))
		}); err != nil {
			return err
		}
		return pages.end("")
	})
}

// selected returns the members with the role that the command asks for.
func (c *accessReviewCommand) selected(members []support.ReviewedMember) []support.ReviewedMember {
	return slices.DeleteFunc(members, func(m support.ReviewedMember) bool { return c.Role != "" && m.Role != c.Role })
}
