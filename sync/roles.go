package sync

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Roles are the roles of the Clerk instance by each key that they ever had. The roles of one key
// are ordered by their ids.
type Roles map[string][]KeyHolder

// KeyHolder is a role that has a key, or had it.
type KeyHolder struct {
	Since       []int64  `json:"since"`       // when events showed it with the key, epoch milliseconds
	Key         string   `json:"key"`         // the key that it has now
	Permissions []string `json:"permissions"` // keys of its permissions; none if it is deleted
}

// Named returns the role that a membership names by a key. Of several roles that is the one that
// had the key last when the membership's role was written. If none had it by then, it is the first
// one that ever had it. writtenAt returns that instant in epoch milliseconds, or a negative number
// if it isn't known. Named returns false if no role ever had the key. The membership's own copy of
// key and permissions then counts.
func (r Roles) Named(key string, writtenAt func() int64) (named KeyHolder, known bool) {
	holders := r[key]
	switch len(holders) {
	case 0:
		return KeyHolder{}, false
	case 1: // nearly always
		return holders[0], true
	}
	at := writtenAt()
	return slices.MinFunc(holders, func(a, b KeyHolder) int {
		return cmp.Or(cmp.Compare(b.lastBy(at), a.lastBy(at)), cmp.Compare(a.first(), b.first()))
	}), true
}

// Permit reports whether any role has the permission. If the roles aren't known, every key that a
// permission at Clerk can have counts: the copies in memberships may have it.
func (r Roles) Permit(permission string) bool {
	if len(r) == 0 {
		return strings.HasPrefix(permission, "org:")
	}
	for _, holders := range r {
		for _, h := range holders {
			if slices.Contains(h.Permissions, permission) {
				return true
			}
		}
	}
	return false
}

// lastBy returns when the role was last seen with the key, up to an instant. If it wasn't seen with
// it by then, the result is less than any instant.
func (h KeyHolder) lastBy(at int64) int64 {
	last := int64(math.MinInt64)
	for _, since := range h.Since {
		if since <= at {
			last = max(last, since)
		}
	}
	return last
}

// first returns when the role was first seen with the key.
func (h KeyHolder) first() int64 {
	first := int64(math.MaxInt64)
	for _, since := range h.Since {
		first = min(first, since)
	}
	return first
}
