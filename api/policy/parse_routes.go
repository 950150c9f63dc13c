package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	clerksync "github.com/callmine/rolecall/sync"
)

// routes reads the route map.
func (r *reader) routes(s section) {
	if s.begin == nil {
		return
	}
	list, ok := s.body.(*ast.SequenceNode)
	if !ok {
		r.fail(s.begin, "routes must be a list, of which each element has a match")
		return
	}
	for _, value := range list.Values {
		at := value.GetToken()
		if mapping, ok := value.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
			at = mapping.Values[0].Key.GetToken() // a block's own token is elsewhere
		}
		before := len(r.errs)
		route := r.route(value, at)
		if len(r.errs) == before {
			r.judgeReach(&route, at)
			r.routeMap = append(r.routeMap, route)
		}
	}
}

// route reads one element of the route map.
func (r *reader) route(value ast.Node, at *token.Token) Route {
	route := Route{Line: lineOf(at)}
	given := map[string]*token.Token{}
	for _, entry := range r.entries(value, at, "a route") {
		at, key := entry.Key.GetToken(), r.text(entry.Key)
		if first := given[key]; first != nil {
			r.fail(at, "%q is given twice, first on line %d", key, lineOf(first))
			continue
		}
		given[key] = at
		switch key {
		case "match":
			r.match(&route, entry)
		case "permission":
			r.permission(&route, entry)
		case "workspace":
			r.workspace(&route, entry)
		case "public":
			if flag, ok := entry.Value.(*ast.BoolNode); !ok || !flag.Value {
				r.fail(at, "public can only be true: leave it out of a route that needs a permission")
			}
			route.Public = true
		default:
			r.fail(at, `unknown key %q: a route has "match", and "permission" or "public", and may have "workspace"`, key)
		}
	}
	r.judgeKeys(&route, given, at)
	return route
}

// judgeKeys notes which keys are missing, or exclude each other.
func (r *reader) judgeKeys(route *Route, given map[string]*token.Token, at *token.Token) {
	if len(given) == 0 {
		r.fail(at, "a route must have a match, such as GET /w/{workspace}/reports/**")
		return
	}
	if given["match"] == nil {
		r.fail(at, "the route has no match, such as GET /w/{workspace}/reports/**")
	}
	switch {
	case !route.Public && given["permission"] == nil:
		r.fail(at, "the route has no permission: name one, or write public: true if anybody may send such a request")
	case route.Public && given["permission"] != nil:
		r.fail(given["permission"], "a public route needs no permission: leave out one of the two")
	case route.Public && given["workspace"] != nil:
		r.fail(given["workspace"], "a public route needs no workspace: leave out one of the two")
	case given["workspace"] != nil && slices.Contains(route.segments, workspaceSegment):
		r.fail(given["workspace"], "the path names the workspace already, by {workspace}: leave out one of the two")
	}
	if slices.Contains(route.segments, workspaceSegment) {
		route.Workspace = WorkspaceInPath
	}
}

// match reads methods and pattern: "GET,HEAD /w/{workspace}/reports/**".
func (r *reader) match(route *Route, entry *ast.MappingValueNode) {
	at, text := entry.Value.GetToken(), r.text(entry.Value)
	methods, pattern, ok := strings.Cut(text, " ")
	if !ok {
		r.fail(at, "match %q must be methods, a blank and a path, such as GET,HEAD /w/{workspace}/reports/**", text)
		return
	}
	if methods != "*" {
		route.Methods = strings.Split(methods, ",")
	}
	for i, method := range route.Methods {
		switch {
		case !IsMethod(method):
			r.fail(at, "match %q: %q is not a method: write methods in capitals with commas between them and no blanks, or * for all", text, method)
		case slices.Contains(route.Methods[:i], method):
			r.fail(at, "match %q: %s is given twice", text, method)
		}
	}
	route.Pattern = strings.TrimSpace(pattern)
	if fault := route.readPattern(); fault != "" {
		r.fail(at, "match %q: %s", text, fault)
	}
}

