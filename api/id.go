package api

import (
	"strings"
	"unicode/utf8"
)

// The prefixes of Clerk's ids.
const (
	userIDPrefix         = "user_"
	organizationIDPrefix = "org_"
	invitationIDPrefix   = "orginv_"
)

// clerkID reports whether Clerk could have made the id: its prefix and up to 64 letters and digits. Any other one names
// nothing at Clerk, and might change the address that it becomes a part of.
func clerkID(prefix, id string) bool {
	rest, found := strings.CutPrefix(id, prefix)
	if !found || rest == "" || len(rest) > 64 {
		return false
	}
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return true
}

// maxID bounds ids and permissions in requests; Clerk's ids have some 32 characters.
const maxID = 255

// storable reports whether a text from a request can be an id or a permission: Postgres refuses NUL and what isn't UTF-8.
func storable(s string) bool {
	return s != "" && len(s) <= maxID && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
