package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/callmine/rolecall/internal/regular"
	clerksync "github.com/callmine/rolecall/sync"
)

// Case says what is expected of one permission: for a role, or for a person in a workspace.
type Case struct {
	Role            string // "" for a person
	User, Workspace string // "" for a role
	Permission      string
	Allowed         bool   // what is expected
	Place           string // the file's name and the permission's line, such as cases.yaml:7
}

// ReadCases reads the cases in a file. It ends with ctx at the latest.
func ReadCases(ctx context.Context, name string) ([]Case, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return readWhile(ctx, func() ([]Case, error) {
		text, err := regular.Read(name, maxFile)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return ParseCases(name, text)
	})
}

// ParseCases parses cases: YAML with the key "cases", a list. Each entry has the key "role", or the
// keys "user" and "workspace", and under "allow" and "deny" the permissions that are expected to be
// allowed and refused. name is the file's name. The error has a line "name:line: mistake" for each
// mistake.
func ParseCases(name string, text []byte) ([]Case, error) {
	r := reader{name: name}
	var cases []Case
	if body, ok := r.document(text, "a file of cases"); ok {
		cases = r.cases(body)
	}
	if len(r.errs) > 0 {
		return nil, fmt.Errorf("read cases: %w", r.joined())
	}
	return cases, nil
}

func (r *reader) cases(body ast.Node) (cases []Case) {
	var begin *token.Token
	for _, entry := range r.entries(body, nil, "a file of cases") {
		at, key := entry.Key.GetToken(), r.text(entry.Key)
		list, isList := entry.Value.(*ast.SequenceNode)
		switch {
		case key != "cases":
			r.fail(at, `unknown key %q: a file of cases has "cases"`, key)
		case begin != nil:
			r.fail(at, `"cases" is given twice, first on line %d`, lineOf(begin))
		case !isList:
			r.fail(at, `"cases" must be a list`)
		default:
			for _, value := range list.Values {
				cases = append(cases, r.oneCase(value)...)
			}
		}
		if key == "cases" {
			begin = at
		}
	}
	if len(cases) == 0 && len(r.errs) == 0 {
		r.fail(begin, "no cases: nothing would be tested")
	}
	return cases
}

// oneCase reads what is expected of one role or person.
func (r *reader) oneCase(node ast.Node) (cases []Case) {
	about := Case{}
	names := map[string]*string{"role": &about.Role, "user": &about.User, "workspace": &about.Workspace}
	lists := map[string]ast.Node{}
	for _, entry := range r.entries(node, nil, "a case") {
		at, key := entry.Key.GetToken(), r.text(entry.Key)
		name, isName := names[key]
		switch {
		case isName && *name != "" || lists[key] != nil:
			r.fail(at, "%q is given twice", key)
		case isName:
			if *name = r.text(entry.Value); *name == "" || !clerksync.Storable(*name) {
				r.fail(at, "%q must be a text", key)
			}
		case key == "allow" || key == "deny":
			lists[key] = entry.Value
		default:
			r.fail(at, `unknown key %q: a case may have "role", or "user" and "workspace"; and "allow", "deny"`, key)
		}
	}
	at := node.GetToken()
	switch canonical := clerksync.CanonicalRole(about.Role); {
	case about.Role != "" && about.User+about.Workspace != "", about.Role == "" && (about.User == "" || about.Workspace == ""):
		r.fail(at, `a case must have either "role", or "user" and "workspace"`)
	case about.Role != canonical:
		r.fail(at, "role %q must be written %q", about.Role, canonical)
	case about.Role != "" && !isRoleKey(about.Role):
		r.fail(at, "%q is not a role: a role's key at Clerk is org: and lower-case letters, digits or underscores, such as org:admin", about.Role)
	}
	var seen []string
	for _, key := range []string{"allow", "deny"} {
		cases = append(cases, r.expected(about, key, lists[key], &seen)...)
	}
	if len(seen) == 0 && len(r.errs) == 0 {
		r.fail(at, `the case expects nothing: list permissions under "allow" or "deny"`)
	}
	return cases
}

// expected reads the permissions of a case under one key.
func (r *reader) expected(about Case, key string, list ast.Node, seen *[]string) (cases []Case) {
	permissions, ok := list.(*ast.SequenceNode)
	if list == nil {
		return nil
	}
	if !ok {
		r.fail(list.GetToken(), "%q must be a list of permissions", key)
		return nil
	}
	for _, value := range permissions.Values {
		at, p := value.GetToken(), r.text(value)
		_, isText := value.(*ast.StringNode)
		switch {
		case !isText: // the library takes the colon within braces for that of a mapping
			r.fail(at, "%s: %s is not a text: write a permission between { and } in quotation marks", key, p)
		case !isPermission(p):
			r.fail(at, "%s: %q is not a permission such as reports:read; there are no wildcards", key, p)
		case slices.Contains(*seen, p):
			r.fail(at, "%q is listed twice in one case", p)
		}
		*seen = append(*seen, p)
		one := about
		one.Permission, one.Allowed, one.Place = p, key == "allow", r.place(at)
		cases = append(cases, one)
	}
	return cases
}
