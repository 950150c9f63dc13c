package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	clerksync "github.com/callmine/rolecall/sync"
)

// doorRoutes are the route map of these tests.
const doorRoutes = `roles:
  org:member: [reports:read]
  org:admin: [reports:read, workspace:update, members:read, members:manage, audit:read]
routes:
  - { match: 'GET,HEAD /w/{workspace}/reports/**', permission: reports:read }
  - { match: '* /w/{workspace}/settings/**', permission: workspace:update }
  - { match: '* /dashboard', permission: reports:read }
  - { match: GET /api/**, permission: reports:read, workspace: header X-Workspace-Id }
  - { match: GET /host/**, permission: reports:read, workspace: host }
  - { match: 'GET /healthz', public: true }
deny_impersonators: [workspace:update]
`

// doorAuthenticator reads tokens that may stand in cookies. user_1.org_1.user_2.sess_1 are the
// user, the active organization, the impersonator, and the session. The last ones may be left out.
type doorAuthenticator struct{ tokenAuthenticator }

func (a doorAuthenticator) Authenticate(ctx context.Context, r *http.Request) (auth.Identity, error) {
	token, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bears || !strings.HasPrefix(token, "user_") {
		if token == "expired" {
			return auth.Identity{}, &auth.Error{Reason: auth.ReasonExpired}
		}
		return a.tokenAuthenticator.Authenticate(ctx, r)
	}
	parts := append(strings.Split(token, "."), "", "", "")
	return auth.Identity{UserID: parts[0], ActiveOrganization: parts[1], Impersonator: parts[2], SessionID: parts[3]}, nil
}

const ownPage = "https://app.callmine.test"

// setupDoors serves the API with a route map, to members of org_1: user_1, and the admin user_2.
func setupDoors(t testing.TB, change func(*Config)) *serverBundle {
	t.Helper()
	rules, err := policy.Parse("p.yaml", []byte(doorRoutes))
	require.NoError(t, err)
	require.Empty(t, rules.Warnings)
	b := setupServer(t, func(c *Config) {
		c.Policy = func() *policy.Policy { return &rules }
		c.Authenticator = doorAuthenticator{}
		c.Cookies = auth.SessionCookies{Issuer: "https://clerk.callmine.test", AuthorizedParties: []string{ownPage}}
		c.SignInURL = &url.URL{Scheme: "https", Host: "accounts.callmine.test", Path: "/sign-in", RawQuery: "theme=dark"}
		if change != nil {
			change(c)
		}
	})
	b.world.organization("org_1", "North", map[string]any{"slug": "north"})
	b.world.member("org_1", "user_1", "org:member", nil)
	b.world.member("org_1", "user_2", "org:admin", nil)
	return b
}

// askDoor asks at a door about a request: by X-Forwarded-*, by X-Original-*, or as Envoy does.
func (b *serverBundle) askDoor(door, token, method, target string, headers ...string) exchange {
	b.tb.Helper()
	switch door {
	case "forwarded":
		return b.get(token, "/v1/forward-auth", append([]string{headerForwardedMethod, method, headerForwardedURI, target}, headers...)...)
	case "original":
		return b.get(token, "/v1/forward-auth", append([]string{headerOriginalMethod, method, headerOriginalURI, target}, headers...)...)
	default:
		return b.envoy(token, method, extAuthz+target, headers...)
	}
}

// envoy sends a request whose target no library may change. The header Host is its host.
func (b *serverBundle) envoy(token, method, target string, headers ...string) exchange {
	b.tb.Helper()
	request := httptest.NewRequestWithContext(b.tb.Context(), http.MethodGet, "/", http.NoBody)
	request.Method, request.RequestURI = method, target
	if read, err := url.ParseRequestURI(target); err == nil {
		request.URL = read
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		} else {
			request.Header.Add(headers[i], headers[i+1])
		}
	}
	return b.serve(request)
}

// requireRefusal requires a problem of a type.
func requireRefusal(t *testing.T, x exchange, status int, kind string) {
	t.Helper()
	require.Equal(t, status, x.status, "%s", x.body)
	var body problem
	require.NoError(t, json.Unmarshal(x.body, &body))
	require.Equal(t, problemType+kind, body.Type, "%s", x.body)
}

