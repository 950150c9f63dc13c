package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

type changesCommand struct {
	Workspace string     `placeholder:"WORKSPACE" help:"Only of this workspace, by its id, slug or name, and of the whole instance."`
	Limit     pageLength `default:"50" help:"List at most this many, 1 to 1000."`
	After     feedCursor `placeholder:"CURSOR" help:"Continue here: after a change's cursor, or where a page ended. Without it, the list begins with the oldest change."`
	All       bool       `xor:"all" help:"List all, whatever their number."`
	listFormat

	Follow bool `xor:"all" help:"Begin with the newest changes, or after the cursor, and print each change when it is published, until Ctrl-C."`
}

// feedCursor is a place in the change feed on the command line.
type feedCursor struct{ store.FeedPlace }

// UnmarshalText implements [encoding.TextUnmarshaler]: the parser then refuses wrong values.
func (c *feedCursor) UnmarshalText(text []byte) (err error) {
	if c.FeedPlace, err = store.ParseFeedPlace(string(text)); err != nil {
		return fmt.Errorf("%q is no cursor: give one that this command or GET /v1/changes printed", text)
	}
	return nil
}

// listedChange is a change of the feed as the command prints it: as the API does, with names.
type listedChange struct {
	Cursor        string    `json:"cursor"`
	At            time.Time `json:"at"`
	Kind          string    `json:"kind"`
	Target        string    `json:"target"`
	TargetName    *string   `json:"target_name"`
	WorkspaceID   *string   `json:"workspace_id"` // null: of the whole instance
	WorkspaceName *string   `json:"workspace_name"`
	UserID        *string   `json:"user_id"`
	MembershipID  *string   `json:"membership_id"`
	Role          *string   `json:"role"`
	Revision      *int64    `json:"revision"`
	Cause         string    `json:"cause"`
}

// changeColumns returns the columns of a list. The table of one workspace's changes leaves the
// workspace out.
func changeColumns(ofOneWorkspace bool) list[listedChange] {
	optional := func(name string, kind columnKind, cell func(listedChange) *string) column[listedChange] {
		return column[listedChange]{name: name, kind: kind, cell: func(c listedChange) string { return orEmpty(cell(c)) }}
	}
	workspace := text
	if ofOneWorkspace {
		workspace = onlyData
	}
	return list[listedChange]{name: "changes", columns: []column[listedChange]{
		instantColumn("at", whole, func(c listedChange) *time.Time { return &c.At }),
		{name: "kind", cell: func(c listedChange) string { return c.Kind }},
		{name: "target", cell: func(c listedChange) string { return c.Target }},
		optional("target_name", text, func(c listedChange) *string { return c.TargetName }),
		optional("role", whole, func(c listedChange) *string { return c.Role }),
		optional("workspace_id", onlyData, func(c listedChange) *string { return c.WorkspaceID }),
		optional("workspace_name", workspace, func(c listedChange) *string { return c.WorkspaceName }),
		{name: "cause", cell: func(c listedChange) string { return c.Cause }},
		optional("user_id", onlyData, func(c listedChange) *string { return c.UserID }),
		optional("membership_id", onlyData, func(c listedChange) *string { return c.MembershipID }),
		{name: "revision", kind: onlyData, cell: func(c listedChange) string {
			if c.Revision == nil {
				return ""
			}
			return strconv.FormatInt(*c.Revision, 10)
		}},
		{name: "cursor", kind: onlyData, cell: func(c listedChange) string { return c.Cursor }},
	}}
}

func (c *changesCommand) run(ctx context.Context, io streams) error {
	return asFollowed(c.Follow, withDatabase(ctx, func(_ config.Config, db database.DB) error {
		q := store.FeedQuery{After: c.After.FeedPlace, Limit: int(c.Limit)}
		id, err := support.WorkspaceID(ctx, db, c.Workspace)
		if err != nil {
			return err
		}
		if id != "" {
			q.OrganizationIDs = []string{id}
		}
		pages := changeColumns(id != "").pages(io.out, c.listFormat)
		if c.Follow {
			return c.follow(ctx, db, q, pages)
		}
		return c.list(ctx, db, q, pages, io)
	}))
}

// list prints a page of the feed, or all pages.
func (c *changesCommand) list(ctx context.Context, db database.DB, q store.FeedQuery, pages *listPages[listedChange], io streams) error {
	if c.All {
		q.Limit = mostListed
	}
	for {
		var page store.FeedPage
		err := db.Snapshot(ctx, func(tx store.DBTX) (err error) {
			page, err = addChanges(ctx, tx, q, pages)
			return err
		})
		if err != nil {
			return err
		}
		q = q.Following(page)
		if c.All && page.More {
			continue
		}
		next := page.Next.String()
		if err := pages.end(next); err != nil || !page.More || c.JSON {
			return err
		}
		_, err = fmt.Fprintf(io.err, "There is more: add --all, or --after %s\n", next)
		return err
	}
}

// follow prints changes as they are published.
func (c *changesCommand) follow(ctx context.Context, db database.DB, q store.FeedQuery, pages *listPages[listedChange]) error {
	pages.lines = true
	return follow(ctx, db, func(tx store.DBTX) (err error) {
		if q.After == (store.FeedPlace{}) {
			if q.After, err = store.BeforeNewest(ctx, tx, q); err != nil {
				return err
			}
		}
		for {
			page, err := addChanges(ctx, tx, q, pages)
			if err != nil {
				return err
			}
			q = q.Following(page)
			if !page.More {
				return nil
			}
		}
	})
}

// addChanges prints the next page of the feed.
func addChanges(ctx context.Context, tx store.DBTX, q store.FeedQuery, pages *listPages[listedChange]) (store.FeedPage, error) {
	page, err := store.ReadFeed(ctx, tx, q)
	if errors.Is(err, store.ErrPlaceExpired) {
		return page, errors.New("the cursor has expired: what follows it was cut out of the log, or the database has changed; begin anew without --after")
	}
	if err != nil {
		return page, err
	}
	changes, err := namedChanges(ctx, tx, page.Entries)
	if err == nil {
		err = pages.add(changes)
	}
	return page, err
}

// namedChanges returns changes as the command prints them.
func namedChanges(ctx context.Context, db store.DBTX, published []store.FeedEntry) ([]listedChange, error) {
	ids := []string{}
	for _, e := range published {
		ids = append(ids, e.OrganizationID, e.Target)
	}
	names, err := store.NamesOf(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	printed := make([]listedChange, len(published))
	for i, e := range published {
		c := e.FeedChange()
		printed[i] = listedChange{
			Cursor: e.Place.String(), At: e.At.UTC(), Kind: string(c.Kind), Target: c.Target, TargetName: orNull(names[c.Target]),
			WorkspaceID: orNull(c.OrganizationID), WorkspaceName: orNull(names[c.OrganizationID]), UserID: orNull(c.UserID),
			MembershipID: orNull(c.MembershipID), Role: orNull(c.Role), Cause: e.Cause,
		}
		if c.OrganizationID != "" {
			printed[i].Revision = &e.Revision
		}
	}
	return printed, nil
}
