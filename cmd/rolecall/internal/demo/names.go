package demo

import (
	"context"
	"strings"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// names are what to call people and workspaces, by their ids.
type names map[string]string

// of returns the name of an object, or its id if the mirror knows no name.
func (n names) of(id string) string {
	if name := n[id]; name != "" {
		return name
	}
	return id
}

// namesOf reads the names of objects: of people as they are called, of all others as
// [store.NamesOf] says.
func namesOf(ctx context.Context, db store.DBTX, ids []string) (names, error) {
	named, err := store.NamesOf(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	people := []string{}
	for id := range named {
		if strings.HasPrefix(id, clerksync.UserPrefix) {
			people = append(people, id)
		}
	}
	found, err := store.DirectoryUsers(ctx, db, people)
	for _, p := range found {
		named[p.ID] = support.Name(p.Person)
	}
	return named, err
}
