package main

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

type auditCommand struct {
	List   listAudit   `cmd:"" help:"List entries of the audit log, the newest first, with names beside ids."`
	Verify verifyAudit `cmd:"" help:"Recompute every chain of hashes. For a broken chain, name the first entry that was changed, inserted or reordered, or that is missing. Exit code 3: a chain is broken."`
}

type listAudit struct {
	Workspace string     `placeholder:"WORKSPACE" help:"Only of this workspace: its id, slug or name. By when things happened; without it, by when they were recorded."`
	Actor     string     `placeholder:"USER" help:"Only what this user did, by id, e-mail address or name; or service:NAME or operator:NAME."`
	Action    actionName `placeholder:"ACTION" help:"Only this action, such as member.removed."`
	Target    string     `placeholder:"ID" help:"Only about this object, by id (user_…, org_…); or a user's e-mail address."`
	Since     moment     `placeholder:"TIME" help:"Only what happened since then: an age (90m, 7d, 2w), a date or an instant (RFC 3339)."`
	Until     moment     `placeholder:"TIME" help:"Only what happened before then."`
	paging
	listFormat

	Follow bool `xor:"all,after" help:"Then print each entry when it is recorded, until Ctrl-C."`
}

// actionName is an action on the command line; empty for none.
type actionName string

// choices returns the actions that Rolecall itself records. Products have their own.
func (actionName) choices() []string {
	var names []string
	for _, action := range clerksync.OwnActions() {
		names = append(names, string(action))
	}
	return names
}

// Validate refuses an action that no entry can have.
func (a actionName) Validate() error { return support.CheckAction(string(a)) }

// auditEntry is an entry of the audit log as the command prints it.
type auditEntry struct {
	WorkspaceID   *string         `json:"workspace_id"` // null: of the whole instance
	WorkspaceName *string         `json:"workspace_name"`
	ID            int64           `json:"id"` // as in the API: counts the workspace's entries
	At            time.Time       `json:"at"`
	Actor         *string         `json:"actor"` // null: Clerk doesn't say who did it, or it was a sign-in that was refused
	ActorName     *string         `json:"actor_name"`
	Impersonator  *string         `json:"impersonator"`
	Action        string          `json:"action"`
	Target        string          `json:"target"`
	TargetName    *string         `json:"target_name"`
	Before        json.RawMessage `json:"before"`
	After         json.RawMessage `json:"after"`
	Data          json.RawMessage `json:"data"`
	Erased        bool            `json:"erased"` // something about a person was erased from it
	Cause         string          `json:"cause"`
	RequestID     *string         `json:"request_id"` // of the request that asked for it, as long as the command is kept
	Origin        *entryOrigin    `json:"origin"`     // of an entry without an actor, while the webhook's body is kept

	recorded int64 // its place among the entries of all workspaces
	unnamed  bool  // it was changed at Clerk, and Clerk doesn't say by whom
	change   string
}

// entryOrigin is where the request came from that made a change at Clerk.
type entryOrigin struct {
	ClientIP  *string `json:"client_ip"`
	UserAgent *string `json:"user_agent"`
}

func originOf(o clerksync.RequestOrigin) *entryOrigin {
	if o == (clerksync.RequestOrigin{}) {
		return nil
	}
	return &entryOrigin{orNull(o.ClientIP), orNull(o.UserAgent)}
}

func (e auditEntry) cursor(workspace string) cursor {
	if workspace == "" {
		return cursor{text: strconv.FormatInt(e.recorded, 10)}
	}
	return cursor{at: e.At, text: strconv.FormatInt(e.ID, 10)}
}

// auditColumns returns the columns of a list. The table of one workspace's entries leaves the
// workspace out.
func auditColumns(ofOneWorkspace bool) list[auditEntry] {
	optional := func(name string, kind columnKind, cell func(auditEntry) *string) column[auditEntry] {
		return column[auditEntry]{name: name, kind: kind, cell: func(e auditEntry) string { return orEmpty(cell(e)) }}
	}
	raw := func(name string, cell func(auditEntry) json.RawMessage) column[auditEntry] {
		return column[auditEntry]{name: name, kind: onlyData, cell: func(e auditEntry) string { return string(cell(e)) }}
	}
	origin := func(name string, cell func(entryOrigin) *string) column[auditEntry] {
		return optional(name, onlyData, func(e auditEntry) *string {
			if e.Origin == nil {
				return nil
			}
			return cell(*e.Origin)
		})
	}
	workspace, workspaceName := whole, text
	if ofOneWorkspace {
		workspace, workspaceName = onlyData, onlyData
	}
	return list[auditEntry]{name: "entries", columns: []column[auditEntry]{
		{name: "id", kind: onlyData, cell: func(e auditEntry) string { return strconv.FormatInt(e.ID, 10) }},
		instantColumn("at", whole, func(e auditEntry) *time.Time { return &e.At }),
		{name: "action", cell: func(e auditEntry) string { return e.Action }},
		{name: "actor", kind: text, cell: func(e auditEntry) string { return orEmpty(e.Actor) }, shown: auditEntry.by},
		optional("actor_name", onlyData, func(e auditEntry) *string { return e.ActorName }),
		optional("impersonator", whole, func(e auditEntry) *string { return e.Impersonator }),
		{name: "target", cell: func(e auditEntry) string { return e.Target }},
		optional("target_name", text, func(e auditEntry) *string { return e.TargetName }),
		optional("workspace_id", workspace, func(e auditEntry) *string { return e.WorkspaceID }),
		optional("workspace_name", workspaceName, func(e auditEntry) *string { return e.WorkspaceName }),
		{name: "cause", cell: func(e auditEntry) string { return e.Cause }},
		optional("request_id", onlyData, func(e auditEntry) *string { return e.RequestID }),
		{name: "change", kind: onlyTable, shown: func(e auditEntry) string { return e.change }},
		raw("before", func(e auditEntry) json.RawMessage { return e.Before }),
		raw("after", func(e auditEntry) json.RawMessage { return e.After }),
		raw("data", func(e auditEntry) json.RawMessage { return e.Data }),
		origin("client_ip", func(o entryOrigin) *string { return o.ClientIP }),
		origin("user_agent", func(o entryOrigin) *string { return o.UserAgent }),
	}}
}