// requireAdmitted requires a 200 that names the caller: user, workspace, role, permission and
// impersonator, each in one header that is there even if it is empty.
func requireAdmitted(t *testing.T, x exchange, named ...string) {
	t.Helper()
	require.Equal(t, http.StatusOK, x.status, "%s", x.body)
	require.Empty(t, x.body)
	var got []string
	for _, name := range []string{headerUser, headerWorkspace, headerRole, headerPermission, headerImpersonator} {
		require.Len(t, x.header[name], 1, name)
		got = append(got, x.header[name][0])
	}
	require.Equal(t, append(named, make([]string, 5-len(named))...), got)
}

func doors() []string { return []string{"forwarded", "original", "envoy"} }

func TestDoors_DecideByTheRouteMap(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	for _, door := range doors() {
		requireAdmitted(t, b.askDoor(door, "user_1", "GET", "/w/org_1/reports/81?x=%2e%2e/..;//"), "user_1", "org_1", "org:member", "reports:read")
		requireAdmitted(t, b.askDoor(door, "user_1", "HEAD", "/w/org_1/reports"), "user_1", "org_1", "org:member", "reports:read")
		requireAdmitted(t, b.askDoor(door, "user_2", "PROPFIND", "/w/org_1/settings/a/b"), "user_2", "org_1", "org:admin", "workspace:update")
		requireAdmitted(t, b.askDoor(door, "user_1.org_1", "PUT", "/dashboard"), "user_1", "org_1", "org:member", "reports:read")
		requireAdmitted(t, b.askDoor(door, "user_1.org_1.user_support", "PUT", "/dashboard"), "user_1", "org_1", "org:member", "reports:read", "user_support")
		requireAdmitted(t, b.askDoor(door, "", "GET", "/healthz"))
		requireAdmitted(t, b.askDoor(door, "user_1.org_1", "GET", "/healthz"))
		requireAdmitted(t, b.askDoor(door, "nonsense", "GET", "/healthz"))

		requireRefusal(t, b.askDoor(door, "user_1", "POST", "/w/org_1/reports"), 404, "no-route")
		requireRefusal(t, b.askDoor(door, "", "GET", "/elsewhere"), 404, "no-route")
		requireRefusal(t, b.askDoor(door, "user_1", "GET", "/"), 404, "no-route")
		requireRefusal(t, b.askDoor(door, "user_1", "POST", "/healthz"), 404, "no-route")
		requireRefusal(t, b.askDoor(door, "", "GET", "/w/org_1/reports"), 401, "unauthenticated")
		requireRefusal(t, b.askDoor(door, "nonsense", "GET", "/w/org_1/reports"), 401, "unauthenticated")
		requireRefusal(t, b.askDoor(door, "user_1", "GET", "/w/org_1/settings"), 403, "forbidden")
		requireProblem(t, b.askDoor(door, "user_2..user_support", "GET", "/w/org_1/settings"), 403, clerksync.ReasonImpersonationDenied)
		requireRefusal(t, b.askDoor(door, "user_1", "GET", "/dashboard"), 403, "no-active-workspace")
		requireRefusal(t, b.askDoor(door, "user_9", "GET", "/w/org_1/reports"), 404, "not-found")
		requireRefusal(t, b.askDoor(door, "user_9.org_1", "GET", "/dashboard"), 404, "not-found")
		requireRefusal(t, b.askDoor(door, "user_1", "GET", "/w/org_none/reports"), 404, "not-found")
		requireRefusal(t, b.askDoor(door, serviceToken, "GET", "/w/org_1/reports", headerOnBehalfOf, "user_2"), 403, "forbidden")
		requireRefusal(t, b.askDoor(door, keysAwayToken, "GET", "/w/org_1/reports"), 503, "unavailable")
		require.Contains(t, b.logs.take(), "keys_unavailable")
	}
	require.NotEmpty(t, b.askDoor("forwarded", "user_1", "GET", "/w/org_1/reports").header.Get(headerRevision))
	b.world.remove("org_1", "user_1")
	requireRefusal(t, b.askDoor("envoy", "user_1", "GET", "/w/org_1/reports"), 404, "not-found")
}

func TestDoors_WithoutRoutesAdmitNobody(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for _, door := range doors() {
		requireRefusal(t, b.askDoor(door, "user_1", "GET", "/"), 404, "no-route")
	}
}

