package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// operation is an operation of the document that this package serves.
type operation struct {
	method, path string
	item         *openapi3.PathItem
	*openapi3.Operation
}

// target is the operation's path with ids of no objects.
func (o operation) target() string {
	return strings.NewReplacer("{workspace_id}", "org_none", "{user_id}", "user_none", "{invitation_id}", "orginv_none").Replace(o.path)
}

// takes returns which kinds of tokens the operation takes according to the document.
func (o operation) takes(doc *openapi3.T) (users, services bool) {
	required := &doc.Security
	if o.Security != nil {
		required = o.Security
	}
	for _, one := range *required {
		_, user := one["sessionToken"]
		_, service := one["serviceToken"]
		users, services = users || user, services || service
	}
	return users, services
}

// doorTag is the tag of the doors of forward authentication. They answer about other requests than
// those that ask, so that the rules of all routes don't hold for them.
const doorTag = "forward-auth"

// actsForUsers reports whether services name the user whom they act for.
func (o operation) actsForUsers() bool {
	return o.Parameters.GetByInAndName(openapi3.ParameterInHeader, headerOnBehalfOf) != nil
}

func operations(t *testing.T) (*openapi3.T, []operation) {
	t.Helper()
	c := loadContract(t)
	all := []operation{}
	for path, item := range c.doc.Paths.Map() {
		for method, o := range item.Operations() {
			if path != "/webhooks/clerk" && !slices.Contains(o.Tags, doorTag) { // served by package webhooks; see TestDoors
				all = append(all, operation{method: method, path: path, item: item, Operation: o})
			}
		}
	}
	require.NotEmpty(t, all)
	return c.doc, all
}

// TestRoutes_TakeTheDocumentedTokens: only documented routes are served without a token, and users
// are refused on routes for services.
func TestRoutes_TakeTheDocumentedTokens(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	doc, all := operations(t)
	for _, o := range all {
		users, services := o.takes(doc)
		name := o.method + " " + o.path
		anonymous := b.send("", o.method, o.target(), "")
		if !users && !services {
			require.Equal(t, http.StatusOK, anonymous.status, name)
			continue
		}
		require.True(t, services, "%s: services may act for any user", name)
		requireProblem(t, anonymous, http.StatusUnauthorized, "")
		asUser := b.send("user_anybody", o.method, o.target(), "", "Content-Type", "application/json")
		require.NotEqual(t, http.StatusUnauthorized, asUser.status, name)
		require.Equal(t, !users, strings.Contains(string(asUser.body), errServicesOnly.Title), "%s: %s", name, asUser.body)
		asService := b.send(serviceToken, o.method, o.target(), "", "Content-Type", "application/json")
		require.Equal(t, o.actsForUsers(), strings.Contains(string(asService.body), errUsersOnly.Title), "%s: %s", name, asService.body)
	}
}

// TestRoutes_TakeTheDocumentedMethods: the header Allow lists them.
func TestRoutes_TakeTheDocumentedMethods(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	_, all := operations(t)
	for _, o := range all {
		has := []string{}
		for method := range o.item.Operations() {
			has = append(has, method)
			if method == http.MethodGet {
				has = append(has, http.MethodHead)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "PROPFIND"} {
			if slices.Contains(has, method) {
				continue
			}
			refused := b.send("user_anybody", method, o.target(), "")
			require.Equal(t, http.StatusMethodNotAllowed, refused.status)
			require.ElementsMatch(t, has, refused.header.Values("Allow"), "%s %s", method, o.path)
		}
	}
}

// TestRoutes_PathsAreTakenLiterally: paths that look like a route's are unknown, so that a proxy's
// rules about paths hold. The caller may use the route itself.
func TestRoutes_PathsAreTakenLiterally(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	_, all := operations(t)
	b.world.organization("org_none", "North", nil)
	b.world.member("org_none", "user_1", "org:admin", nil)
	unknown := []int{http.StatusNotFound, http.StatusMethodNotAllowed}
	for _, o := range all {
		target := o.target()
		send := func(target string) exchange {
			return b.send("user_1", o.method, target, "", "Content-Type", "application/json")
		}
		itself := send(target)
		require.NotContains(t, unknown, itself.status, "%s %s: %s", o.method, target, itself.body)
		lookAlikes := []string{
			target + "/", "/" + target, target + "/.", "/x/.." + target, strings.ToUpper(target), strings.Replace(target, "/", "/./", 1),
		}
		if !strings.HasSuffix(o.path, "}") { // otherwise it is another id
			lookAlikes = append(lookAlikes, target+";x", target+"%20", target+"%2F", target+"%00")
		}
		for _, lookAlike := range lookAlikes {
			x := send(lookAlike)
			require.Contains(t, unknown, x.status, "%s %s: %s", o.method, lookAlike, x.body)
		}
	}
}

// TestDocument_DescribesEachRouteWhole checks the path's parameters, the header
// Rolecall-On-Behalf-Of, and the answers that every route has.
func TestDocument_DescribesEachRouteWhole(t *testing.T) {
	t.Parallel()
	doc, all := operations(t)
	ids := map[string]string{}
	for _, o := range all {
		name := o.method + " " + o.path
		declared, headers := []string{}, []string{}
		for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
			switch p.Value.In {
			case openapi3.ParameterInPath:
				declared = append(declared, "{"+p.Value.Name+"}")
			case openapi3.ParameterInHeader:
				headers = append(headers, p.Value.Name)
			}
		}
		require.ElementsMatch(t, regexp.MustCompile(`\{[a-z_]+\}`).FindAllString(o.path, -1), declared, name)
		require.NotEmpty(t, o.OperationID, name)
		require.Empty(t, ids[o.OperationID], name)
		ids[o.OperationID] = name
		users, services := o.takes(doc)
		ofAuthZEN := slices.Contains(o.Tags, "authzen") // there, the body names the user
		require.Equal(t, users && services && !ofAuthZEN, slices.Contains(headers, headerOnBehalfOf), name)
		if !services {
			continue
		}
		for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable} {
			require.NotNil(t, o.Responses.Status(status), "%s: %d", name, status)
		}
		if len(declared) > 0 {
			require.NotNil(t, o.Responses.Status(http.StatusNotFound), name)
		}
	}
}

