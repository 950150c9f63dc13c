package api

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gorilla/mux"
	"github.com/stretchr/testify/require"
)

func TestDocument_IsValidWithItsExamples(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	require.True(t, c.doc.IsOpenAPI31OrLater())
	require.NoError(t, c.doc.Validate(t.Context()))
}

// TestDocument_HasExamples: every request, every success and every problem has an example.
func TestDocument_HasExamples(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.RequestBody != nil && path != "/webhooks/clerk" { // Clerk's own
				for kind, media := range operation.RequestBody.Value.Content {
					require.True(t, media.Example != nil || len(media.Examples) > 0, "%s %s %s", method, path, kind)
				}
			}
			for status, response := range operation.Responses.Map() {
				for kind, media := range response.Value.Content {
					require.True(t, media.Example != nil || len(media.Examples) > 0, "%s %s %s %s", method, path, status, kind)
				}
			}
		}
	}
}

// TestDocument_ParameterExamplesAreValid: kin-openapi doesn't validate the examples within schemas.
func TestDocument_ParameterExamplesAreValid(t *testing.T) {
	t.Parallel()
	_, all := operations(t)
	seen := 0
	for _, o := range all {
		for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
			for _, example := range p.Value.Schema.Value.Examples {
				seen++
				require.NoError(t, p.Value.Schema.Value.VisitJSON(example, openapi3.EnableJSONSchema2020()), "%s %s: %s", o.method, o.path, p.Value.Name)
			}
		}
	}
	require.Positive(t, seen)
}

// TestDocument_SuitsGenerators: generators of clients depend on these habits. An operation's id
// becomes a function's name, and so begins with a verb. Schemas, parameters and responses become
// types of one name space. A default in a request's body makes the member required in TypeScript.
func TestDocument_SuitsGenerators(t *testing.T) {
	t.Parallel()
	doc, all := operations(t)
	verb := regexp.MustCompile(`^(get|list|search|create|rename|set|remove|invite|revoke|append|export|authorize|evaluate|explain|receive)([A-Z]|$)`)
	for _, o := range all {
		require.Regexp(t, verb, o.OperationID, "%s %s", o.method, o.path)
		if o.RequestBody == nil {
			continue
		}
		for _, media := range o.RequestBody.Value.Content {
			for name, member := range media.Schema.Value.Properties {
				require.Nil(t, member.Value.Default, "%s: %s", o.OperationID, name)
			}
		}
	}
	names := slices.Concat(
		slices.Collect(maps.Keys(doc.Components.Schemas)), slices.Collect(maps.Keys(doc.Components.Parameters)), slices.Collect(maps.Keys(doc.Components.Responses)),
	)
	slices.Sort(names)
	require.Equal(t, slices.Compact(slices.Clone(names)), names)
}

// TestDocument_ListsTheRoutes compares the router with the document, both ways.
func TestDocument_ListsTheRoutes(t *testing.T) {
	t.Parallel()
	const elsewhere = "POST /webhooks/clerk" // routed by package main; documented for readers
	c := loadContract(t)
	documented := []string{}
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	routed := []string{elsewhere, "GET " + extAuthz + "/{path}"} // the latter before the router, for any method
	s := &server{cfg: Config{}.withDefaults()}
	require.NoError(t, s.router().Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		require.NoError(t, err)
		methods, err := route.GetMethods()
		require.NoError(t, err, "%s takes any method", path)
		require.Equal(t, slices.Contains(methods, http.MethodGet), slices.Contains(methods, http.MethodHead), "%s: HEAD works where GET does", path)
		for _, method := range methods {
			if method == http.MethodHead { // documented as GET
				continue
			}
			routed = append(routed, method+" "+path)
		}
		return nil
	}))
	slices.Sort(documented)
	slices.Sort(routed)
	require.Equal(t, documented, routed)
}

