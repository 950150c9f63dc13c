package support

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// mostMatches is how many matches an [AmbiguousError] error lists.
const mostMatches = 10

// Kind is what a text names.
type Kind string

// The kinds.
const (
	KindUser      Kind = "user"
	KindWorkspace Kind = "workspace"
)

// NotFoundError is the error if a text names nothing.
type NotFoundError struct {
	Kind Kind
	Text string
	// ID says that the text is an id as Clerk makes them. Clerk may have an object of this id,
	// although the mirror doesn't.
	ID bool
}

func (e *NotFoundError) Error() string {
	switch {
	case e.ID:
		return fmt.Sprintf("the mirror has no %s %s", e.Kind, e.Text)
	case e.Kind == KindUser:
		return fmt.Sprintf("no user has the id, e-mail address or name %q, or one that begins with it", e.Text)
	default:
		return fmt.Sprintf("no workspace has the id, slug or name %q, or one that begins with it", e.Text)
	}
}

// AmbiguousError is the error if a text names several people or workspaces equally well.
type AmbiguousError struct {
	Kind       Kind
	Text       string
	Users      []store.DirectoryUser      // of KindUser: at most ten
	Workspaces []store.DirectoryWorkspace // of KindWorkspace: at most ten
	More       bool                       // there are more than are listed
}

func (e *AmbiguousError) Error() string {
	n := len(e.Users) + len(e.Workspaces)
	count := strconv.Itoa(n)
	if e.More {
		count = fmt.Sprintf("more than %d", n)
	}
	return fmt.Sprintf("%q names %s %ss: give the id of the one you mean", e.Text, count, e.Kind)
}

// FindUser returns the one person whom a text names: by id, e-mail address (or other identifier),
// name, or how one of these begins. An exact match beats a beginning, and a living account beats
// deleted ones. The error is a [*NotFoundError] or an [*AmbiguousError], or one of the database.
func FindUser(ctx context.Context, db store.DBTX, text string) (store.DirectoryUser, error) {
	text, isID, ok := readable(text, clerksync.UserPrefix)
	if !ok {
		return store.DirectoryUser{}, &NotFoundError{Kind: KindUser, Text: text}
	}
	matches, err := store.MatchUsers(ctx, db, text, mostMatches+1)
	if err != nil {
		return store.DirectoryUser{}, err
	}
	users, err := store.DirectoryUsers(ctx, db, nearest(matches, isID, strings.Contains(text, "@")))
	if err != nil {
		return store.DirectoryUser{}, err
	}
	users = livingFirst(users, func(u store.DirectoryUser) bool { return u.DeletedAt == nil })
	switch len(users) {
	case 0:
		return store.DirectoryUser{}, &NotFoundError{Kind: KindUser, Text: text, ID: isID}
	case 1:
		return users[0], nil
	default:
		shown := min(len(users), mostMatches)
		return store.DirectoryUser{}, &AmbiguousError{Kind: KindUser, Text: text, Users: users[:shown], More: len(users) > shown}
	}
}

// FindWorkspace returns the one workspace that a text names: by id, slug, name, or how the name
// begins. It judges and fails as [FindUser] does.
func FindWorkspace(ctx context.Context, db store.DBTX, text string) (store.DirectoryWorkspace, error) {
	text, isID, ok := readable(text, clerksync.OrganizationPrefix)
	if !ok {
		return store.DirectoryWorkspace{}, &NotFoundError{Kind: KindWorkspace, Text: text}
	}
	matches, err := store.MatchWorkspaces(ctx, db, text, mostMatches+1)
	if err != nil {
		return store.DirectoryWorkspace{}, err
	}
	workspaces, err := store.DirectoryWorkspaces(ctx, db, nearest(matches, isID, false), managersOfOne())
	if err != nil {
		return store.DirectoryWorkspace{}, err
	}
	workspaces = livingFirst(workspaces, func(w store.DirectoryWorkspace) bool { return w.DeletedAt == nil })
	switch len(workspaces) {
	case 0:
		return store.DirectoryWorkspace{}, &NotFoundError{Kind: KindWorkspace, Text: text, ID: isID}
	case 1:
		return workspaces[0], nil
	default:
		shown := min(len(workspaces), mostMatches)
		return store.DirectoryWorkspace{}, &AmbiguousError{Kind: KindWorkspace, Text: text, Workspaces: workspaces[:shown], More: len(workspaces) > shown}
	}
}

// readable returns the text to search for, and whether it is an id with the prefix. It isn't ok if
// nothing in the mirror can be equal to it.
func readable(text, prefix string) (trimmed string, isID, ok bool) {
	trimmed = strings.TrimSpace(text)
	return trimmed, clerksync.ValidID(prefix, trimmed), clerksync.Storable(trimmed)
}

// nearest returns the ids of the matches that count: those of an id, else exact ones, else all. A
// name that looks like an e-mail address doesn't count beside the account with this address.
func nearest(matches []store.Match, isID, isAddress bool) (ids []string) {
	upTo := store.NearBeginning
	if len(matches) > 0 {
		upTo = matches[0].Nearness // the nearest come first
	}
	if upTo == store.NearIdentifier && !isAddress {
		upTo = store.NearName
	}
	if isID {
		upTo = store.NearID
	}
	for _, m := range matches {
		if m.Nearness <= upTo {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// livingFirst returns the living ones if there are any, else all.
func livingFirst[T any](all []T, lives func(T) bool) []T {
	var living []T
	for _, one := range all {
		if lives(one) {
			living = append(living, one)
		}
	}
	if len(living) > 0 {
		return living
	}
	return all
}

// managersOfOne says how far the people are counted who may manage the members of one workspace.
func managersOfOne() store.HolderSearch {
	return store.HolderSearch{Permission: policy.MembersManage, Looked: 10_000, Most: 100}
}

// managersOfEach says the same for the workspaces of a list.
func managersOfEach() store.HolderSearch {
	return store.HolderSearch{Permission: policy.MembersManage, Looked: 1000, Most: 20}
}
