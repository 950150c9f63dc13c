package console

import (
	"strings"
	"unicode"

	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/store"
)

// causePath returns the page that shows what caused something: a delivery, a sweep, or the audit
// entries about a command's target. It is "" if none does: of a look-up, a service or the policy.
func causePath(cause, workspace, target string) string {
	kind, rest, _ := strings.Cut(cause, "_")
	switch {
	case kind == "msg":
		return pathTo("deliveries", cause)
	case kind == "sweep":
		return pathTo("sweeps", rest)
	case kind == "cmd" && target != "":
		return query("/audit", "workspace", workspace, "target", target)
	default:
		return ""
	}
}

// cause is the data of the templates "cause" and "cause-short".
type cause struct{ ID, Short, Path string }

func causeOf(id string, about ...string) cause {
	about = append(about, "", "")
	return cause{ID: id, Short: shortID(id), Path: causePath(id, about[0], about[1])}
}

// shortID shortens an id for a table in which its page is a link away.
func shortID(id string) string {
	const enough, longest = 12, 16
	if len(id) <= longest || strings.ContainsFunc(id, func(r rune) bool { return r > unicode.MaxASCII }) {
		return id
	}
	return id[:enough] + "…"
}

// person is the data of the template "person".
type person struct{ ID, Name, Identifier string }

// personOf takes a store.Person or a pointer to one. Identifier is "" if it is the name.
func personOf(one any) person {
	var p store.Person
	switch v := one.(type) {
	case store.Person:
		p = v
	case *store.Person:
		if v == nil {
			return person{}
		}
		p = *v
	}
	shown := person{ID: p.ID, Name: support.Name(p)}
	if p.Identifier != nil && *p.Identifier != shown.Name {
		shown.Identifier = *p.Identifier
	}
	return shown
}

// role is the data of the template "role".
type role struct{ Key, Name string }

func roleOf(key string, name *string) role {
	r := role{Key: key}
	if name != nil {
		r.Name = *name
	}
	return r
}

// statusOf says in one word why an account may do nothing; "" if it may act.
func statusOf(u store.DirectoryUser) string {
	return support.Status(u.DeletedAt != nil, u.Banned, u.Deprovisioned)
}

// tally writes a number of rows that weren't all counted.
func tally(t store.Tally) string {
	if t.AtLeast {
		return "at least " + number(t.N)
	}
	return number(t.N)
}
