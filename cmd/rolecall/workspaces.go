package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type workspacesCommand struct {
	Search       string   `placeholder:"TEXT" xor:"search-needs" help:"Only workspaces whose name begins with this text, or whose id or slug it is."`
	Needs        needName `placeholder:"NEED" xor:"needs,search-needs" help:"Only workspaces with this need, the largest first: no_manager, single_manager, unknown_role, over_seat_limit or expired_invitations."`
	WithoutAdmin bool     `xor:"needs,search-needs" help:"Only workspaces in which no one may manage members, empty ones included: --needs no_manager."`
	Deleted      bool     `xor:"needs" help:"Only deleted workspaces."`
	paging
	listFormat
}

// needName is a need on the command line; empty for none.
type needName string

// choices returns the needs.
func (needName) choices() []string {
	names := []string{}
	for _, need := range clerksync.Needs() {
		names = append(names, string(need))
	}
	return names
}

// Validate refuses unknown needs.
func (n needName) Validate() error {
	if slices.Contains(n.choices(), string(n)) {
		return nil
	}
	return errors.New("must be one of " + strings.Join(n.choices(), ", "))
}

// listedWorkspace is a workspace as the command prints it.
type listedWorkspace struct {
	ID            string       `json:"id"`
	Name          string       `json:"name"`
	Slug          *string      `json:"slug"`
	Members       int64        `json:"members"` // who may act
	Admins        int64        `json:"admins"`  // of them, who may manage members
	AdminsAtLeast bool         `json:"admins_at_least"`
	ChangedAt     *time.Time   `json:"changed_at"`
	CreatedAt     *time.Time   `json:"created_at"`
	DeletedAt     *time.Time   `json:"deleted_at"`
	Needs         []listedNeed `json:"needs"` // null: not asked for
}

type listedNeed struct {
	Need  clerksync.Need `json:"need"`
	Since time.Time      `json:"since"`
}

func workspaceColumns() list[listedWorkspace] {
	return list[listedWorkspace]{name: "workspaces", columns: []column[listedWorkspace]{
		{name: "name", kind: text, cell: func(w listedWorkspace) string { return w.Name }},
		{name: "id", cell: func(w listedWorkspace) string { return w.ID }},
		{name: "slug", kind: onlyData, cell: func(w listedWorkspace) string { return orEmpty(w.Slug) }},
		{name: "members", kind: number, cell: func(w listedWorkspace) string { return strconv.FormatInt(w.Members, 10) }},
		{
			name: "admins", kind: number, cell: func(w listedWorkspace) string { return strconv.FormatInt(w.Admins, 10) },
			shown: func(w listedWorkspace) string {
				if w.AdminsAtLeast {
					return strconv.FormatInt(w.Admins, 10) + "+"
				}
				return strconv.FormatInt(w.Admins, 10)
			},
		},
		{name: "admins_at_least", kind: onlyData, cell: func(w listedWorkspace) string { return strconv.FormatBool(w.AdminsAtLeast) }},
		dayColumn("changed_at", func(w listedWorkspace) *time.Time { return w.ChangedAt }),
		instantColumn("created_at", onlyData, func(w listedWorkspace) *time.Time { return w.CreatedAt }),
		dayColumn("deleted_at", func(w listedWorkspace) *time.Time { return w.DeletedAt }),
		{name: "needs", cell: func(w listedWorkspace) string {
			names := make([]string, len(w.Needs))
			for i, n := range w.Needs {
				names[i] = string(n.Need)
			}
			return strings.Join(names, " ")
		}},
	}}
}

func (c *workspacesCommand) run(ctx context.Context, io streams) error {
	need := clerksync.Need(c.Needs)
	if c.WithoutAdmin {
		need = clerksync.NeedNoManager
	}
	return withDatabase(ctx, func(_ config.Config, db database.DB) error {
		pages := workspaceColumns().pages(io.out, c.listFormat)
		if need == "" {
			return listAll(io, pages, c.paging, func(after cursor, limit int) ([]listedWorkspace, cursor, error) {
				return c.search(ctx, db, after, limit)
			})
		}
		if err := judged(ctx, db, need); err != nil {
			return err
		}
		pages.order = "workspaces with " + string(need)
		return listAll(io, pages, c.paging, func(after cursor, limit int) ([]listedWorkspace, cursor, error) {
			return needing(ctx, db, need, after, limit)
		})
	})
}

