package console

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// entries is the data of the template "entries". What all entries of a list have in common isn't
// repeated in each.
type entries struct {
	List                           []entry
	OfWorkspace, OfTarget, OfCause bool
}

// entry is an audit entry with the pages of what it names.
type entry struct {
	support.Entry

	Workspace, By, On named
	CauseLink         cause
}

// entriesOf returns what pages show of audit entries.
func entriesOf(ctx context.Context, db store.DBTX, logged []clerksync.LoggedEntry) ([]entry, error) {
	read, err := support.Entries(ctx, db, logged)
	entries := make([]entry, len(read))
	for i, e := range read {
		entries[i] = entry{
			Entry: e, Workspace: namedOf(e.OrganizationID, e.WorkspaceName), By: namedOf(orEmpty(e.Actor), e.ActorName),
			On: namedOf(e.Target, e.TargetName), CauseLink: causeOf(e.Cause, e.OrganizationID, e.Target),
		}
	}
	return entries, err
}

// named is an object with its name and its page. Name is "" if it has none, and Path is "" if there
// is no page.
type named struct{ ID, Name, Path string }

func namedOf(id, name string) named {
	n := named{ID: id, Name: name}
	switch {
	case strings.HasPrefix(id, clerksync.UserPrefix):
		n.Path = pathTo("users", id)
	case strings.HasPrefix(id, clerksync.OrganizationPrefix):
		n.Path = pathTo("workspaces", id)
	}
	return n
}

// sentence makes an error's text a sentence.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}