// TestDoors_RefuseWhatCanBeReadTwice: package policy has the whole list.
func TestDoors_RefuseWhatCanBeReadTwice(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	for _, door := range doors() {
		for _, target := range []string{
			"/w/org_1/reports/../settings", "/w/org_1/reports/%2e%2e/settings", "/w/org_1/reports%2f81", "/w/org_1//reports", "/w/org_1/reports;x", "/w/org_1/reports/%25", "/w/org_1/reports/%zz",
			"/w/org_1/reports/\x01", "/w/org_1/reports/%ff", "/w/org_1/reports#x", "/w/org_1/reports/" + strings.Repeat("x", 9<<10), "//", "/w/org_1/reports?_method=DELETE",
			"/w/org_1/reports?a&_METHOD=put", "/w/org_1/reports?%5fmethod=PUT", "/w/org_1/reports?a;_method=PUT", "/w/org_1/reports?_method=GET&_method=PUT", "/w/org_1/reports?.method=PUT", "/w/org_1/reports?%zz&+_method=PUT",
			"/w/org_1/reports?_method%00=PUT", "/w/org_1/reports?_method%00%zz=PUT",
		} {
			if door != "envoy" && strings.Contains(target, "\x01") {
				continue // no client of HTTP sends it
			}
			requireRefusal(t, b.askDoor(door, "user_2", "GET", target), 400, "bad-request")
		}
		for _, override := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X_HTTP_Method_Override"} {
			requireRefusal(t, b.askDoor(door, "user_2", "GET", "/w/org_1/reports", override, "DELETE"), 400, "bad-request")
			requireRefusal(t, b.askDoor(door, "user_2", "GET", "/w/org_1/reports", override, "GET", override, "PUT"), 400, "bad-request")
			require.Equal(t, 200, b.askDoor(door, "user_2", "GET", "/w/org_1/reports", override, "get").status)
		}
		require.Equal(t, 200, b.askDoor(door, "user_2", "GET", "/w/org_1/reports?_method=get&x_method=PUT&_methods=PUT").status)
		for _, method := range []string{"get", "GET,PUT", "GET1"} {
			requireRefusal(t, b.askDoor(door, "user_2", method, "/w/org_1/reports"), 400, "bad-request")
		}
	}
	for _, target := range []string{"/v1/ext-authz//w", "/v1/ext-authz/../authorize", "/v1/ext-authz/..", "/v1/ext-authz/%2e%2e/me"} {
		requireRefusal(t, b.envoy("user_2", "GET", target), 400, "bad-request")
	}
	for _, target := range []string{
		"/v1/ext-authz", "/v1/ext-authzx", "//v1/ext-authz/healthz", "/V1/EXT-AUTHZ/healthz", "/v1/ext%2dauthz/healthz", "http://rolecall/v1/ext-authz/healthz",
	} { // not through the contract, which knows no such paths
		recorder := httptest.NewRecorder()
		b.handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody))
		require.Equal(t, 404, recorder.Code, "%s: the door is taken literally", target)
	}
}

func TestForwardAuth_ReadsOneFamilyOfHeaders(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	const good, other = "/w/org_1/reports", "/healthz"
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"both agree":               {[]string{headerForwardedMethod, "GET", headerForwardedURI, good, headerOriginalMethod, "GET", headerOriginalURI, good}, 200},
		"one of the other":         {[]string{headerForwardedMethod, "GET", headerOriginalMethod, "GET", headerOriginalURI, good}, 200},
		"nothing":                  {nil, 400},
		"no method":                {[]string{headerForwardedURI, good}, 400},
		"no target":                {[]string{headerOriginalMethod, "GET"}, 400},
		"half of each":             {[]string{headerForwardedMethod, "GET", headerOriginalURI, good}, 400},
		"the other half":           {[]string{headerForwardedURI, good, headerOriginalMethod, "GET"}, 400},
		"methods disagree":         {[]string{headerForwardedMethod, "GET", headerForwardedURI, good, headerOriginalMethod, "PUT", headerOriginalURI, good}, 400},
		"targets disagree":         {[]string{headerForwardedMethod, "GET", headerForwardedURI, good, headerOriginalMethod, "GET", headerOriginalURI, other}, 400},
		"a disagreeing half":       {[]string{headerForwardedURI, other, headerOriginalMethod, "GET", headerOriginalURI, good}, 400},
		"an empty half":            {[]string{headerForwardedURI, "", headerOriginalMethod, "GET", headerOriginalURI, good}, 400},
		"method twice":             {[]string{headerForwardedMethod, "GET", headerForwardedMethod, "GET", headerForwardedURI, good}, 400},
		"target twice":             {[]string{headerForwardedMethod, "GET", headerForwardedURI, good, headerForwardedURI, good}, 400},
		"host twice":               {[]string{headerForwardedMethod, "GET", headerForwardedURI, good, headerForwardedHost, "a", headerForwardedHost, "a"}, 400},
		"hosts in one":             {[]string{headerForwardedMethod, "GET", headerForwardedURI, good, headerForwardedHost, "a, b"}, 400},
		"no host":                  {[]string{headerForwardedMethod, "GET", headerForwardedURI, good, headerForwardedHost, "a/b"}, 400},
		"original method twice":    {[]string{headerOriginalMethod, "GET", headerOriginalMethod, "GET", headerOriginalURI, good}, 400},
		"original target twice":    {[]string{headerOriginalMethod, "GET", headerOriginalURI, good, headerOriginalURI, good}, 400},
		"an absolute target":       {[]string{headerForwardedMethod, "GET", headerForwardedURI, "http://x" + good}, 400},
		"underscores":              {[]string{"X_Forwarded_Method", "GET", "X_Forwarded_Uri", good}, 400},
		"another service's header": {[]string{headerOriginalMethod, "GET", "X-Original-URL", good}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.status, b.get("user_1", "/v1/forward-auth", test.headers...).status)
		})
	}
}

