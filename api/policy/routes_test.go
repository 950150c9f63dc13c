package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// head is a policy whose roles have the permissions of these tests; the routes begin on line 5.
const head = "roles:\n  org:admin: [reports:read, workspace:update, members:read, members:manage, audit:read, a, b]\n\nroutes:\n"

// mapOf parses a policy with routes, which gives no warning.
func mapOf(t testing.TB, routes string) Routes {
	t.Helper()
	policy, err := Parse("p.yaml", []byte(head+routes))
	require.NoError(t, err)
	require.Empty(t, policy.Warnings)
	return policy.Routes
}

// theRoutes are those of the manual.
const theRoutes = `  - match: GET,HEAD /w/{workspace}/reports/**     # methods, then a path pattern
    permission: reports:read
  - match: "* /w/{workspace}/settings/**"
    permission: workspace:update
  - match: GET /dashboard
    permission: reports:read
  - match: GET /healthz
    public: true
  - match: "POST /api"
    permission: org:invoices:create
    workspace: header X-Workspace-Id
  - { match: "PUT /", permission: a, workspace: host }
`

func TestRoutes_Find(t *testing.T) {
	t.Parallel()
	routes := mapOf(t, theRoutes)
	for _, test := range []struct {
		method, path, want, workspace string
		in                            WorkspaceIn
	}{
		{"GET", "/w/org_1/reports/81", "GET,HEAD /w/{workspace}/reports/**", "org_1", WorkspaceInPath},
		{"HEAD", "/w/org_1/reports/81/x/y", "GET,HEAD /w/{workspace}/reports/**", "org_1", WorkspaceInPath},
		{"GET", "/w/org_1/reports", "GET,HEAD /w/{workspace}/reports/**", "org_1", WorkspaceInPath},
		{"GET", "/w/org_1/reports/", "GET,HEAD /w/{workspace}/reports/**", "org_1", WorkspaceInPath},
		{"GET", "/w/org%5F1/%72eports", "GET,HEAD /w/{workspace}/reports/**", "org_1", WorkspaceInPath},
		{"GET", "/w/reports/reports", "GET,HEAD /w/{workspace}/reports/**", "reports", WorkspaceInPath},
		{"POST", "/w/org_1/reports", "", "", 0},
		{"GET", "/w/org_1/reportsx", "", "", 0},
		{"GET", "/w/org_1", "", "", 0},
		{"GET", "/w/reports", "", "", 0},
		{"GET", "/x/w/org_1/reports", "", "", 0},
		{"PROPFIND", "/w/org_1/settings", "* /w/{workspace}/settings/**", "org_1", WorkspaceInPath},
		{"GET", "/dashboard", "GET /dashboard", "", WorkspaceInToken},
		{"GET", "/dashboard/", "GET /dashboard", "", WorkspaceInToken},
		{"GET", "/dashboard/x", "", "", 0},
		{"get", "/dashboard", "", "", 0},
		{"HEAD", "/dashboard", "", "", 0},
		{"GET", "/healthz", "GET /healthz", "", WorkspaceInToken},
		{"POST", "/api", "POST /api", "", WorkspaceInHeader},
		{"PUT", "/", "PUT /", "", WorkspaceInHost},
		{"GET", "/", "", "", 0},
	} {
		path, err := ReadPath(test.path)
		require.NoError(t, err)
		route, workspace := routes.Find(test.method, path)
		require.Equal(t, test.want == "", route == nil, "%+v", test)
		if route != nil {
			require.Equal(t, test.want, route.String(), "%+v", test)
			require.Equal(t, test.in, route.Workspace, "%+v", test)
		}
		require.Equal(t, test.workspace, workspace, "%+v", test)
	}
	path, err := ReadPath("/healthz")
	require.NoError(t, err)
	route, _ := routes.Find("GET", path)
	require.True(t, route.Public)
	require.Empty(t, route.Permission)
	require.Equal(t, 11, route.Line)
	path, err = ReadPath("/api")
	require.NoError(t, err)
	route, _ = routes.Find("POST", path)
	require.Equal(t, Route{
		Methods: []string{"POST"}, Pattern: "/api", Permission: "org:invoices:create", Workspace: WorkspaceInHeader, Header: "X-Workspace-Id", Line: 13,
		segments: []string{"api"},
	}, *route)
}