// by returns who did it.
func (e auditEntry) by() string {
	switch {
	case e.unnamed && e.Origin != nil && e.Origin.ClientIP != nil:
		return "Clerk doesn't say; from " + *e.Origin.ClientIP
	case e.unnamed:
		return "Clerk doesn't say"
	case e.Actor == nil:
		return ""
	case e.ActorName != nil:
		return *e.ActorName
	default:
		return *e.Actor
	}
}

func (c *listAudit) run(ctx context.Context, io streams) error {
	if c.Follow && !c.Until.IsZero() {
		return usageError("--until: with --follow there is no end: leave one of them out")
	}
	return asFollowed(c.Follow, withDatabase(ctx, func(_ config.Config, db database.DB) error {
		selected, err := c.selected(ctx, db)
		if err != nil {
			return err
		}
		pages := auditColumns(selected.OrganizationID != "").pages(io.out, c.listFormat)
		if c.Follow {
			return c.follow(ctx, db, selected, pages)
		}
		if selected.OrganizationID != "" {
			pages.order = "entries of " + selected.OrganizationID
		}
		return listAll(io, pages, c.paging, lookingAhead(func(after cursor, limit int) ([]auditEntry, error) {
			return auditPage(ctx, db, selected, after, limit)
		}, func(e auditEntry) cursor { return e.cursor(selected.OrganizationID) }))
	}))
}

// selected returns the query, with the ids of those whom the flags name.
func (c *listAudit) selected(ctx context.Context, db store.DBTX) (q store.AuditQuery, err error) {
	q = store.AuditQuery{Action: string(c.Action), Since: c.Since.Time, Until: c.Until.Time}
	if q.OrganizationID, err = support.WorkspaceID(ctx, db, c.Workspace); err != nil {
		return q, err
	}
	if q.Actor, err = support.ActorID(ctx, db, c.Actor); err != nil {
		return q, err
	}
	q.Target, err = support.TargetID(ctx, db, c.Target)
	return q, err
}

// auditPage reads entries after a cursor.
func auditPage(ctx context.Context, db store.DBTX, q store.AuditQuery, after cursor, limit int) ([]auditEntry, error) {
	place := int64(0)
	if after != (cursor{}) {
		var err error
		place, err = strconv.ParseInt(after.text, 10, 64)
		if err != nil {
			return nil, errOtherList
		}
	}
	var entries []clerksync.LoggedEntry
	var err error
	if q.OrganizationID == "" {
		entries, err = store.AllAuditEntries(ctx, db, q, place, limit)
	} else {
		q.Before = store.AuditPosition{At: after.at, Seq: place}
		entries, err = store.AuditEntries(ctx, db, q, limit)
	}
	if err != nil {
		return nil, err
	}
	return namedEntries(ctx, db, entries)
}

// follow prints the newest entries, the oldest of them first, and then those that are recorded.
func (c *listAudit) follow(ctx context.Context, db database.DB, q store.AuditQuery, pages *listPages[auditEntry]) error {
	pages.lines = true
	follower := store.FollowAudit(q)
	return follow(ctx, db, func(tx store.DBTX) error {
		recorded, err := follower.Next(ctx, tx)
		if err != nil {
			return err
		}
		entries, err := namedEntries(ctx, tx, recorded)
		if err == nil && !pages.begun {
			entries, err = auditPage(ctx, tx, q, cursor{}, int(c.Limit))
			slices.Reverse(entries)
		}
		if err != nil {
			return err
		}
		return pages.add(entries)
	})
}

// namedEntries returns entries as the command prints them.
func namedEntries(ctx context.Context, db store.DBTX, logged []clerksync.LoggedEntry) ([]auditEntry, error) {
	entries, err := support.Entries(ctx, db, logged)
	printed := make([]auditEntry, len(entries))
	for i, e := range entries {
		printed[i] = auditEntry{
			WorkspaceID: orNull(e.OrganizationID), WorkspaceName: orNull(e.WorkspaceName), ID: e.Seq, At: e.At.UTC(),
			Actor: e.Actor, ActorName: orNull(e.ActorName), Impersonator: e.Impersonator, Action: string(e.Action),
			Target: e.Target, TargetName: orNull(e.TargetName), Before: e.Before, After: e.After, Data: e.Data, Erased: e.ErasedBy != 0, Cause: e.Cause,
			RequestID: orNull(e.RequestID),
			Origin:    originOf(e.Origin), recorded: e.ID, unnamed: e.Unnamed, change: e.Change(),
		}
	}
	return printed, err
}

// orEmpty returns a text; "" for none.
func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