// TestDoors_IgnoreQueries: Caddy adds the client's query to the question. A demand of freshness in
// it would be the client's.
func TestDoors_IgnoreQueries(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	for _, query := range []string{"?q=1&q=2", "?min_revision=999", "?max_staleness=1", "?%zz"} {
		x := b.get("user_1", "/v1/forward-auth"+query, headerForwardedMethod, "GET", headerForwardedURI, "/w/org_1/reports"+query)
		require.Equal(t, 200, x.status, "%s", x.body)
		require.Equal(t, 200, b.askDoor("envoy", "user_1", "GET", "/w/org_1/reports"+query).status)
	}
}

func TestDoors_FindTheWorkspace(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	b.world.organization("org_twin1", "A", map[string]any{"slug": "twin"})
	b.world.organization("org_twin2", "B", map[string]any{"slug": "twin"})
	b.world.member("org_twin1", "user_1", "org:member", nil)
	b.world.organization("org_heir", "C", map[string]any{"slug": "heir"})
	b.world.organization("org_late", "D", map[string]any{"slug": "heir"})
	b.world.deleteOrganization("org_late")
	b.world.member("org_heir", "user_1", "org:member", nil)
	for _, test := range []struct {
		host   []string
		status int
	}{
		{[]string{"north.callmine.test"}, 200},
		{[]string{"NORTH.callmine.test:8443"}, 200},
		{[]string{"north"}, 200},
		{[]string{"heir.x"}, 200},
		{[]string{"twin.callmine.test"}, 404},
		{[]string{"south.callmine.test"}, 404},
		{[]string{"www.north.test"}, 404},
		{[]string{"127.0.0.1"}, 404},
		{[]string{"[::1]:80"}, 404},
		{[]string{".north.test"}, 404},
		{[]string{"north,x"}, 400},
		{[]string{"north x"}, 400},
		{[]string{"north/x"}, 400},
		{[]string{"north", "north"}, 400},
	} {
		var headers []string
		for _, host := range test.host {
			headers = append(headers, headerForwardedHost, host)
		}
		require.Equal(t, test.status, b.askDoor("forwarded", "user_1", "GET", "/host/x", headers...).status, "%q", test.host)
		require.Equal(t, test.status, b.askDoor("original", "user_1", "GET", "/host/x", headers...).status, "%q", test.host)
		if len(test.host) == 1 {
			require.Equal(t, test.status, b.askDoor("envoy", "user_1", "GET", "/host/x", "Host", test.host[0]).status, "%q", test.host)
		}
	}
	require.Equal(t, 404, b.askDoor("envoy", "user_1", "GET", "/host/x", "Host", "south.test", headerForwardedHost, "north.test").status, "Envoy's Host counts alone")
	for _, door := range doors() {
		for _, test := range []struct {
			headers []string
			status  int
		}{
			{[]string{"X-Workspace-Id", "org_1"}, 200},
			{[]string{"x-workspace-id", "org_1"}, 200},
			{[]string{"X-Workspace-Id", "org_2"}, 404},
			{nil, 400},
			{[]string{"X-Workspace-Id", ""}, 400},
			{[]string{"X-Workspace-Id", "org_1", "X-Workspace-Id", "org_1"}, 400},
			{[]string{"X-Workspace-Id", "org_1,org_2"}, 400},
			{[]string{"X-Workspace-Id", "org_1 org_2"}, 400},
			{[]string{"X-Workspace-Id", "org_1", "X_Workspace_Id", "org_2"}, 400},
			{[]string{"X_Workspace_Id", "org_1"}, 400},
		} {
			require.Equal(t, test.status, b.askDoor(door, "user_1", "GET", "/api/x", test.headers...).status, "%s %q", door, test.headers)
		}
	}
}

