package api

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"

	clerksync "github.com/callmine/rolecall/sync"
)

//go:embed policy.yaml
var defaultPolicy []byte

// DefaultPolicy returns the policy of the product that Rolecall was made for: members work, admins also manage.
func DefaultPolicy() (clerksync.Grants, error) { return ParsePolicy(defaultPolicy) }

// ParsePolicy reads a policy: YAML with one key, "roles", under which each role key (org:…) lists the permissions that
// it grants. Errors name the line, or the role.
func ParsePolicy(text []byte) (clerksync.Grants, error) {
	var policy struct {
		Roles clerksync.Grants `yaml:"roles"`
	}
	if err := yaml.UnmarshalWithOptions(text, &policy, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	if len(policy.Roles) == 0 {
		return nil, errors.New("read policy: no roles: nobody could do anything")
	}
	for role, permissions := range policy.Roles {
		if role != clerksync.CanonicalRole(role) {
			return nil, fmt.Errorf("read policy: role %q is written %q", role, clerksync.CanonicalRole(role))
		}
		if !strings.HasPrefix(role, "org:") {
			return nil, fmt.Errorf("read policy: role %q: a role's key begins with org:, such as org:admin", role)
		}
		for i, p := range permissions {
			if strings.ContainsFunc(p, unicode.IsSpace) || !storable(p) {
				return nil, fmt.Errorf("read policy: role %q: %q is not a permission, such as reports:read", role, p)
			}
			if slices.Contains(permissions[:i], p) {
				return nil, fmt.Errorf("read policy: role %q: %q is granted twice", role, p)
			}
		}
	}
	return policy.Roles, nil
}
