package support

import (
	"context"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// WorkspaceSearch selects workspaces. The zero value selects all that live.
type WorkspaceSearch struct {
	Text    string // an id or a slug, or how a name begins; "" for all
	Deleted bool   // the deleted ones, instead of those that live
}

// Workspaces is one page of a list of workspaces.
type Workspaces struct {
	Page []store.DirectoryWorkspace
	Next *store.NamePosition // where the next page begins; nil: this is the last one
}

// SearchWorkspaces lists at most limit workspaces by name, after the given position. On the first
// page, those come first whose id, slug or name is the text.
func SearchWorkspaces(ctx context.Context, db store.DBTX, search WorkspaceSearch, after store.NamePosition, limit int) (w Workspaces, err error) {
	text, _, ok := readable(search.Text, clerksync.OrganizationPrefix)
	if text != "" && !ok {
		return w, nil
	}
	exact, err := exactWorkspaces(ctx, db, text, after)
	if err != nil {
		return w, err
	}
	listed, err := store.ListWorkspaces(ctx, db, text, search.Deleted, after, limit+1)
	if err != nil {
		return w, err
	}
	if len(listed) > limit {
		listed = listed[:limit]
		w.Next = &listed[limit-1].Position
	}
	w.Page, err = store.DirectoryWorkspaces(ctx, db, distinct(exact, listed), managersOfEach())
	return w, err
}

// exactWorkspaces returns the ids of the workspaces that the text names exactly, for a first page.
func exactWorkspaces(ctx context.Context, db store.DBTX, text string, after store.NamePosition) (ids []string, err error) {
	if text == "" || after != (store.NamePosition{}) {
		return nil, nil
	}
	matches, err := store.MatchWorkspaces(ctx, db, text, mostMatches)
	for _, m := range matches {
		if m.Nearness < store.NearBeginning {
			ids = append(ids, m.ID)
		}
	}
	return ids, err
}

// distinct returns the ids of a page, each once.
func distinct(first []string, listed []store.Listed) []string {
	seen, ids := map[string]bool{}, []string{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, id := range first {
		add(id)
	}
	for _, l := range listed {
		add(l.ID)
	}
	return ids
}

// Users is one page of a list of people.
type Users struct {
	Page []store.DirectoryUser
	Next *store.NamePosition // where the next page begins; nil: this is the last one
	More bool                // of a search: there are more, which a longer text would find
}

// SearchUsers lists at most limit people whom a text names, the nearest first: by id, e-mail
// address, name, or how one of these begins. Without a text it lists all whose accounts live, by
// e-mail address or other identifier, after the given position.
func SearchUsers(ctx context.Context, db store.DBTX, text string, after store.NamePosition, limit int) (u Users, err error) {
	text, _, ok := readable(text, clerksync.UserPrefix)
	if text == "" {
		return listUsers(ctx, db, after, limit)
	}
	if !ok {
		return u, nil
	}
	matches, err := store.MatchUsers(ctx, db, text, limit+1)
	if err != nil {
		return u, err
	}
	u.More = len(matches) > limit
	var ids []string
	for _, m := range matches[:min(limit, len(matches))] {
		ids = append(ids, m.ID)
	}
	u.Page, err = store.DirectoryUsers(ctx, db, ids)
	return u, err
}

func listUsers(ctx context.Context, db store.DBTX, after store.NamePosition, limit int) (u Users, err error) {
	listed, err := store.ListUsers(ctx, db, after, limit+1)
	if err != nil {
		return u, err
	}
	if len(listed) > limit {
		listed = listed[:limit]
		u.Next = &listed[limit-1].Position
	}
	u.Page, err = store.DirectoryUsers(ctx, db, distinct(nil, listed))
	return u, err
}