// TestDoors_ReadCookies, and no other route does.
func TestDoors_ReadCookies(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	const cookie = "__session=user_1.org_1"
	for _, door := range doors() {
		requireAdmitted(t, b.askDoor(door, "", "GET", "/dashboard", "Cookie", cookie), "user_1", "org_1", "org:member", "reports:read")
		require.Equal(t, 404, b.askDoor(door, "user_9.org_1", "GET", "/dashboard", "Cookie", cookie).status, "the header wins")
		require.Equal(t, 401, b.askDoor(door, "nonsense", "GET", "/dashboard", "Cookie", cookie).status, "the header wins")
		require.Equal(t, 401, b.askDoor(door, "", "GET", "/dashboard", "Cookie", "__session=user_1.org_1; __session=user_2.org_1").status)
		require.Equal(t, 401, b.askDoor(door, "", "GET", "/dashboard", "Cookie", "__session="+serviceToken, headerOnBehalfOf, "user_2").status)
	}
	require.Contains(t, b.logs.take(), `"reason":"cookie"`)
	for _, target := range []string{"/v1/me", authorizeTarget("org_1", "reports:read"), "/v1/workspaces/org_1"} {
		require.Equal(t, 401, b.get("", target, "Cookie", cookie).status, target)
	}
	without := setupDoors(t, func(c *Config) { c.Cookies.AuthorizedParties = nil })
	require.Equal(t, 401, without.askDoor("forwarded", "", "GET", "/dashboard", "Cookie", cookie).status, "any sub-domain could plant it")
}

// TestDoors_CookiesChangeNothingForOtherSites (CSRF).
func TestDoors_CookiesChangeNothingForOtherSites(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	const cookie = "__session=user_1.org_1"
	for _, test := range []struct {
		method  string
		headers []string
		status  int
	}{
		{"GET", nil, 200},
		{"HEAD", nil, 200},
		{"GET", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"POST", nil, 403},
		{"DELETE", nil, 403},
		{"OPTIONS", nil, 403},
		{"QUERY", nil, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"POST", []string{"Origin", ownPage}, 200},
		{"POST", []string{"Origin", ownPage, "Sec-Fetch-Site", "same-site"}, 200},
		{"POST", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "none"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "Same-Origin"}, 403},
		{"POST", []string{"Origin", "https://evil.test"}, 403},
		{"POST", []string{"Origin", "null"}, 403},
		{"POST", []string{"Origin", ownPage + ".evil.test"}, 403},
		{"POST", []string{"Origin", ownPage, "Origin", "https://evil.test"}, 403},
		{"POST", []string{"Referer", ownPage + "/x"}, 403},
		{"GET", []string{"Sec-WebSocket-Key", "x"}, 403},
		{"GET", []string{"Sec-WebSocket-Key", "x", "Origin", ownPage}, 200},
		{"GET", []string{"Sec-WebSocket-Version", "13"}, 403}, // by HTTP/2, without a key
		{"GET", []string{"Sec-WebSocket-Version", "13", "Origin", "https://evil.test"}, 403},
		{"GET", []string{"Sec-WebSocket-Version", "13", "Origin", ownPage}, 200},
	} {
		for _, door := range doors() {
			x := b.askDoor(door, "", test.method, "/dashboard", append([]string{"Cookie", cookie}, test.headers...)...)
			require.Equal(t, test.status, x.status, "%s %+v", door, test)
			if test.status == 403 {
				requireRefusal(t, x, 403, "cross-site")
			}
			require.Equal(t, 200, b.askDoor(door, "user_1.org_1", test.method, "/dashboard", append([]string{"Cookie", cookie}, test.headers...)...).status, "no browser sends Authorization by itself")
		}
	}
}