// TestRoutes_FirstOneCounts, also for the services that ignore case: such a service would serve
// /ADMIN as /admin, and the last route lets everybody do that.
func TestRoutes_FirstOneCounts(t *testing.T) {
	t.Parallel()
	routes := mapOf(t, "  - { match: GET /admin/**, permission: a }\n  - { match: '* /admin/**', permission: b }\n  - { match: GET /**, public: true }\n")
	for target, want := range map[string]string{
		"GET /admin": "GET /admin/**", "POST /admin": "* /admin/**", "GET /": "GET /**", "GET /adminx": "GET /**", "GET /x/admin": "GET /**",
		"GET /Admin": "", "GET /ADMIN/x": "", "GET /admın": "GET /**",
	} {
		method, raw, _ := strings.Cut(target, " ")
		path, err := ReadPath(raw)
		require.NoError(t, err)
		got := ""
		if route, _ := routes.Find(method, path); route != nil {
			got = route.String()
		}
		require.Equal(t, want, got, target)
	}
}

func TestParse_RefusesRoutes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ routes, want string }{
		"text":                  {"  all\n", "p.yaml:4: routes must be a list"},
		"nothing":               {"", "p.yaml:4: routes must be a list"},
		"mapping":               {"  match: GET /\n", "p.yaml:4: routes must be a list"},
		"text in the list":      {"  - GET /\n", "p.yaml:5: a route must be a mapping"},
		"null in the list":      {"  -\n", "p.yaml:5: a route must have a match"},
		"empty":                 {"  - {}\n", "p.yaml:5: a route must have a match"},
		"unknown key":           {"  - match: GET /\n    permission: a\n    role: x\n", `p.yaml:7: unknown key "role": a route has "match"`},
		"key twice":             {"  - match: GET /\n    match: GET /x\n    permission: a\n", `p.yaml:6: "match" is given twice, first on line 5`},
		"no match":              {"  - permission: a\n", "p.yaml:5: the route has no match"},
		"no permission":         {"  - match: GET /\n", "p.yaml:5: the route has no permission"},
		"public and not":        {"  - match: GET /\n    permission: a\n    public: true\n", "p.yaml:6: a public route needs no permission"},
		"public with workspace": {"  - match: GET /\n    workspace: host\n    public: true\n", "p.yaml:6: a public route needs no workspace"},
		"public is false":       {"  - match: GET /\n    permission: a\n    public: false\n", "p.yaml:7: public can only be true"},
		"public is text":        {"  - match: GET /\n    public: yes please\n", "p.yaml:6: public can only be true"},
		"match is a number":     {"  - match: 7\n    permission: a\n", `p.yaml:5: match "<7>" must be methods, a blank and a path`},
		"no method":             {"  - match: /x\n    permission: a\n", `p.yaml:5: match "/x" must be methods, a blank and a path`},
		"small method":          {"  - match: get /x\n    permission: a\n", `p.yaml:5: match "get /x": "get" is not a method`},
		"blank in methods":      {"  - match: GET, HEAD /x\n    permission: a\n", `p.yaml:5: match "GET, HEAD /x": "" is not a method`},
		"method twice":          {"  - match: GET,HEAD,GET /x\n    permission: a\n", `p.yaml:5: match "GET,HEAD,GET /x": GET is given twice`},
		"star among methods":    {"  - match: GET,* /x\n    permission: a\n", `p.yaml:5: match "GET,* /x": "*" is not a method`},
		"bare star":             {"  - match: * /x\n    permission: a\n", "p.yaml:5: a policy must not have anchors, aliases (& and *) or wildcards: write each permission out, and a match that begins with * in quotation marks"},
		"no slash":              {"  - match: GET x\n    permission: a\n", "the path doesn't begin with a slash"},
		"slash at the end":      {"  - match: GET /x/\n    permission: a\n", "leave out the slash at the end"},
		"slash before the rest": {"  - match: GET /x//**\n    permission: a\n", "leave out the slash at the end"},
		"doubled slash":         {"  - match: GET /x//y\n    permission: a\n", "two slashes in a row"},
		"dots":                  {"  - match: GET /x/../y\n    permission: a\n", "a segment of dots"},
		"query":                 {"  - match: GET /x?y\n    permission: a\n", "no path matches it"},
		"semicolon":             {"  - match: GET /x;y\n    permission: a\n", "a semicolon"},
		"encoded":               {"  - match: GET /x%20y\n    permission: a\n", "write the path decoded"},
		"rest in the middle":    {"  - match: GET /**/x\n    permission: a\n", `"**": the only placeholders are`},
		"rest in a segment":     {"  - match: GET /x**\n    permission: a\n", `"x**": the only placeholders are`},
		"one star":              {"  - match: GET /*/x\n    permission: a\n", `"*": the only placeholders are`},
		"another placeholder":   {"  - match: GET /w/{id}\n    permission: a\n", `"{id}": the only placeholders are`},
		"part of a segment":     {"  - match: GET /w-{workspace}\n    permission: a\n", `"w-{workspace}": the only placeholders are`},
		"two workspaces":        {"  - match: GET /{workspace}/{workspace}\n    permission: a\n", "{workspace} is given twice"},
		"no such permission":    {"  - match: GET /x\n    permission: 'reports:*'\n", `p.yaml:6: "reports:*" is not a permission`},
		"no permission's text":  {"  - match: GET /x\n    permission:\n", `p.yaml:6: "<>" is not a permission`},
		"workspace twice":       {"  - match: GET /{workspace}\n    permission: a\n    workspace: host\n", "p.yaml:7: the path names the workspace already"},
		"workspace elsewhere":   {"  - match: GET /x\n    permission: a\n    workspace: query w\n", `p.yaml:7: workspace "query w" must be "header" and its name`},
		"no header":             {"  - match: GET /x\n    permission: a\n    workspace: header X_W\n", `"X_W" is not a header's name`},
		"two headers":           {"  - match: GET /x\n    permission: a\n    workspace: header A B\n", `"A B" is not a header's name`},
		"the host's header":     {"  - match: GET /x\n    permission: a\n    workspace: header Host\n", "Host has a meaning of its own"},
		"a proxy's header":      {"  - match: GET /x\n    permission: a\n    workspace: header x-forwarded-for\n", "x-forwarded-for has a meaning of its own"},
		"our own header":        {"  - match: GET /x\n    permission: a\n    workspace: header Rolecall-Workspace\n", "Rolecall-Workspace has a meaning of its own"},
		"hidden":                {"  - match: GET /x/**\n    permission: a\n  - match: GET /x/y\n    permission: b\n", "p.yaml:7: GET /x/y can't be reached: the route of line 5 (GET /x/**) takes all such requests"},
		"hidden by two":         {"  - match: GET /x\n    permission: a\n  - match: PUT /x\n    permission: a\n  - match: PUT,GET /x\n    permission: b\n", "p.yaml:9: PUT,GET /x can't be reached"},
		"hidden but for case":   {"  - match: GET /x\n    permission: a\n  - match: GET /X\n    permission: b\n", "p.yaml:7: GET /X can't be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("p.yaml", []byte(head+test.routes))
			require.ErrorContains(t, err, "read policy: p.yaml:")
			require.ErrorContains(t, err, test.want)
		})
	}
	_, err := Parse("p.yaml", []byte(head+"  - match: GET x\n    role: a\n  - match: GET /x\nroutes: []\n"))
	for _, place := range []string{"p.yaml:5: match", "p.yaml:6: unknown key", "p.yaml:7: the route has no permission", `p.yaml:8: "routes" is given twice`} {
		require.ErrorContains(t, err, place)
	}
}

