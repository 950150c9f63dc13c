package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	clerksync "github.com/callmine/rolecall/sync"
)

// reader reads a policy node by node, because nodes know their lines.
type reader struct {
	name      string
	grants    clerksync.Grants
	places    map[clerksync.Grant]string
	routeMap  Routes
	denied    []string // to impersonators
	authZEN   AuthZEN
	confirmed bool
	errs      []error
	warnings  []string
}

// fail notes a mistake at a place of the file. A nil place is the file's beginning.
func (r *reader) fail(at *token.Token, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", r.place(at), fmt.Sprintf(format, args...)))
}

// warn notes a probable mistake.
func (r *reader) warn(at *token.Token, format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf("%s: %s", r.place(at), fmt.Sprintf(format, args...)))
}

func (r *reader) place(at *token.Token) string { return fmt.Sprintf("%s:%d", r.name, lineOf(at)) }

func lineOf(at *token.Token) int {
	if at == nil || at.Position == nil {
		return 1
	}
	return at.Position.Line
}

// maxFailures bounds the lines of an error. The others show once these are fixed.
const maxFailures = 50

func (r *reader) failure() error { return fmt.Errorf("read policy: %w", r.joined()) }

// joined returns the first mistakes, each on a line.
func (r *reader) joined() error {
	errs := r.errs
	if more := len(errs) - maxFailures; more > 0 {
		errs = append(errs[:maxFailures:maxFailures], fmt.Errorf("%s: and %d more", r.name, more))
	}
	return errors.Join(errs...)
}

// read fills the grants and the warnings.
func (r *reader) read(text []byte) {
	if body, ok := r.document(text, "a policy"); ok {
		r.root(body)
	}
}

// document returns the one YAML document of a text; nil if it is empty. It is false if the text
// isn't such a document: then the mistakes are noted. what says what the document is.
func (r *reader) document(text []byte, what string) (body ast.Node, ok bool) {
	tokens := lexer.Tokenize(string(text))
	if r.refuseAliases(tokens, what); len(r.errs) > 0 {
		return nil, false
	}
	if r.refuseExcess(tokens); len(r.errs) > 0 {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // root finds duplicates, with a plainer message
	broken, isBroken := errors.AsType[yaml.Error](err)
	switch {
	case isBroken:
		r.broken(broken)
	case err != nil:
		r.fail(nil, "%v", err)
	case len(file.Docs) > 1:
		r.fail(file.Docs[1].Start, "%s must be one YAML document", what)
	case len(file.Docs) == 0:
		return nil, true
	default:
		return file.Docs[0].Body, true
	}
	return nil, false
}

// broken notes that the text isn't YAML. For tabs, which editors hide and the library describes in
// several ways, it has one plain sentence.
func (r *reader) broken(err yaml.Error) {
	if message := err.GetMessage(); strings.Contains(message, "\t") || strings.Contains(message, "tab character") {
		r.fail(err.GetToken(), "YAML doesn't allow a tab here: indent with blanks")
	} else {
		r.fail(err.GetToken(), "it isn't YAML: %s", message)
	}
}

// refuseAliases refuses anchors and aliases, because a reader of a role should see all its
// permissions there.
func (r *reader) refuseAliases(tokens token.Tokens, what string) {
	for _, t := range tokens {
		if t.Type == token.AnchorType || t.Type == token.AliasType {
			r.fail(t, "%s must not have anchors, aliases (& and *) or wildcards: write each permission out, and a match that begins with * in quotation marks", what)
		}
	}
}

// section is a top-level key of a policy with its value. The zero section is one that the policy
// doesn't have.
type section struct {
	begin *token.Token
	body  ast.Node
}

// sections are the keys that a policy may have, in the order in which they are read: a later one
// may name what an earlier one defines.
var sections = []struct {
	key  string
	read func(*reader, section)
}{
	{"roles", (*reader).roles},
	{"routes", (*reader).routes},
	{"deny_impersonators", (*reader).denyImpersonators},
	{"authzen", (*reader).readAuthZEN},
	{confirmationKey, (*reader).confirmation},
}

func (r *reader) root(body ast.Node) {
	found := map[string]section{}
	for _, entry := range r.entries(body, nil, "a policy") {
		at, key := entry.Key.GetToken(), r.text(entry.Key)
		switch {
		case !isSection(key):
			r.fail(at, "unknown key %q: a policy may have %s", key, sectionKeys())
		case found[key].begin != nil:
			r.fail(at, "%q is given twice, first on line %d", key, lineOf(found[key].begin))
		default:
			found[key] = section{begin: at, body: entry.Value}
		}
	}
	if len(found) == 0 && len(r.errs) > 0 {
		return
	}
	for _, s := range sections {
		s.read(r, found[s.key])
	}
}

func isSection(key string) bool {
	for _, s := range sections {
		if s.key == key {
			return true
		}
	}
	return false
}

// sectionKeys lists the keys for a message.
func sectionKeys() string {
	var keys []string
	for _, s := range sections {
		keys = append(keys, fmt.Sprintf("%q", s.key))
	}
	return strings.Join(keys, ", ")
}

func (r *reader) roles(s section) {
	first := map[string]*token.Token{}
	for _, entry := range r.entries(s.body, s.begin, "roles") {
		at, key := entry.Key.GetToken(), r.text(entry.Key)
		if first[key] != nil {
			r.fail(at, "role %q is given twice, first on line %d", key, lineOf(first[key]))
		} else {
			first[key] = at
		}
		r.role(entry)
	}
	if len(r.grants) == 0 && len(r.errs) == 0 {
		r.fail(s.begin, "no roles: every request would be refused")
	}
	r.warnOfRoutes(s.begin)
}

func (r *reader) role(entry *ast.MappingValueNode) {
	at, key := entry.Key.GetToken(), r.text(entry.Key)
	if canonical := clerksync.CanonicalRole(key); key != canonical {
		r.fail(at, "role %q must be written %q", key, canonical)
	} else if !isRoleKey(key) {
		r.fail(at, "%q is not a role: a role's key at Clerk is org: and lower-case letters, digits or underscores, such as org:admin", key)
	}
	list, ok := entry.Value.(*ast.SequenceNode)
	if _, null := entry.Value.(*ast.NullNode); null || ok && len(list.Values) == 0 {
		r.fail(at, "role %q grants nothing: leave it out", key)
		return
	}
	if !ok {
		r.fail(entry.Value.GetToken(), "role %q: its permissions must be a list", key)
		return
	}
	granted := map[string]bool{}
	for _, value := range list.Values {
		at, p := value.GetToken(), r.text(value)
		switch {
		case !isPermission(p):
			r.fail(at, "role %q: %q is not a permission such as reports:read; there are no wildcards", key, p)
		case granted[p]:
			r.fail(at, "role %q: %q is granted twice", key, p)
		case strings.HasPrefix(p, "org:") && !isClerkPermission(p):
			r.warn(at, "role %q: %q can't be a permission at Clerk, which has the form org:feature:action in lower-case letters, digits and underscores", key, p)
		}
		granted[p] = true
		r.grants[key] = append(r.grants[key], p)
		r.places[clerksync.Grant{Role: key, Permission: p}] = placeOf(r.name, lineOf(at))
	}
}

// entries returns the keys and values of a mapping, or none if it is missing or null.
func (r *reader) entries(node ast.Node, at *token.Token, what string) []*ast.MappingValueNode {
	switch mapping := node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		return mapping.Values
	default:
		if at == nil {
			at = node.GetToken()
		}
		r.fail(at, "%s must be a mapping", what)
		return nil
	}
}

