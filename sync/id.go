package sync

import (
	"strings"
	"unicode/utf8"
)

// The prefixes of Clerk's ids. Each names the kind of its object.
const (
	OrganizationPrefix = "org_"
	UserPrefix         = "user_"
	MembershipPrefix   = "orgmem_"
	InvitationPrefix   = "orginv_"
	DomainPrefix       = "orgdmn_"
	RolePrefix         = "role_"
	PermissionPrefix   = "perm_"
	SessionPrefix      = "sess_"
)

// MaxID is the greatest length of an id or a permission, in bytes. Clerk's ids have some 32
// characters.
const MaxID = 255

// maxIDRest is the greatest length of a Clerk id after its prefix, with room to spare: Clerk's have
// 27 characters.
const maxIDRest = 64

// ValidID reports whether Clerk could have made the id: its prefix and up to 64 letters and digits.
// Any other id names nothing at Clerk, and could change the address that contains it.
func ValidID(prefix, id string) bool {
	rest, found := strings.CutPrefix(id, prefix)
	if !found || rest == "" || len(rest) > maxIDRest {
		return false
	}
	notOfClerk := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
	}
	return !strings.ContainsFunc(rest, notOfClerk)
}

// Storable reports whether a text can be an id or a permission: 1 to [MaxID] bytes that Postgres
// accepts, which are UTF-8 without NUL.
func Storable(text string) bool {
	return text != "" && len(text) <= MaxID && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}
