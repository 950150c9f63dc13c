package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// GrantsChange is the step from one policy to another.
type GrantsChange struct{ Before, After Grants }

// Roles lists the keys of the roles to which the policies grant different things, sorted.
func (c GrantsChange) Roles() []string {
	keys := slices.Concat(slices.Collect(maps.Keys(c.Before)), slices.Collect(maps.Keys(c.After)))
	slices.Sort(keys)
	return slices.DeleteFunc(slices.Compact(keys), func(role string) bool {
		gains, loses := c.Of(role, nil)
		return len(gains)+len(loses) == 0
	})
}

// Of returns the permissions that members of a role gain and lose, sorted. What the role has at
// Clerk it neither gains nor loses.
func (c GrantsChange) Of(role string, atClerk []string) (gains, loses []string) {
	before := c.Before.Effective(Standing{Member: true, Role: role, Permissions: atClerk})
	after := c.After.Effective(Standing{Member: true, Role: role, Permissions: atClerk})
	return without(after, before), without(before, after)
}

// Managers returns the roles that lose [MembersManage], and those that have it after the change. No
// role has it at Clerk, whose permissions begin with org:.
func (c GrantsChange) Managers() (lost, kept []string) {
	kept = c.After.Granting(MembersManage)
	return without(c.Before.Granting(MembersManage), kept), kept
}

// without returns the elements of a list that another one doesn't have.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// Digest names what the policy grants, in 16 hexadecimal digits: policies with the same digest
// grant the same.
func (g Grants) Digest() string {
	sum := sha256.New()
	for _, role := range slices.Sorted(maps.Keys(g)) {
		permissions := slices.Clone(g[role])
		slices.Sort(permissions)
		for _, p := range slices.Compact(permissions) {
			sum.Write([]byte(role + "\x00" + p + "\n")) // no key has these characters
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