// text returns a node's text. It returns any other value as it is written, in angle brackets, and
// "" for no value.
func (r *reader) text(node ast.Node) string {
	switch value := node.(type) {
	case nil:
		return ""
	case *ast.StringNode:
		return value.Value
	default:
		return "<" + strings.Join(strings.Fields(value.String()), " ") + ">" // no name has these brackets
	}
}

// isRoleKey reports whether a text can be a role's key at Clerk, by its Backend API (2026-05-12).
// No member can have another key.
func isRoleKey(s string) bool {
	word, ok := strings.CutPrefix(s, "org:")
	return ok && isClerkWord(word) && len(s) <= clerksync.MaxID
}

// isPermission reports whether a text can name a permission: words with a colon or a dot between
// them. Asterisks and commas are refused, because policies have neither wildcards nor lists in one
// text.
func isPermission(s string) bool {
	for word := range strings.SplitSeq(strings.ReplaceAll(s, ".", ":"), ":") {
		if strings.Trim(word, "-_") == "" || strings.ContainsFunc(word, func(c rune) bool { return !isWordChar(c) }) {
			return false
		}
	}
	return len(s) <= clerksync.MaxID
}

func isWordChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// isClerkPermission reports whether a text can be a permission's key at Clerk, including its system
// permissions (org:sys_…).
func isClerkPermission(s string) bool {
	words := strings.Split(s, ":")
	return len(words) == 3 && words[0] == "org" && isClerkWord(words[1]) && isClerkWord(words[2])
}

func isClerkWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' })
}

// warnOfRoutes names the permissions that a route needs and no role grants. Such a route would
// refuse every caller, because all permissions at Clerk begin with org:.
func (r *reader) warnOfRoutes(roles *token.Token) {
	granted := r.granted()
	for _, route := range []struct{ permission, does string }{
		{MembersManage, "invite, promote or remove members"},
		{MembersRead, "list the members"},
		{WorkspaceUpdate, "rename a workspace"},
		{AuditRead, "read the audit log"},
	} {
		if !granted[route.permission] {
			r.warn(roles, "no role grants %s: no member can %s", route.permission, route.does)
		}
	}
}
