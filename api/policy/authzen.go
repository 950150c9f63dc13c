package policy

import (
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// usualWorkspaceTypes are the types of AuthZEN's resources that are workspaces, unless the policy
// names others.
var usualWorkspaceTypes = []string{"workspace", "organization"}

// typeName matches the types that a policy may name. The standard takes any text, but a blank or a
// quotation mark in a type is a mistake.
var typeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.:/_-]{0,254}$`)

// AuthZEN says how questions of AuthZEN are to be understood.
type AuthZEN struct {
	// WorkspaceTypes are the types of resources whose id is a workspace's id. Empty means
	// "workspace" and "organization".
	WorkspaceTypes []string `yaml:"workspace_types"`
}

// IsWorkspaceType reports whether the id of an AuthZEN resource of this type is a workspace's id.
func (p Policy) IsWorkspaceType(name string) bool {
	if len(p.AuthZEN.WorkspaceTypes) == 0 {
		return slices.Contains(usualWorkspaceTypes, name)
	}
	return slices.Contains(p.AuthZEN.WorkspaceTypes, name)
}

// readAuthZEN reads the key "authzen", whose one key is "workspace_types".
func (r *reader) readAuthZEN(s section) {
	if s.begin == nil {
		return
	}
	entries := r.entries(s.body, s.begin, "authzen")
	if len(entries) == 0 && len(r.errs) == 0 {
		r.fail(s.begin, `"authzen" says nothing: leave it out`)
	}
	given := false
	for _, entry := range entries {
		at, key := entry.Key.GetToken(), r.text(entry.Key)
		switch {
		case key != "workspace_types":
			r.fail(at, `unknown key %q: "authzen" may have "workspace_types"`, key)
		case given:
			r.fail(at, `"workspace_types" is given twice`)
		default:
			given = true
			r.readWorkspaceTypes(entry)
		}
	}
}

func (r *reader) readWorkspaceTypes(entry *ast.MappingValueNode) {
	at := entry.Key.GetToken()
	list, ok := entry.Value.(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 {
		r.fail(at, `"workspace_types" must be a list of types of resources, such as [workspace, organization]; leave it out for these two`)
		return
	}
	for _, value := range list.Values {
		name := r.text(value)
		switch {
		case !typeName.MatchString(name):
			r.fail(value.GetToken(), "workspace_types: %q is not a type such as team or urn:example:team: letters and digits, with . : / _ - between them", name)
		case slices.Contains(r.authZEN.WorkspaceTypes, name):
			r.fail(value.GetToken(), "workspace_types: %q is given twice", name)
		}
		r.authZEN.WorkspaceTypes = append(r.authZEN.WorkspaceTypes, name)
	}
}
