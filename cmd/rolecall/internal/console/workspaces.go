package console

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// listSize is how many rows a page of a list has.
	listSize = 50
	// glanceSize is how many rows a list has that stands on the page of something else.
	glanceSize = 10
)

func (c *Console) directoryPages() []page {
	return []page{
		{path: "/workspaces", title: "Workspaces", template: "workspaces", load: c.workspaces},
		{path: "/workspaces/{id}", title: "Workspace", template: "workspace", load: c.workspace},
		{path: "/workspaces/{id}/members", title: "Members", template: "members", load: c.members},
		{path: "/workspaces/{id}/invitations", title: "Invitations", template: "invitations", load: c.invitations},
		{path: "/workspaces/{id}/can", title: "Can they?", template: "can", load: c.canInWorkspace},
		{path: "/users", title: "Users", template: "users", load: c.users},
		{path: "/users/{id}", title: "User", template: "user", load: c.user},
		{path: "/users/{id}/can", title: "Can they?", template: "can", load: c.canOfUser},
	}
}

// workspacesPage is the data of the template "workspaces".
type workspacesPage struct {
	Search    string
	Deleted   bool
	List      []store.DirectoryWorkspace
	Pager     pager
	Attention map[clerksync.Need]int64 // workspaces by need; empty if there are none or nothing can be said
}

func (c *Console) workspaces(ctx context.Context, v *visit) (any, error) {
	data := workspacesPage{Search: v.filter("q"), Deleted: v.filter("deleted") != ""}
	var after store.NamePosition
	if err := v.cursor(&after); err != nil {
		return nil, err
	}
	found, err := support.SearchWorkspaces(ctx, v.db, support.WorkspaceSearch{Text: data.Search, Deleted: data.Deleted}, after, listSize)
	if err != nil {
		return nil, err
	}
	state, err := store.ReadAttentionState(ctx, v.db)
	if err != nil {
		return nil, err
	}
	data.List, data.Pager, data.Attention = found.Page, v.following(position(found.Next)), state.Counts
	return data, nil
}

// position returns a place in a list for the link to its next page; nil at the end.
func position[P any](next *P) any {
	if next == nil {
		return nil
	}
	return *next
}

// workspacePage is the data of the template "workspace".
type workspacePage struct {
	support.Workspace

	Members     support.Members
	Invitations support.Invitations
	Needs       []shownNeed
	Question    question
	Entries     entries
}

// shownNeed is a need of the workspace, and the page of all workspaces that have it.
type shownNeed struct {
	needWords

	Since time.Time
	Found time.Time // when it was found, if it wasn't looked for just now
	Path  string
}

func (c *Console) workspace(ctx context.Context, v *visit) (any, error) {
	found, err := c.findWorkspace(ctx, v)
	if err != nil {
		return nil, err
	}
	data := workspacePage{}
	if data.Workspace, err = support.ReadWorkspace(ctx, v.db, found, glanceSize); err != nil {
		return nil, err
	}
	if data.Members, err = support.ReadMembers(ctx, v.db, found, store.Position{}, glanceSize); err != nil {
		return nil, err
	}
	if data.Invitations, err = support.ReadInvitations(ctx, v.db, found.ID, store.Position{}, glanceSize); err != nil {
		return nil, err
	}
	attention, err := store.WorkspaceAttention(ctx, v.db, found.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // a deleted one, or one whose members alone are known
		return nil, err
	}
	for _, n := range attention.Needs {
		data.Needs = append(data.Needs, shownNeed{wordsOf(n.Need), n.Since, attention.Found, query("/workspaces/attention", "needs", string(n.Need))})
	}
	data.Entries.OfWorkspace = true
	if data.Entries.List, err = entriesOf(ctx, v.db, data.Workspace.Entries); err != nil {
		return nil, err
	}
	data.Question = question{Action: pathTo("workspaces", found.ID, "can"), InWorkspace: true}
	for _, m := range data.Members.Page {
		one := personOf(m.Person)
		data.Question.Subjects = append(data.Question.Subjects, named{ID: cmp.Or(one.Identifier, m.ID), Name: one.Name})
	}
	data.Question, err = c.question(ctx, v, data.Question)
	return data, err
}

// findWorkspace returns the workspace that the path names, and makes it the page's title.
func (c *Console) findWorkspace(ctx context.Context, v *visit) (store.DirectoryWorkspace, error) {
	id := v.PathValue("id")
	found, err := support.FindWorkspace(ctx, v.db, id)
	if err == nil && found.ID != id { // a slug or a name isn't an address: another one may have it tomorrow
		err = &support.NotFoundError{Kind: support.KindWorkspace, Text: id}
	}
	v.title = support.WorkspaceName(found.Name, found.ID)
	return found, notHere(err)
}

// listOf returns the workspace that the path names, and the place after which its list goes on.
func (c *Console) listOf(ctx context.Context, v *visit) (found store.DirectoryWorkspace, after store.Position, err error) {
	if found, err = c.findWorkspace(ctx, v); err == nil {
		err = v.cursor(&after)
	}
	return found, after, err
}

// notHere makes the page of an error of package support.
func notHere(err error) error {
	if unknown, ok := errors.AsType[*support.NotFoundError](err); ok {
		return missing("There is no such "+string(unknown.Kind), "The mirror has none with this id. Search for another one, or look at Clerk's dashboard.")
	}
	if _, ok := errors.AsType[*support.AmbiguousError](err); ok {
		return errNotFound
	}
	return err
}

// membersPage is the data of the template "members".
type membersPage struct {
	store.DirectoryWorkspace

	Members support.Members
	Pager   pager
}

func (c *Console) members(ctx context.Context, v *visit) (any, error) {
	found, after, err := c.listOf(ctx, v)
	if err != nil {
		return nil, err
	}
	listed, err := support.ReadMembers(ctx, v.db, found, after, listSize)
	v.title = "Members of " + v.title
	return membersPage{DirectoryWorkspace: found, Members: listed, Pager: v.following(position(listed.Next))}, err
}

// invitationsPage is the data of the template "invitations".
type invitationsPage struct {
	store.DirectoryWorkspace

	Invitations support.Invitations
	Pager       pager
}

func (c *Console) invitations(ctx context.Context, v *visit) (any, error) {
	found, after, err := c.listOf(ctx, v)
	if err != nil {
		return nil, err
	}
	listed, err := support.ReadInvitations(ctx, v.db, found.ID, after, listSize)
	v.title = "Invitations to " + v.title
	return invitationsPage{DirectoryWorkspace: found, Invitations: listed, Pager: v.following(position(listed.Next))}, err
}
