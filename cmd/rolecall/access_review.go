package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type accessReviewCommand struct {
	At        moment   `placeholder:"TIME" help:"As of then: an age (90m, 7d, 2w), a date, which begins at midnight UTC, or an instant (RFC 3339). Without it, now."`
	Workspace string   `placeholder:"WORKSPACE" help:"Only this workspace: its id (org_…), slug or name."`
	Role      roleName `placeholder:"ROLE" help:"Only who had this role then, such as org:admin. The prefix org: may be left out."`
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
	return withDatabase(ctx, func(cfg config.Config, db database.DB) error {
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
		roles := reviewedRoles{wanted: string(c.Role)}
		if err := support.AccessReview(ctx, db, organization, at, func(members []support.ReviewedMember) error {
			selected := roles.selected(members)
			if len(selected) == 0 { // a wrong role is refused before anything is printed
				return nil
			}
			return firstError(func() error { return c.sayTerms(io, pages, terms) }, func() error { return pages.add(selected) })
		}); err != nil {
			return err
		}
		if !pages.begun {
			err = roles.check(ctx, cfg, db)
		}
		return firstError(
			func() error { return err },
			func() error { return c.sayTerms(io, pages, terms) },
			func() error { return pages.end("") },
		)
	})
}

// sayTerms says before the first membership what the review can claim. In JSON, the head says it.
func (c *accessReviewCommand) sayTerms(io streams, pages *listPages[support.ReviewedMember], terms support.ReviewTerms) error {
	if c.JSON || pages.begun {
		return nil
	}
	out := io.out
	if c.CSV {
		out = io.err
	}
	if _, err := fmt.Fprintln(out, wrap("Access as of "+health.Instant(terms.At)+". "+terms.Words(), "")); err != nil {
		return fmt.Errorf("print what the review can claim: %w", err)
	}
	return nil
}

// roleName is the key of a role on the command line, in full; empty for none.
type roleName string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *roleName) UnmarshalText(text []byte) error {
	if !clerksync.Storable(string(text)) {
		return fmt.Errorf("%q is no role: write its key, such as org:admin", text)
	}
	*r = roleName(clerksync.RoleKey(string(text)))
	return nil
}

// reviewedRoles selects the memberships with one role, and remembers which roles there were.
type reviewedRoles struct {
	wanted string          // "" for every role
	seen   map[string]bool // only if one role is wanted
}

// selected returns the memberships with the wanted role.
func (r *reviewedRoles) selected(members []support.ReviewedMember) []support.ReviewedMember {
	if r.wanted == "" {
		return members
	}
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	return slices.DeleteFunc(members, func(m support.ReviewedMember) bool {
		r.seen[m.Role] = true
		return m.Role != r.wanted
	})
}

// check returns an error if no role has the wanted key, as far as the review, the mirror and the
// policies know. An empty review would then say that all is well.
func (r *reviewedRoles) check(ctx context.Context, cfg config.Config, db store.DBTX) error {
	if r.wanted == "" {
		return nil
	}
	known, err := store.EveryRoleKey(ctx, db)
	if err != nil {
		return err
	}
	if configured, err := cfg.Policy(ctx); err == nil { // one that can't be read names no roles
		known = slices.AppendSeq(known, maps.Keys(configured.Grants))
	}
	known = slices.DeleteFunc(slices.AppendSeq(known, maps.Keys(r.seen)), func(key string) bool { return key == "" })
	if slices.Contains(known, r.wanted) {
		return nil
	}
	slices.Sort(known)
	return usageError(fmt.Sprintf("--role: no role has the key %q. Known are %s", r.wanted, strings.Join(slices.Compact(known), ", ")))
}
