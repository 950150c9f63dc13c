package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	clerksync "github.com/callmine/rolecall/sync"
)

// policyReader reads a policy node by node, because only nodes know their lines.
type policyReader struct {
	name    string
	grants  clerksync.Grants
	anchors map[string]ast.Node
	errs    []error
}

// fail notes what is wrong at a place of the file; nil for the file's beginning.
func (r *policyReader) fail(at *token.Token, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", r.place(at), fmt.Sprintf(format, args...)))
}

func (r *policyReader) place(at *token.Token) string {
	line := 1
	if at != nil && at.Position != nil {
		line = at.Position.Line
	}
	return fmt.Sprintf("%s:%d", r.name, line)
}

func (r *policyReader) failure() error {
	return fmt.Errorf("read policy: %w", errors.Join(r.errs...))
}

// read fills the grants and returns where the roles begin.
func (r *policyReader) read(text []byte) *token.Token {
	file, err := parser.ParseBytes(text, 0)
	if broken, ok := errors.AsType[yaml.Error](err); ok {
		r.fail(broken.GetToken(), "%s", broken.GetMessage())
		return nil
	}
	if err != nil {
		r.fail(nil, "%v", err)
		return nil
	}
	r.anchors = anchorsOf(file)
	if len(file.Docs) > 1 {
		r.fail(file.Docs[1].Start, "a policy is one YAML document")
		return nil
	}
	if len(file.Docs) == 0 {
		return r.root(nil)
	}
	return r.root(file.Docs[0].Body)
}

func (r *policyReader) root(body ast.Node) (begin *token.Token) {
	var roles ast.Node
	for _, entry := range r.entries(body, nil, "a policy") {
		at := entry.Key.GetToken()
		if key := r.text(entry.Key); key != "roles" {
			r.fail(at, `unknown key %q: a policy has "roles" alone`, key)
			continue
		}
		begin, roles = at, entry.Value
	}
	if begin == nil && len(r.errs) > 0 {
		return nil
	}
	for _, entry := range r.entries(roles, begin, "roles") {
		r.role(entry)
	}
	if len(r.grants) == 0 && len(r.errs) == 0 {
		r.fail(begin, "no roles: nobody could do anything")
	}
	return begin
}

func (r *policyReader) role(entry *ast.MappingValueNode) {
	at, key := entry.Key.GetToken(), r.text(entry.Key)
	if canonical := clerksync.CanonicalRole(key); key != canonical {
		r.fail(at, "role %q is written %q", key, canonical)
	} else if !strings.HasPrefix(key, "org:") || !policyName(key) {
		r.fail(at, "%q is not a role: its key begins with org:, such as org:admin", key)
	}
	list, ok := r.resolve(entry.Value).(*ast.SequenceNode)
	if _, null := r.resolve(entry.Value).(*ast.NullNode); null || ok && len(list.Values) == 0 {
		r.fail(at, "role %q grants nothing: leave it out", key)
		return
	}
	if !ok {
		r.fail(entry.Value.GetToken(), "role %q: permissions are a list", key)
		return
	}
	var permissions []string
	for _, value := range list.Values {
		p := r.text(value)
		switch {
		case !policyName(p):
			r.fail(value.GetToken(), "role %q: %q is not a permission such as reports:read; there are no wildcards", key, p)
		case slices.Contains(permissions, p):
			r.fail(value.GetToken(), "role %q: %q is granted twice", key, p)
		}
		permissions = append(permissions, p)
	}
	r.grants[key] = permissions
}

// entries returns the keys and values of a mapping; none of what is missing or null.
func (r *policyReader) entries(node ast.Node, at *token.Token, what string) []*ast.MappingValueNode {
	switch mapping := r.resolve(node).(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		return mapping.Values
	default:
		if at == nil {
			at = node.GetToken()
		}
		r.fail(at, "%s: a mapping is wanted", what)
		return nil
	}
}

// text returns a text, or what stands in its place as it is written; "" for an empty one.
func (r *policyReader) text(node ast.Node) string {
	switch value := r.resolve(node).(type) {
	case nil:
		return ""
	case *ast.StringNode:
		return value.Value
	default:
		return "<" + strings.Join(strings.Fields(value.String()), " ") + ">" // no name has these brackets
	}
}

// resolve returns what an anchor or an alias stands for.
func (r *policyReader) resolve(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.AnchorNode:
		return n.Value
	case *ast.AliasNode:
		return r.anchors[n.Value.String()]
	default:
		return node
	}
}

func anchorsOf(file *ast.File) map[string]ast.Node {
	anchors := anchorVisitor{}
	for _, doc := range file.Docs {
		ast.Walk(anchors, doc)
	}
	return anchors
}

type anchorVisitor map[string]ast.Node

// Visit implements [ast.Visitor].
func (v anchorVisitor) Visit(node ast.Node) ast.Visitor {
	if anchor, ok := node.(*ast.AnchorNode); ok {
		v[anchor.Name.String()] = anchor.Value
	}
	return v
}

// policyName reports whether a text can name a role or a permission. An asterisk or a comma can't be in one: both
// would be meant as something that a policy doesn't know.
func policyName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("_-.:", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxID
}

// warnings names the permissions that a route asks for and no role grants: the route would refuse everybody, for Clerk's
// own permissions are all called org:….
func (r *policyReader) warnings(roles *token.Token) (warnings []string) {
	granted := map[string]bool{}
	for _, permissions := range r.grants {
		for _, p := range permissions {
			granted[p] = true
		}
	}
	for _, route := range []struct{ permission, does string }{
		{permissionMembersManage, "invite, promote or remove anybody"},
		{permissionMembersRead, "list the members"},
		{permissionWorkspaceUpdate, "rename a workspace"},
		{"audit:read", "read the audit log"},
	} {
		if !granted[route.permission] {
			warnings = append(warnings, fmt.Sprintf("%s: no role grants %s: nobody can %s", r.place(roles), route.permission, route.does))
		}
	}
	return warnings
}
