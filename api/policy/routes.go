package policy

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// WorkspaceIn says where a request names its workspace.
type WorkspaceIn int

// The places of a request that may name its workspace.
const (
	// WorkspaceInToken: nowhere in the request. The token's active organization is meant.
	WorkspaceInToken WorkspaceIn = iota
	// WorkspaceInPath: the segment {workspace} of the path, by id.
	WorkspaceInPath
	// WorkspaceInHeader: the route's header, by id.
	WorkspaceInHeader
	// WorkspaceInHost: the first label of the host, by slug.
	WorkspaceInHost
)

// Route says which permission a request needs, by its method and path.
type Route struct {
	// Methods are the methods that the route takes; nil for all.
	Methods []string
	// Pattern is the route's path, as [ReadPath] reads paths: a segment is a literal or
	// {workspace}, and a final ** stands for any rest.
	Pattern string
	// Permission is the permission that the request needs; "" only if the route is public.
	Permission string
	// Public means that anybody may send the request, without a token.
	Public bool
	// Workspace says where the request names its workspace.
	Workspace WorkspaceIn
	// Header is the header that names the workspace, or "".
	Header string
	// Line is the route's line in the policy file.
	Line int

	segments []string // of the pattern, without the final **
	rest     bool     // the pattern ends with **
}

// Routes is the route map: of several routes that take a request, the first one counts.
type Routes []Route

const (
	workspaceSegment = "{workspace}"
	restSegment      = "**"
)

// Find returns the route of a request, and the workspace that the path names, or "". It returns nil
// if no route takes the request, or if one does but for the case of a letter. A service that
// ignores case would handle such a request as that route's.
func (m Routes) Find(method string, path []string) (*Route, string) {
	for i := range m {
		route := &m[i]
		if !route.takes(method) {
			continue
		}
		switch workspace, fit := route.match(path); fit {
		case fitsExactly:
			return route, workspace
		case fitsButForCase:
			return nil, ""
		case fitsNot:
		}
	}
	return nil, ""
}

func (r *Route) takes(method string) bool {
	return r.Methods == nil || slices.Contains(r.Methods, method)
}

// fit says how well a path fits a pattern.
type fit int

const (
	fitsNot fit = iota
	fitsButForCase
	fitsExactly
)

// match compares a path with the route's pattern, and returns the workspace that it names.
func (r *Route) match(path []string) (workspace string, how fit) {
	if len(path) < len(r.segments) || len(path) > len(r.segments) && !r.rest {
		return "", fitsNot
	}
	how = fitsExactly
	for i, segment := range r.segments {
		switch {
		case segment == workspaceSegment:
			workspace = path[i]
		case segment == path[i]:
		case strings.EqualFold(segment, path[i]):
			how = fitsButForCase
		default:
			return "", fitsNot
		}
	}
	return workspace, how
}

// hides reports whether the route fits every path that the other one fits, at least but for case.
func (r *Route) hides(other *Route) bool {
	if len(other.segments) < len(r.segments) || !r.rest && (other.rest || len(other.segments) > len(r.segments)) {
		return false
	}
	for i, segment := range r.segments {
		if segment != workspaceSegment && !strings.EqualFold(segment, other.segments[i]) {
			return false
		}
	}
	return true
}

// String returns the route's methods and pattern, as they stand in a policy file.
func (r *Route) String() string {
	methods := "*"
	if r.Methods != nil {
		methods = strings.Join(r.Methods, ",")
	}
	return methods + " " + r.Pattern
}

// Needs says in words what a request of the route needs. inPath is the workspace that its path
// names.
func (r *Route) Needs(inPath string) string {
	if r.Public {
		return "nothing: the route is public"
	}
	return r.Permission + " in " + map[WorkspaceIn]string{
		WorkspaceInPath: "the workspace " + inPath, WorkspaceInHeader: "the workspace of the header " + r.Header,
		WorkspaceInHost: "the workspace whose slug is the host's first label", WorkspaceInToken: "the session's active workspace",
	}[r.Workspace]
}

// entry returns the route as an entry of a policy file.
func (r *Route) entry() yaml.MapSlice {
	entry := yaml.MapSlice{{Key: "match", Value: r.String()}}
	if r.Public {
		return append(entry, yaml.MapItem{Key: "public", Value: true})
	}
	entry = append(entry, yaml.MapItem{Key: "permission", Value: r.Permission})
	switch r.Workspace {
	case WorkspaceInHeader:
		entry = append(entry, yaml.MapItem{Key: "workspace", Value: "header " + r.Header})
	case WorkspaceInHost:
		entry = append(entry, yaml.MapItem{Key: "workspace", Value: "host"})
	case WorkspaceInToken, WorkspaceInPath:
	}
	return entry
}
