package policy

import (
	"fmt"
	"path/filepath"

	clerksync "github.com/callmine/rolecall/sync"
)

// Explain answers an inquiry by this policy, and says where each grant is written. It fills what
// the policy knows into the inquiry: the grants and, of the impersonation, what is denied.
func (p Policy) Explain(q clerksync.Inquiry) clerksync.Reasoning {
	q.Grants = p.Grants
	q.Impersonation.Denied = p.DenyImpersonators
	origin := &q.Provenance.Policy
	origin.Places, origin.Grantable = p.places, isPermission(q.Permission)
	if !p.ReadAt.IsZero() {
		origin.ReadAt = p.ReadAt
	}
	return q.Explain()
}

// placeOf names a line of a policy for people. The built-in policy has no lines that they could
// look at.
func placeOf(name string, line int) string {
	if name == BuiltIn {
		return name
	}
	return fmt.Sprintf("%s, line %d", filepath.Base(name), line)
}
