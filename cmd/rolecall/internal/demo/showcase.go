package demo

import (
	"errors"
	"slices"

	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// showcase is the permissions that the printed commands ask for: one of members, and one of admins
// only.
type showcase struct{ forMembers, forAdmins string }

// newShowcase takes the README's permissions if the policy grants them to these roles, else the
// first suitable ones.
func newShowcase(grants clerksync.Grants) (s showcase, err error) {
	member, admin := grants[clerksim.RoleMember], grants[clerksim.RoleAdmin]
	adminOnly := slices.DeleteFunc(slices.Clone(admin), func(p string) bool { return slices.Contains(member, p) })
	if len(member) == 0 || len(adminOnly) == 0 {
		return s, errors.New("dev has nothing to show by this policy: let it grant org:member one permission, and org:admin another one, " +
			"or unset the setting (is it in .env?)")
	}
	s = showcase{member[0], adminOnly[0]}
	if slices.Contains(member, "reports:read") {
		s.forMembers = "reports:read"
	}
	if slices.Contains(adminOnly, "billing:manage") {
		s.forAdmins = "billing:manage"
	}
	return s, nil
}
