package policy

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	clerksync "github.com/callmine/rolecall/sync"
)

// confirmationKey is the key of a policy by which an operator confirms that it may leave workspaces
// without a manager. Its value is the digest of the policy's grants: so it confirms no later
// policy.
const confirmationKey = "confirm_no_manager"

// Confirmation is the line of a policy file that confirms the grants.
func Confirmation(g clerksync.Grants) string {
	return fmt.Sprintf("%s: %q", confirmationKey, g.Digest())
}

// confirmation reads the confirmation of the grants.
func (r *reader) confirmation(s section) {
	if s.begin == nil {
		return
	}
	value, ok := s.body.(ast.ScalarNode)
	if _, null := s.body.(*ast.NullNode); !ok || null {
		r.fail(s.begin, "%s must be the digest that `rolecall policy diff` prints, or be left out", confirmationKey)
		return
	}
	// Without quotation marks, a digest may be a number. Its text counts.
	digest := strings.TrimSpace(value.GetToken().Value)
	if r.confirmed = digest == r.grants.Digest(); !r.confirmed && len(r.errs) == 0 {
		r.warn(s.begin, "%s: %.40q isn't the digest of these roles: it confirms nothing, and should be left out", confirmationKey, digest)
	}
}