// TestParse_KnowsWhichRoutesAreHidden: these pairs look alike, and each second route can be
// reached.
func TestParse_KnowsWhichRoutesAreHidden(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"GET /x", "GET /x/**"},
		{"GET /x", "HEAD /x"},
		{"GET /x", "* /x"},
		{"GET /x/y", "GET /x"},
		{"GET /x", "GET /x/y"},
		{"GET /x/y", "GET /{workspace}/y"},
		{"GET /x/**", "GET /**"},
		{"GET /{workspace}", "GET /{workspace}/**"},
		{"GET /a/x/**", "GET /b/x"},
	} {
		routes := mapOf(t, "  - { match: '"+pair[0]+"', permission: a }\n  - { match: '"+pair[1]+"', permission: b }\n")
		require.Len(t, routes, 2)
	}
	for _, pair := range [][2]string{
		{"* /x", "GET /x"}, {"* /**", "* /{workspace}/y"}, {"GET /{workspace}", "GET /x"}, {"GET /x/**", "GET /x"}, {"GET /{workspace}/**", "GET /x/y/**"},
	} {
		_, err := Parse("p.yaml", []byte(head+"  - { match: '"+pair[0]+"', permission: a }\n  - { match: '"+pair[1]+"', permission: b }\n"))
		require.ErrorContains(t, err, "can't be reached", "%v", pair)
	}
}