// search reads a page of the workspaces whose name begins with the text.
func (c *workspacesCommand) search(ctx context.Context, db store.DBTX, after cursor, limit int) ([]listedWorkspace, cursor, error) {
	folded, id, _ := strings.Cut(after.text, cursorSeparator)
	search := support.WorkspaceSearch{Text: c.Search, Deleted: c.Deleted}
	found, err := support.SearchWorkspaces(ctx, db, search, store.NamePosition{Folded: folded, ID: id}, limit)
	if err != nil {
		return nil, cursor{}, err
	}
	listed := make([]listedWorkspace, len(found.Page))
	for i, w := range found.Page {
		listed[i] = listedWorkspaceOf(w)
	}
	if found.Next == nil {
		return listed, cursor{}, nil
	}
	return listed, cursor{text: found.Next.Folded + cursorSeparator + found.Next.ID}, nil
}

// cursorSeparator is in no text of the database.
const cursorSeparator = "\x00"

func listedWorkspaceOf(w store.DirectoryWorkspace) listedWorkspace {
	return listedWorkspace{
		ID: w.ID, Name: w.Name, Slug: w.Slug, Members: w.Members, Admins: w.Managers.N, AdminsAtLeast: w.Managers.AtLeast,
		ChangedAt: w.ChangedAt, CreatedAt: w.CreatedAt, DeletedAt: w.DeletedAt,
	}
}

// judged returns an error if nothing can be said about a need.
func judged(ctx context.Context, db store.DBTX, need clerksync.Need) error {
	state, err := store.ReadAttentionState(ctx, db)
	if err != nil {
		return err
	}
	why := map[clerksync.Unjudged]string{
		clerksync.UnjudgedNeverSwept:      "no sweep was clean yet, so that members may be missing: run rolecall backfill",
		clerksync.UnjudgedDatabaseChanged: "the database changed since the last clean sweep: run rolecall reconcile",
		clerksync.UnjudgedNoPolicy:        "no process has saved a policy: start rolecall serve",
		clerksync.UnjudgedNotYet:          "rolecall serve hasn't looked through all workspaces yet: try again in some minutes",
	}
	switch {
	case state.Unjudged != "":
		return errors.New("which workspaces need attention can't be said: " + why[state.Unjudged])
	case state.NoneCanManage && need.AboutManagers():
		return errors.New("no role grants " + policy.MembersManage + ", in no workspace: see rolecall config")
	}
	return nil
}

// needing reads a page of the workspaces that have a need.
func needing(ctx context.Context, db store.DBTX, need clerksync.Need, after cursor, limit int) ([]listedWorkspace, cursor, error) {
	position := store.NeedPosition{}
	if after != (cursor{}) {
		members, id, _ := strings.Cut(after.text, cursorSeparator)
		n, err := strconv.ParseInt(members, 10, 64)
		if err != nil {
			return nil, cursor{}, errOtherList
		}
		position = store.NeedPosition{Members: n, OrganizationID: id}
	}
	found, next, err := store.WorkspacesNeeding(ctx, db, need, position, limit)
	if err != nil {
		return nil, cursor{}, err
	}
	ids := make([]string, len(found))
	for i, w := range found {
		ids[i] = w.OrganizationID
	}
	workspaces, err := store.DirectoryWorkspaces(ctx, db, ids, store.HolderSearch{Permission: policy.MembersManage})
	if err != nil {
		return nil, cursor{}, err
	}
	listed := make([]listedWorkspace, len(workspaces))
	for i, w := range workspaces {
		listed[i] = listedWorkspaceOf(w)
		listed[i].Members = found[i].Members
		if found[i].Found.IsZero() {
			listed[i].Admins, listed[i].AdminsAtLeast = found[i].Managers, false
		}
		listed[i].Needs = []listedNeed{}
		for _, n := range found[i].Needs {
			listed[i].Needs = append(listed[i].Needs, listedNeed{n.Need, n.Since.UTC()})
		}
	}
	if next == nil {
		return listed, cursor{}, nil
	}
	return listed, cursor{text: strconv.FormatInt(next.Members, 10) + cursorSeparator + next.OrganizationID}, nil
}
