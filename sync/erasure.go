package sync

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// unnamed returns facts without names and addresses of the people who were erased, so that nothing
// that Clerk still says or sends late brings them back.
func (m Mirror) unnamed(f Facts) Facts {
	f.Users = eachErased(f.Users, func(said User) bool { return m.Users[said.ID].Erased }, func(u User) User {
		u.Identifier, u.FirstName, u.LastName, u.ImageURL = Field[*string]{}, Field[*string]{}, Field[*string]{}, Field[*string]{}
		return u
	})
	erased := func(said Membership) bool { return m.Memberships[said.ID].Erased || m.Users[said.UserID].Erased } // also one that is new
	f.Memberships = eachErased(f.Memberships, erased, func(o Membership) Membership {
		o.PublicMetadata = Field[json.RawMessage]{}
		return o
	})
	f.Invitations = eachErased(f.Invitations, func(said Invitation) bool { return m.Invitations[said.ID].Erased }, func(i Invitation) Invitation {
		i.Email = Field[string]{}
		return i
	})
	f.Organizations = eachErased(f.Organizations, func(said Organization) bool { return m.Organizations[said.ID].staysErased(said) }, func(o Organization) Organization {
		o.Name, o.Slug, o.ImageURL, o.PublicMetadata = Field[string]{}, Field[*string]{}, Field[*string]{}, Field[json.RawMessage]{}
		return o
	})
	return f
}

// staysErased reports whether a workspace was erased from, and is still deleted after what Clerk
// says. Erasures change only deleted workspaces. One that Clerk shows again is called as it says.
func (o Organization) staysErased(said Organization) bool {
	return o.Name.Value == Erased && o.Dead() && o.Merge(said).Dead()
}

// eachErased returns the objects, changed where they were erased.
func eachErased[T any](said []T, erased func(T) bool, without func(T) T) []T {
	if !slices.ContainsFunc(said, erased) {
		return said
	}
	said = slices.Clone(said)
	for i, o := range said {
		if erased(o) {
			said[i] = without(o)
		}
	}
	return said
}

// Erased stands in the audit log for what was erased.
const Erased = "[erased]"

// eraseNames erases from an entry about a workspace how that is called. The name and the slug go
// together, as one is made from the other.
func (t *Traces) eraseNames(e LoggedEntry) (left LoggedEntry, changed bool) {
	for _, state := range []*json.RawMessage{&e.Before, &e.After} {
		var called struct {
			Name string  `json:"name"`
			Slug *string `json:"slug"`
		}
		if json.Unmarshal(*state, &called) != nil || !t.calls(called.Name) && !t.calls(deref(called.Slug)) {
			continue
		}
		*state, changed = json.RawMessage(`{"name":"`+Erased+`","slug":"`+Erased+`"}`), true
	}
	return e, changed
}

// Redact returns a JSON text in which each string and number that stands for the person is
// [Erased], names of members included. likely says that the text is about the person. All other
// bytes stay as they are. It returns nil for nil.
func (t *Traces) Redact(raw json.RawMessage, likely bool) (left json.RawMessage, changed bool) {
	stands := t.surely
	if likely {
		stands = t.likely
	}
	var out bytes.Buffer
	done := 0
	replace := func(start, end int) {
		out.Write(raw[done:start])
		out.WriteString(`"` + Erased + `"`)
		done, changed = end, true
	}
	for at := 0; at < len(raw); at++ {
		switch c := raw[at]; {
		case c == '"':
			end := afterString(raw, at)
			if stands(string(stringOf(raw[at:end]))) {
				replace(at, end)
			}
			at = end - 1
		case c == '-' || c >= '0' && c <= '9':
			end := at + 1
			for end < len(raw) && strings.IndexByte("+-.0123456789eE", raw[end]) >= 0 {
				end++
			}
			if t.surely(string(raw[at:end])) {
				replace(at, end)
			}
			at = end - 1
		}
	}
	if !changed {
		return raw, false
	}
	out.Write(raw[done:])
	return out.Bytes(), true
}

// Erase returns what is left of an audit entry, and whether anything was erased.
//
// Of what Rolecall records of changes at Clerk, invitations name people by more than their ids. A
// workspace's name goes if it has something that surely stands for the person, such as the full
// name. Names of roles stay: they aren't the person's. What a product or an operator recorded is
// free text.
func (t *Traces) Erase(e LoggedEntry) (left LoggedEntry, changed bool) {
	about := t.about(e)
	likely := about || e.Action.area() == "operator"
	var before, after, data bool
	switch {
	case e.Action == ActionOperatorErased || e.Action == ActionOperatorCut: // ids, numbers and hashes
		return e, false
	case e.Action.AtClerk() && e.Action.area() == "workspace":
		return t.eraseNames(e)
	case e.Action.AtClerk() && e.Action.area() != "invitation":
		return e, false
	}
	e.Before, before = t.Redact(e.Before, likely)
	e.After, after = t.Redact(e.After, likely)
	e.Data, data = t.Redact(e.Data, likely)
	target := !slices.Contains(t.IDs, e.Target) && (t.surely(e.Target) || likely && t.likely(e.Target))
	if target {
		e.Target = Erased
	}
	return e, before || after || data || target
}

// about reports whether an entry names the person by an id.
func (t *Traces) about(e LoggedEntry) bool {
	return slices.ContainsFunc(t.IDs, func(id string) bool {
		return e.Target == id || deref(e.Actor) == id || deref(e.Impersonator) == id ||
			hasWord(string(slices.Concat(e.Before, e.After, e.Data)), id)
	})
}

// EraseText returns a text without what surely stands for the person.
func (t *Traces) EraseText(text string) (left string, changed bool) {
	if t.surely(text) {
		return Erased, true
	}
	return text, false
}
