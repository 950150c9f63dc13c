package policy

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// denyImpersonators reads the permissions that no impersonator has.
func (r *reader) denyImpersonators(s section) {
	const key = "deny_impersonators"
	if s.begin == nil {
		return
	}
	list, ok := s.body.(*ast.SequenceNode)
	if _, null := s.body.(*ast.NullNode); null || ok && len(list.Values) == 0 {
		r.fail(s.begin, "%s denies nothing: leave it out", key)
		return
	}
	if !ok {
		r.fail(s.body.GetToken(), "%s must be a list of permissions", key)
		return
	}
	granted := r.granted()
	for _, value := range list.Values {
		at, p := value.GetToken(), r.text(value)
		switch {
		case !isPermission(p):
			r.fail(at, "%s: %q is not a permission such as reports:read; there are no wildcards", key, p)
		case slices.Contains(r.denied, p):
			r.fail(at, "%s: %q is denied twice", key, p)
		case !granted[p] && !isClerkPermission(p):
			r.warn(at, "%s: no role grants %s, and it can't be a permission at Clerk: denying it changes nothing", key, p)
		}
		r.denied = append(r.denied, p)
	}
	slices.Sort(r.denied)
}

// granted returns the permissions that some role grants.
func (r *reader) granted() map[string]bool {
	granted := map[string]bool{}
	for _, permissions := range r.grants {
		for _, p := range permissions {
			granted[p] = true
		}
	}
	return granted
}