// readPattern splits the pattern into segments, and returns its fault, or "".
func (r *Route) readPattern() string {
	pattern := r.Pattern
	if whole, found := strings.CutSuffix(pattern, "/"+restSegment); found {
		pattern, r.rest = whole, true
		if pattern == "" {
			return ""
		}
	}
	if len(pattern) > 1 && strings.HasSuffix(pattern, "/") {
		return "leave out the slash at the end: the path matches with and without it"
	}
	if strings.Contains(pattern, "%") {
		return "write the path decoded, without a percent sign"
	}
	segments, err := ReadPath(strings.ReplaceAll(pattern, " ", "%20"))
	if err != nil {
		return fmt.Sprintf("no path matches it: %v", err)
	}
	seen := false
	for _, segment := range segments {
		switch {
		case segment == workspaceSegment && seen:
			return "{workspace} is given twice"
		case segment == workspaceSegment:
			seen = true
		case strings.ContainsAny(segment, "{}*"):
			return fmt.Sprintf("%q: the only placeholders are the segment {workspace}, and ** as the last segment", segment)
		}
	}
	r.segments = segments
	return ""
}

// IsMethod reports whether a text can be a method in a route map: capitals and dashes. A service
// may take a method in other letters for another one.
func IsMethod(text string) bool {
	return text != "" && len(text) <= 32 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == "" && strings.Trim(text, "-") == text
}

// permission reads the permission that a route needs.
func (r *reader) permission(route *Route, entry *ast.MappingValueNode) {
	at, p := entry.Value.GetToken(), r.text(entry.Value)
	route.Permission = p
	switch {
	case !isPermission(p):
		r.fail(at, "%q is not a permission such as reports:read; there are no wildcards", p)
	case !isClerkPermission(p) && !r.granted()[p]:
		r.warn(at, "no role grants %s: no member can send such a request", p)
	}
}

// workspace reads where a request names its workspace.
func (r *reader) workspace(route *Route, entry *ast.MappingValueNode) {
	at, text := entry.Value.GetToken(), r.text(entry.Value)
	if text == "host" {
		route.Workspace = WorkspaceInHost
		return
	}
	name, ok := strings.CutPrefix(text, "header ")
	switch {
	case !ok:
		r.fail(at, `workspace %q must be "header" and its name, such as header X-Workspace-Id, or "host"; without it, the path's {workspace} or the token's active organization is meant`, text)
	case !isHeader(name):
		r.fail(at, "workspace %q: %q is not a header's name: write letters, digits and dashes", text, name)
	case isReserved(name):
		r.fail(at, "workspace %q: %s has a meaning of its own: take another header", text, name)
	}
	route.Workspace, route.Header = WorkspaceInHeader, name
}

func isHeader(name string) bool {
	return len(name) <= clerksync.MaxID && strings.Trim(name, "-") == name && name != "" &&
		!strings.ContainsFunc(name, func(c rune) bool { return !isWordChar(c) || c == '_' })
}

// isReserved reports whether a header has another meaning, or is one that proxies set.
func isReserved(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{"rolecall-", "x-forwarded-", "x-original-", "sec-", "proxy-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"accept", "authorization", "connection", "content-length", "content-type", "cookie", "forwarded", "host", "origin", "referer", "te",
		"trailer", "transfer-encoding", "upgrade", "user-agent", "x-real-ip",
	}, name)
}

// judgeReach notes the methods of a route that an earlier route always takes first.
func (r *reader) judgeReach(route *Route, at *token.Token) {
	methods := route.Methods
	if methods == nil {
		methods = []string{"*"}
	}
	var hidden []string
	var hiding *Route
	for _, method := range methods {
		i := slices.IndexFunc(r.routeMap, func(earlier Route) bool { return earlier.takes(method) && earlier.hides(route) })
		if i >= 0 {
			hidden, hiding = append(hidden, method), &r.routeMap[i]
		}
	}
	switch {
	case hiding == nil:
	case len(hidden) == len(methods):
		r.fail(at, "%s can't be reached: the route of line %d (%s) takes all such requests", route, hiding.Line, hiding)
	default:
		r.warn(at, "%s: %s can't be reached: the route of line %d (%s) takes all such requests", route, strings.Join(hidden, ","), hiding.Line, hiding)
	}
}
