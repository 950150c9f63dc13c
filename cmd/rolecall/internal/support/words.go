package support

import (
	"strconv"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
)

// Name returns a person's first and last name, or what else names the person: the identifier, or
// the id.
func Name(p store.Person) string {
	if name := strings.TrimSpace(text(p.FirstName) + " " + text(p.LastName)); name != "" {
		return name
	}
	if identifier := text(p.Identifier); identifier != "" {
		return identifier
	}
	return p.ID
}

// JoinedAt returns when a membership began; nil if Clerk hasn't said when. The mirror then has an
// instant of 1970, by which its lists are ordered.
func JoinedAt(at time.Time) *time.Time {
	if at.Unix() <= 0 {
		return nil
	}
	return new(at.UTC())
}

// WorkspaceName returns a workspace's name, or its id if it has none.
func WorkspaceName(name, id string) string {
	if strings.TrimSpace(name) == "" {
		return id
	}
	return name
}

// Status says in one word why an account may do nothing: "deleted", "banned" or "deprovisioned". It
// is "" if the account may act. The order is that of a decision's reasons.
func Status(deleted, banned, deprovisioned bool) string {
	switch {
	case deleted:
		return "deleted"
	case banned:
		return "banned"
	case deprovisioned:
		return "deprovisioned"
	default:
		return ""
	}
}

// Failure puts the error of a delivery on one line. Several faults of one delivery stand on a line
// each, all behind the same words: those are left out of the later ones.
func Failure(text string) string {
	faults := strings.Split(text, "\n")
	kind, _, _ := strings.Cut(faults[0], ": ")
	for i, fault := range faults[1:] {
		faults[i+1] = strings.TrimPrefix(fault, kind+": ")
	}
	return strings.Join(faults, "; ")
}

// Count writes a number of rows that weren't all counted.
func Count(t store.Tally) string {
	n := strconv.FormatInt(t.N, 10)
	if t.AtLeast {
		return "at least " + n
	}
	return n
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