// TestContract_SeesDrift: the check that every test goes through fails if the answer isn't as
// documented.
func TestContract_SeesDrift(t *testing.T) {
	t.Parallel()
	c := loadContract(t)
	const good = `{"user_id":"user_1","workspaces":[{"workspace_id":"org_1","name":"","slug":null,"role":"org:admin","permissions":[]}]}`
	const notFound = `{"type":"urn:rolecall:problem:not-found","title":"","status":404}`
	const unknownRoute = `{"type":"urn:rolecall:problem:unknown-route","title":"","status":404}`
	and := func(header http.Header, name, value string) http.Header {
		header.Add(name, value)
		return header
	}
	header := func(kind string) http.Header {
		return http.Header{"Content-Type": {kind}, "Etag": {`"a"`}, "Cache-Control": {"private, no-cache"}, "Vary": {"Authorization, " + headerOnBehalfOf}}
	}
	tests := map[string]struct {
		method, target string
		status         int
		header         http.Header
		body           string
		ok             bool
	}{
		"as documented":    {"GET", "/v1/me", 200, header("application/json"), good, true},
		"no tag":           {"GET", "/v1/me", 200, http.Header{"Content-Type": {"application/json"}}, good, false},
		"additional":       {"GET", "/v1/me", 200, header("application/json"), `{"user_id":"user_1","workspaces":[],"x":1}`, false},
		"missing":          {"GET", "/v1/me", 200, header("application/json"), `{"user_id":"user_1"}`, false},
		"null":             {"GET", "/v1/me", 200, header("application/json"), `{"user_id":"user_1","workspaces":null}`, false},
		"type":             {"GET", "/v1/me", 200, header("text/html"), good, false},
		"status":           {"GET", "/v1/me", 204, header("application/json"), good, false},
		"no revision":      {"GET", "/v1/workspaces/org_1/me", 200, header("application/json"), `{"user_id":"user_1","workspace_id":"org_1","role":"r","permissions":[]}`, false},
		"another problem":  {"GET", "/v1/workspaces/org_1", 404, header("application/problem+json"), `{"type":"urn:rolecall:problem:internal","title":"","status":404}`, false},
		"unknown problem":  {"GET", "/nowhere", 404, header("application/problem+json"), `{"type":"about:blank","title":"","status":404}`, false},
		"success nowhere":  {"GET", "/nowhere", 200, header("application/json"), `{}`, false},
		"no request input": {"GET", "/v1/authorize", 200, header("application/json"), `{}`, false},
		"another header":   {"GET", "/v1/me", 200, and(header("application/json"), "X-Other", "1"), good, false},
		"unknown route":    {"GET", "/nowhere", 404, http.Header{"Content-Type": {"application/problem+json"}}, unknownRoute, true},
		"of a known one":   {"GET", "/v1/workspaces/org_1", 404, http.Header{"Content-Type": {"application/problem+json"}}, unknownRoute, false},
		"HEAD":             {"HEAD", "/v1/me", 200, header("application/json"), "", true},
		"HEAD with a body": {"HEAD", "/v1/me", 200, header("application/json"), good, false},
		"header of a 404":  {"GET", "/nowhere", 404, http.Header{"Content-Type": {"application/problem+json"}, "Etag": {`"a"`}}, notFound, false},
		"a tag twice":      {"GET", "/v1/me", 200, and(header("application/json"), "Etag", `"b"`), good, false},
		"the tag alone":    {"GET", "/v1/me", 304, header("application/json"), "", true},
		"304 without it":   {"GET", "/v1/me", 304, http.Header{}, "", false},
		"304 with a body":  {"GET", "/v1/me", 304, header("application/json"), good, false},
		"304 of an export": {"GET", "/v1/workspaces/org_1/audit/export", 304, header("application/json"), "", false},
		"204 with a body":  {"DELETE", "/v1/workspaces/org_1/members/user_1", 204, http.Header{"Rolecall-Revision": {"1"}}, good, false},
		"204":              {"DELETE", "/v1/workspaces/org_1/members/user_1", 204, http.Header{"Rolecall-Revision": {"1"}}, "", true},
		"a parameter":      {"GET", "/v1/me?x=1", 200, header("application/json"), good, false},
		"another status":   {"GET", "/nowhere", 404, header("application/problem+json"), `{"type":"urn:rolecall:problem:not-found","title":"","status":403}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := exchange{
				request: httptest.NewRequestWithContext(t.Context(), test.method, test.target, http.NoBody),
				status:  test.status, header: test.header, body: []byte(test.body),
			}
			if err := c.violation(t, x); test.ok {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
}

func TestDocument_IsServedToAnyCaller(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	x := b.get("", "/openapi.yaml")
	require.Equal(t, http.StatusOK, x.status)
	require.Equal(t, openAPI, x.body)
}