// TestRoutes_TakeTheDocumentedParameters: other parameters are refused, but the refusal doesn't
// show strangers that a workspace exists.
func TestRoutes_TakeTheDocumentedParameters(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	doc, all := operations(t)
	for _, o := range all {
		users, services := o.takes(doc)
		if !users && !services {
			continue
		}
		token, target := "user_1", strings.ReplaceAll(o.target(), "org_none", "org_1")
		if !users {
			token = serviceToken
		}
		refused := []string{"no_such=1", "%zz", "a;b"}
		if o.Parameters.GetByInAndName(openapi3.ParameterInQuery, paramMinRevision) == nil {
			refused = append(refused, paramMinRevision+"=0", paramMaxStaleness+"=1")
		}
		for _, query := range refused {
			refused := b.send(token, o.method, target+"?"+query, "")
			requireProblem(t, refused, http.StatusBadRequest, "")
			if name, _, named := strings.Cut(query, "="); named {
				require.Contains(t, string(refused.body), `The query parameter \"`+name+`\" is unknown`, "%s %s", o.method, o.path)
			}
			if users && strings.Contains(o.path, "{workspace_id}") {
				want := b.send("user_stranger", o.method, target, "")
				require.Equal(t, http.StatusNotFound, want.status)
				x := b.send("user_stranger", o.method, target+"?"+query, "")
				require.Equal(t, want.body, x.body)
				require.Equal(t, want.status, x.status)
			}
		}
	}
}

// TestRoutes_AnswerHEADAsGET: with the same status and the same headers, also to refused callers.
func TestRoutes_AnswerHEADAsGET(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_none", "user_1", "org:admin", nil)
	_, all := operations(t)
	for _, o := range all {
		if o.method != http.MethodGet {
			continue
		}
		target := o.target()
		if o.path == "/v1/authorize" {
			target = authorizeTarget("org_none", "members:read")
		}
		for _, token := range []string{"user_1", "user_stranger", "", reads, serviceToken + "/scopes=commands"} {
			get, head := b.send(token, http.MethodGet, target, ""), b.send(token, http.MethodHead, target, "")
			require.Equal(t, get.status, head.status, "%s as %q", target, token)
			for _, x := range []exchange{get, head} {
				x.header.Del("Date")
				x.header.Del("Content-Length") // net/http may leave it out for HEAD
			}
			require.Equal(t, get.header, head.header, "%s as %q", target, token)
			if tag := get.header.Get("ETag"); tag != "" {
				require.Equal(t, http.StatusNotModified, b.send(token, http.MethodHead, target, "", "If-None-Match", tag).status)
			}
		}
	}
}

// TestRoutes_UnknownOnesSaySo: to everybody, and unlike a workspace to which the caller has no
// access.
func TestRoutes_UnknownOnesSaySo(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for _, token := range []string{"", "user_stranger", serviceToken} {
		for _, target := range []string{"/", "/v1", "/v1/authorise", "/v2/me", "/v1/workspaces/org_1/member", "/v1/me/"} {
			requireType(t, b.get(token, target), http.StatusNotFound, "unknown-route")
			require.Equal(t, http.StatusNotFound, b.send(token, http.MethodHead, target, "").status)
		}
	}
	requireType(t, b.get("user_stranger", "/v1/workspaces/org_1"), http.StatusNotFound, "not-found")
}

// TestQuery_NamesTheUnknownParameter: readably, and the same one each time.
func TestQuery_NamesTheUnknownParameter(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for query, want := range map[string]string{
		"limit=1&zeta=1&Limit=2&cursr=": `The query parameter "Limit" is unknown: this route takes the query parameters limit, cursor.`,
		"%E2%80%AE%0A=1":                `The query parameter "\u202e\n" is unknown: this route takes the query parameters limit, cursor.`,
		strings.Repeat("x", 61) + "=":   `The query parameter "` + strings.Repeat("x", 60) + `" is unknown: this route takes the query parameters limit, cursor.`,
		"=1":                            `The query parameter "" is unknown: this route takes the query parameters limit, cursor.`,
	} {
		x := b.get("user_1", "/v1/me?"+query)
		requireType(t, x, http.StatusBadRequest, "bad-request")
		var body problem
		require.NoError(t, json.Unmarshal(x.body, &body))
		require.Equal(t, want, body.Detail)
	}
	x := b.send("user_1", http.MethodPost, "/v1/workspaces?name=North", `{}`, "Content-Type", "application/json")
	require.Contains(t, string(x.body), `this route takes no query parameters.`)
}