func TestParse_WarnsOfUselessRoutes(t *testing.T) {
	t.Parallel()
	policy, err := Parse("p.yaml", []byte(head+"  - match: GET /x\n    permission: reports:write\n  - match: PUT /x\n    permission: org:reports:write\n  - match: PUT,DELETE /x\n    permission: a\n"))
	require.NoError(t, err)
	require.Equal(t, []string{
		"p.yaml:6: no role grants reports:write: no member can send such a request",
		"p.yaml:9: PUT,DELETE /x: PUT can't be reached: the route of line 7 (PUT /x) takes all such requests",
	}, policy.Warnings)
}

func TestPolicy_WritesItsRoutes(t *testing.T) {
	t.Parallel()
	want := mapOf(t, theRoutes)
	text, err := Policy{Grants: map[string][]string{"org:admin": {"a", "reports:read", "workspace:update"}}, Routes: want}.YAML()
	require.NoError(t, err)
	policy, err := Parse("p.yaml", text)
	require.NoError(t, err, string(text))
	for i := range want {
		want[i].Line = policy.Routes[i].Line
	}
	require.Equal(t, want, policy.Routes, string(text))
}

// FuzzRoutes: a route that isn't hidden can be reached, and a path that a route takes begins as its
// pattern does.
func FuzzRoutes(f *testing.F) {
	f.Add("GET /x/**", "GET /x", "/x/y")
	f.Add("* /w/{workspace}", "GET /w/a/**", "/W/a")
	f.Fuzz(func(t *testing.T, first, second, raw string) {
		quoted := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
		policy, err := Parse("p.yaml", []byte(head+"  - { match: "+quoted(first)+", permission: a }\n  - { match: "+quoted(second)+", permission: b }\n"))
		path, unread := ReadPath(raw)
		if err != nil || unread != nil {
			return
		}
		require.Len(t, policy.Routes, 2)
		for i := range policy.Routes {
			workspace, fit := policy.Routes[i].match(path)
			if fit != fitsExactly {
				continue
			}
			pattern := strings.TrimSuffix(strings.Replace(policy.Routes[i].Pattern, workspaceSegment, workspace, 1), restSegment)
			require.True(t, strings.HasPrefix("/"+strings.Join(path, "/")+"/", pattern), "%v %s", path, pattern)
		}
	})
}

// TestParse_TakesTheManualsRoutes, with the built-in roles.
func TestParse_TakesTheManualsRoutes(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/proxies.md")
	require.NoError(t, err)
	_, example, found := strings.Cut(string(document), "\n```yaml\nroutes:\n")
	require.True(t, found)
	example, _, _ = strings.Cut(example, "```")
	policy, err := Parse("p.yaml", append(builtIn, "\nroutes:\n"+example...))
	require.NoError(t, err)
	require.Empty(t, policy.Warnings)
	require.NotEmpty(t, policy.Routes)
}
