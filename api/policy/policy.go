package policy

import (
	_ "embed"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"

	clerksync "github.com/callmine/rolecall/sync"
)

//go:embed policy.yaml
var builtIn []byte

// BuiltIn is the name of the policy of [Default] in messages.
const BuiltIn = "built-in policy"

// Policy says which permissions each role has beside its permissions at Clerk, which permission
// each route of the product needs, and which ones no impersonator has.
type Policy struct {
	Grants clerksync.Grants
	Routes Routes
	// DenyImpersonators are the permissions that no impersonator has, sorted.
	DenyImpersonators []string
	// AuthZEN says how questions of AuthZEN are to be understood.
	AuthZEN AuthZEN
	// Confirmed says that an operator confirmed these grants, even if they leave workspaces without a
	// manager.
	Confirmed bool
	// ReadAt is when a [Keeper] read it; zero otherwise.
	ReadAt time.Time
	// Warnings name probable mistakes, each beginning with the file's name and the line.
	Warnings []string

	places map[clerksync.Grant]string // where each grant is written, for people
}

// Default returns the policy of the product that Rolecall was made for. Members may work; admins
// may also manage.
func Default() (Policy, error) { return Parse(BuiltIn, builtIn) }

// Parse reads a policy: YAML with a key "roles", under which each role's key (org:…) lists the
// permissions that it grants. It may have a key "routes" with the route map, a key
// "deny_impersonators" with a list of permissions, a key "authzen", and a key "confirm_no_manager"
// with the digest of its grants. Each permission is written
// out: there are no wildcards, anchors or aliases. name is the file's name. The error has a line
// "name:line: mistake" for each mistake.
func Parse(name string, text []byte) (Policy, error) {
	r := reader{name: name, grants: clerksync.Grants{}, places: map[clerksync.Grant]string{}}
	if r.read(text); len(r.errs) == 0 {
		return Policy{
			Grants: r.grants, Routes: r.routeMap, DenyImpersonators: r.denied, AuthZEN: r.authZEN, Confirmed: r.confirmed,
			Warnings: r.warnings, places: r.places,
		}, nil
	}
	return Policy{}, r.failure()
}

// YAML writes the policy in the form that [Parse] reads. Roles are sorted, and there are no
// comments.
func (p Policy) YAML() ([]byte, error) {
	sections := yaml.MapSlice{{Key: "roles", Value: p.Grants}}
	if len(p.Routes) > 0 {
		routes := make([]yaml.MapSlice, len(p.Routes))
		for i := range p.Routes {
			routes[i] = p.Routes[i].entry()
		}
		sections = append(sections, yaml.MapItem{Key: "routes", Value: routes})
	}
	if len(p.DenyImpersonators) > 0 {
		sections = append(sections, yaml.MapItem{Key: "deny_impersonators", Value: p.DenyImpersonators})
	}
	if len(p.AuthZEN.WorkspaceTypes) > 0 {
		sections = append(sections, yaml.MapItem{Key: "authzen", Value: p.AuthZEN})
	}
	if p.Confirmed {
		sections = append(sections, yaml.MapItem{Key: confirmationKey, Value: p.Grants.Digest()})
	}
	text, err := yaml.Marshal(sections)
	if err != nil {
		return nil, fmt.Errorf("write policy: %w", err)
	}
	return text, nil
}