func TestDoors_SendBrowsersToTheSignInPage(t *testing.T) {
	t.Parallel()
	b := setupDoors(t, nil)
	b.world.endSession(clerksync.SessionRevoked, "sess_9")
	page := []string{"Accept", "text/html,application/xhtml+xml;q=0.9", headerForwardedHost, "app.callmine.test", "Host", "app.callmine.test"}
	at := func(original string) string {
		return "https://accounts.callmine.test/sign-in?" + url.Values{"redirect_url": {original}, "theme": {"dark"}}.Encode()
	}
	for _, door := range []string{"forwarded", "envoy"} { // both with the Host that counts
		sent := func(method, target string, headers ...string) exchange {
			if door == "forwarded" {
				headers = headers[:max(0, len(headers)-2)] // without Host
			}
			return b.askDoor(door, "", method, target, headers...)
		}
		x := sent("GET", "/dashboard?a=b&redirect_url=https://evil.test", page...)
		require.Equal(t, 302, x.status)
		require.Equal(t, at("https://app.callmine.test/dashboard?a=b&redirect_url=https://evil.test"), x.header.Get("Location"))
		require.Empty(t, x.body)
		plain := append([]string{headerForwardedProto, "http", "Cookie", "__session=expired"}, page...)
		require.Equal(t, at("http://app.callmine.test/dashboard"), sent("GET", "/dashboard", plain...).header.Get("Location"))

		for _, other := range [][]string{{"POST", "/dashboard"}, {"HEAD", "/dashboard"}} {
			require.Equal(t, 401, sent(other[0], other[1], page...).status, "%v", other)
		}
		ended := append([]string{"Cookie", "__session=user_1.org_1..sess_9"}, page...)
		require.Equal(t, at("https://app.callmine.test/dashboard"), sent("GET", "/dashboard", ended...).header.Get("Location"))
		require.Equal(t, 401, sent("HEAD", "/w/org_1/reports", ended...).status)
		requireRefusal(t, b.askDoor(door, "user_1.org_1..sess_9", "POST", "/dashboard"), 401, "session-ended")

		require.Equal(t, 401, sent("GET", "/dashboard", append([]string{"Cookie", "__session=nonsense"}, page...)...).status, "signing in wouldn't help")
		require.Equal(t, 400, sent("GET", "//evil.test/dashboard", page...).status)
		require.Equal(t, 400, sent("GET", `/\evil.test`, page...).status)
		require.Equal(t, 404, sent("GET", "/elsewhere", page...).status)
		require.Equal(t, 401, sent("GET", "/dashboard", append([]string{"Accept", "application/json, */*"}, page[2:]...)...).status)
		require.Equal(t, 401, sent("GET", "/dashboard", append([]string{"Accept", "text/htmlx"}, page[2:]...)...).status)
	}
	for _, host := range []string{"evil.test/x", "user@evil.test", "evil.test#", "a, b", `evil.test\`, "evil.test?"} {
		require.Equal(t, 400, b.askDoor("forwarded", "", "GET", "/dashboard", "Accept", "text/html", headerForwardedHost, host).status, host)
	}
	require.Equal(t, 403, b.askDoor("forwarded", "user_1", "GET", "/dashboard", "Accept", "text/html").status, "the session is good")
	without := setupDoors(t, func(c *Config) { c.SignInURL = nil })
	require.Equal(t, 401, without.askDoor("forwarded", "", "GET", "/dashboard", "Accept", "text/html").status)
}

// FuzzDoors: a question is refused as the caller's fault or has one reading, and only the public
// route's own requests find it.
func FuzzDoors(f *testing.F) {
	f.Add("GET", "/w/org_1/reports", "north.test", "GET")
	f.Add("GET", "/healthz?_method=PUT", "", "DELETE")
	rules, err := policy.Parse("p.yaml", []byte(doorRoutes))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, method, target, host, override string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/forward-auth", http.NoBody)
		r.Header = http.Header{
			headerForwardedMethod: {method}, headerForwardedURI: {target}, headerForwardedHost: {host}, "X-Http-Method": {override},
		}
		q, err := readForwarded(r)
		if err != nil {
			p, ours := problemFor(err)
			require.Equal(t, http.StatusBadRequest, p.Status)
			require.False(t, ours)
			return
		}
		require.True(t, strings.EqualFold(strings.TrimSpace(override), method))
		require.True(t, strings.HasPrefix(q.target, "/"))
		require.NotContains(t, q.host, "/")
		if route, _ := rules.Routes.Find(q.method, q.path); route != nil && route.Public {
			require.Equal(t, []string{"healthz"}, q.path)
			require.Equal(t, http.MethodGet, q.method)
		}
	})
}
