package service_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// proxiesDocument has the examples that these tests run as they stand there.
const proxiesDocument = "docs/proxies.md"

// routeMap is the policy of these tests.
const routeMap = `roles:
  org:member: [reports:read]
  org:admin: [reports:read, workspace:update, members:read, members:manage, audit:read]
routes:
  - { match: 'GET,HEAD /w/{workspace}/reports/**', permission: reports:read }
  - { match: '* /w/{workspace}/settings/**', permission: workspace:update }
  - { match: 'GET,POST /dashboard', permission: reports:read }
  - { match: 'GET /api/**', permission: reports:read, workspace: header X-Workspace-Id }
  - { match: 'GET /host/**', permission: reports:read, workspace: host }
  - { match: GET /healthz, public: true }
`

// received is a request that reached the service behind the proxy.
type received struct {
	method, target, host string
	header               http.Header
	body                 string
}

// values returns all values of a header, also those under a name with underscores: a service behind
// CGI or WSGI can't tell them from dashes.
func (r received) values(name string) []string {
	var all []string
	for given, values := range r.header {
		if strings.EqualFold(strings.ReplaceAll(given, "_", "-"), name) {
			all = append(all, values...)
		}
	}
	return all
}

// backend is a service that knows no tokens, and serves whatever reaches it.
type backend struct {
	mu  sync.Mutex
	got []received
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, received{method: r.Method, target: r.RequestURI, host: r.Host, header: r.Header.Clone(), body: string(body)})
	_, _ = io.WriteString(w, "served")
}

// take returns what was received since the last take.
func (b *backend) take() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

// proxyBundle is a service of Rolecall's for proxies to ask.
type proxyBundle struct {
	*servicetest.Bundle

	workspace, other clerksim.Organization // of the member; of the admin alone
	admin, member    string
	token            string // the member's
}

func setupProxies(t *testing.T) *proxyBundle {
	t.Helper()
	database := pgtest.URL(t)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(routeMap), 0o600))
	b := &proxyBundle{Bundle: servicetest.Start(t, database, nil, config.Parts{Web: true, Workers: true},
		func(_ *servicetest.Bundle, c *config.Config) {
			c.PolicyFile, c.SignInURL = file, "https://accounts.callmine.test/sign-in?theme=dark"
		})}
	b.Open(t, database)
	b.admin, b.member = b.user(t), b.user(t)
	var err error
	b.workspace, err = b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: b.admin, Slug: "own"})
	require.NoError(t, err)
	b.other, err = b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: b.admin, Slug: "other"})
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(b.workspace.ID, b.member, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	b.token, err = b.Clerk.SessionToken(b.member, clerksim.TokenOptions{Lifetime: time.Hour, OrganizationID: b.workspace.ID})
	require.NoError(t, err)
	return b
}

func (b *proxyBundle) user(t *testing.T) string {
	t.Helper()
	user, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	return user.ID
}

// proxied is a proxy with the backend behind it.
type proxied struct {
	dial    servicetest.Dialer
	backend *backend
}

// throughEach runs a test through each documented proxy, each with a backend of its own.
func (b *proxyBundle) throughEach(t *testing.T, test func(t *testing.T, through proxied)) {
	t.Helper()
	for name, run := range map[string]func(t *testing.T, here map[string]string) servicetest.Dialer{
		"nginx": func(t *testing.T, here map[string]string) servicetest.Dialer {
			t.Helper()
			return servicetest.RunNginx(t, servicetest.Example(t, proxiesDocument, "nginx"), here)
		},
		"Caddy": func(t *testing.T, here map[string]string) servicetest.Dialer {
			t.Helper()
			return servicetest.RunCaddy(t, servicetest.Example(t, proxiesDocument, "caddyfile"), here)
		},
		"HAProxy": func(t *testing.T, here map[string]string) servicetest.Dialer {
			t.Helper()
			return servicetest.RunHAProxy(t, servicetest.Example(t, proxiesDocument, "haproxy"), servicetest.Example(t, proxiesDocument, "lua"), here)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := &backend{}
			server := httptest.NewServer(behind)
			t.Cleanup(server.Close)
			dial := run(t, map[string]string{"127.0.0.1:8080": b.Service.WebAddr, "127.0.0.1:3000": server.Listener.Addr().String()})
			test(t, proxied{dial: dial, backend: behind})
		})
	}
}

// rawRequest is a request as it is written, so that no library changes it.
type rawRequest struct {
	method, target string
	headers        []string // lines
	body           string
}

// rawAnswer is the answer to a rawRequest.
type rawAnswer struct {
	status   int
	location string
}

// exchangeRaw sends a request, and returns the answer.
func exchangeRaw(t *testing.T, dial servicetest.Dialer, request rawRequest) (rawAnswer, error) {
	t.Helper()
	connection, err := dial(t.Context())
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	require.NoError(t, connection.SetDeadline(time.Now().Add(20*time.Second)))
	lines := append([]string{request.method + " " + request.target + " HTTP/1.1", "Connection: close"}, request.headers...)
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(strings.ToLower(line), "host:") }) {
		lines = append(lines, "Host: own.callmine.test")
	}
	if request.body != "" {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(request.body)))
	}
	if _, err := io.WriteString(connection, strings.Join(lines, "\r\n")+"\r\n\r\n"+request.body); err != nil {
		return rawAnswer{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: request.method})
	if err != nil {
		return rawAnswer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return rawAnswer{status: response.StatusCode, location: response.Header.Get("Location")}, err
}

// TestProxies_EnforceRolecallsDecisions through real nginx, Caddy and HAProxy.
func TestProxies_EnforceRolecallsDecisions(t *testing.T) {
	t.Parallel()
	b := setupProxies(t)
	banned, stranger := b.user(t), b.user(t)
	_, err := b.Clerk.AddMember(b.workspace.ID, banned, clerksim.RoleMember)
	require.NoError(t, err)
	_, err = b.Clerk.BanUser(banned)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	expired, err := b.Clerk.SessionToken(b.member, clerksim.TokenOptions{Lifetime: -time.Hour})
	require.NoError(t, err)
	impersonated, err := b.Clerk.SessionToken(b.member, clerksim.TokenOptions{Lifetime: time.Hour, Claims: map[string]any{"act": map[string]any{"sub": b.admin}}})
	require.NoError(t, err)
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	own := "/w/" + b.workspace.ID
	admitted := map[string]string{"Rolecall-User": b.member, "Rolecall-Workspace": b.workspace.ID, "Rolecall-Role": "org:member", "Rolecall-Permission": "reports:read"}
	byActor := maps.Clone(admitted)
	byActor["Rolecall-Impersonator"] = b.admin
	const page, here = "Accept: text/html,*/*;q=0.8", "Host: own.callmine.test"
	signIn := func(target string) string {
		return "https://accounts.callmine.test/sign-in?redirect_url=http%3A%2F%2Fown.callmine.test" + target + "&theme=dark"
	}
	tests := []struct {
		name     string
		request  rawRequest
		status   int
		named    map[string]string // headers of an admitted request
		location string
	}{
		{"a member", rawRequest{"GET", own + "/reports/81?q=1&x=%2e%2e", []string{bearer(b.token)}, ""}, 200, admitted, ""},
		{"an impersonator", rawRequest{"GET", own + "/reports", []string{bearer(impersonated), "Rolecall-Impersonator: nobody"}, ""}, 200, byActor, ""},
		{"an impersonator who hides", rawRequest{"GET", own + "/reports", []string{bearer(impersonated), "Connection: Rolecall-Impersonator, rolecall-user"}, ""}, 200, byActor, ""},
		{"a slash at the end", rawRequest{"GET", own + "/reports/", []string{bearer(b.token)}, ""}, 200, admitted, ""},
		{"odd but plain", rawRequest{"GET", own + "/reports/v1.2_a~b-c/%C3%A9%20x/...", []string{bearer(b.token)}, ""}, 200, admitted, ""},
		{"as it was written", rawRequest{"GET", own + "/%72eports/%41", []string{bearer(b.token)}, ""}, 200, admitted, ""},
		{"HEAD", rawRequest{"HEAD", own + "/reports", []string{bearer(b.token)}, ""}, 200, admitted, ""},
		{"the active workspace", rawRequest{"GET", "/dashboard", []string{bearer(b.token)}, ""}, 200, admitted, ""},
		{"with a body", rawRequest{"POST", "/dashboard", []string{bearer(b.token)}, "the body"}, 200, admitted, ""},
		{"a cookie", rawRequest{"GET", "/dashboard", []string{"Cookie: a=b; __session=" + b.token}, ""}, 200, admitted, ""},
		{"a suffixed cookie", rawRequest{"GET", "/dashboard", []string{"Cookie: __session=x; __session_AbC-_123=" + b.token}, ""}, 200, admitted, ""},
		{"a page's own POST", rawRequest{"POST", "/dashboard", []string{"Cookie: __session=" + b.token, "Sec-Fetch-Site: same-origin"}, "x=1"}, 200, admitted, ""},
		{"another site's POST", rawRequest{"POST", "/dashboard", []string{"Cookie: __session=" + b.token, "Sec-Fetch-Site: cross-site", "Origin: https://evil.test"}, "x=1"}, 403, nil, ""},
		{"by a header", rawRequest{"GET", "/api/x", []string{bearer(b.token), "X-Workspace-Id: " + b.workspace.ID}, ""}, 200, admitted, ""},
		{"by the host", rawRequest{"GET", "/host/x", []string{bearer(b.token), here}, ""}, 200, admitted, ""},
		{"public", rawRequest{"GET", "/healthz", nil, ""}, 200, map[string]string{}, ""},
		{"public with a token", rawRequest{"GET", "/healthz", []string{bearer(b.token)}, ""}, 200, map[string]string{}, ""},
		{"no token", rawRequest{"GET", own + "/reports", nil, ""}, 401, nil, ""},
		{"a bad token", rawRequest{"GET", own + "/reports", []string{bearer(b.token + "x")}, ""}, 401, nil, ""},
		{"banned", rawRequest{"GET", own + "/reports", []string{bearer(b.Token(t, banned))}, ""}, 403, nil, ""},
		{"no permission", rawRequest{"GET", own + "/settings", []string{bearer(b.token)}, ""}, 403, nil, ""},
		{"no active workspace", rawRequest{"GET", "/dashboard", []string{bearer(b.Token(t, b.member))}, ""}, 403, nil, ""},
		{"a service", rawRequest{"GET", own + "/reports", []string{bearer(b.ServiceToken), "Rolecall-On-Behalf-Of: " + b.admin}, ""}, 403, nil, ""},
		{"a stranger", rawRequest{"GET", own + "/reports", []string{bearer(b.Token(t, stranger))}, ""}, 404, nil, ""},
		{"another workspace", rawRequest{"GET", "/w/" + b.other.ID + "/reports", []string{bearer(b.token)}, ""}, 404, nil, ""},
		{"no such workspace", rawRequest{"GET", "/w/org_none/reports", []string{bearer(b.token)}, ""}, 404, nil, ""},
		{"another host", rawRequest{"GET", "/host/x", []string{bearer(b.token), "Host: other.callmine.test"}, ""}, 404, nil, ""},
		{"no route", rawRequest{"GET", "/admin", []string{bearer(b.token)}, ""}, 404, nil, ""},
		{"another method", rawRequest{"DELETE", own + "/reports", []string{bearer(b.token)}, ""}, 404, nil, ""},
		{"no workspace's header", rawRequest{"GET", "/api/x", []string{bearer(b.token)}, ""}, 400, nil, ""},
		{"a semicolon", rawRequest{"GET", own + "/reports;x", []string{bearer(b.token)}, ""}, 400, nil, ""},
		{"a method in the query", rawRequest{"GET", own + "/reports?_method=DELETE", []string{bearer(b.token)}, ""}, 400, nil, ""},
		{"a page without a session", rawRequest{"GET", own + "/reports?a=b&c", []string{page, here}, ""}, 302, nil, signIn("%2Fw%2F" + b.workspace.ID + "%2Freports%3Fa%3Db%26c")},
		{"a page of an expired session", rawRequest{"GET", "/dashboard", []string{page, here, "Cookie: __session=" + expired}, ""}, 302, nil, signIn("%2Fdashboard")},
		{"a form without a session", rawRequest{"POST", "/dashboard", []string{page, here}, "x=1"}, 401, nil, ""},
	}
	b.throughEach(t, func(t *testing.T, through proxied) {
		t.Helper()
		for _, test := range tests {
			answer, err := exchangeRaw(t, through.dial, test.request)
			require.NoError(t, err, test.name)
			got := through.backend.take()
			require.Equal(t, test.status, answer.status, test.name)
			require.Equal(t, test.location, answer.location, test.name)
			if test.status != http.StatusOK {
				require.Empty(t, got, "%s got through", test.name)
				continue
			}
			require.Len(t, got, 1, test.name)
			require.Equal(t, []string{test.request.method, test.request.target, test.request.body}, []string{got[0].method, got[0].target, got[0].body}, test.name)
			require.NotContains(t, strings.ToLower(strings.Join(got[0].values("connection"), ",")), "rolecall", "%s: the next proxy would drop the header", test.name)
			for _, name := range []string{"Rolecall-User", "Rolecall-Workspace", "Rolecall-Role", "Rolecall-Permission", "Rolecall-Impersonator"} {
				require.Equal(t, test.named[name], strings.Join(got[0].values(name), ","), "%s: %s", test.name, name)
			}
		}
	})
}

// TestProxies_RefuseEverybodyWithoutRolecall: a proxy that gets no decision passes nothing on, and
// doesn't say that the caller is at fault.
func TestProxies_RefuseEverybodyWithoutRolecall(t *testing.T) {
	t.Parallel()
	b := setupProxies(t)
	require.NoError(t, b.Service.Stop(t.Context()))
	b.throughEach(t, func(t *testing.T, through proxied) {
		t.Helper()
		for _, target := range []string{"/healthz", "/w/" + b.workspace.ID + "/reports"} {
			answer, err := exchangeRaw(t, through.dial, rawRequest{"GET", target, []string{"Authorization: Bearer " + b.token}, ""})
			require.NoError(t, err)
			require.GreaterOrEqual(t, answer.status, http.StatusInternalServerError)
			require.Empty(t, through.backend.take())
		}
	})
}

// TestProxies_HAProxyTakesHTTP2, which it offers to browsers unless configured otherwise.
func TestProxies_HAProxyTakesHTTP2(t *testing.T) {
	t.Parallel()
	b, behind := setupProxies(t), &backend{}
	server := httptest.NewServer(behind)
	t.Cleanup(server.Close)
	dial := servicetest.RunHAProxy(t, servicetest.Example(t, proxiesDocument, "haproxy"), servicetest.Example(t, proxiesDocument, "lua"),
		map[string]string{"127.0.0.1:8080": b.Service.WebAddr, "127.0.0.1:3000": server.Listener.Addr().String()})
	transport := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	for target, status := range map[string]int{"/w/" + b.workspace.ID + "/reports/81?q=1": 200, "/w/" + b.workspace.ID + "/settings": 403, "/w/x/../y": 400} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://own.callmine.test"+target, http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+b.token)
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 2, response.ProtoMajor)
		require.Equal(t, status, response.StatusCode, target)
		got := behind.take()
		if status != http.StatusOK {
			require.Empty(t, got)
			continue
		}
		require.Len(t, got, 1)
		require.Equal(t, []string{target, "own.callmine.test", b.member}, []string{got[0].target, got[0].host, got[0].header.Get("Rolecall-User")})
	}
}

// TestProxies_EveryExampleRemovesWhatClientsCouldSay: also those that no test runs.
func TestProxies_EveryExampleRemovesWhatClientsCouldSay(t *testing.T) {
	t.Parallel()
	text := servicetest.Text(t, proxiesDocument)
	names := []string{
		"Rolecall-User", "Rolecall-Workspace", "Rolecall-Role", "Rolecall-Permission", "Rolecall-Impersonator", "Rolecall-On-Behalf-Of",
		"X-Original-Method", "X-Original-URI", "X-Original-URL", "X-Original-Host", "X-Rewrite-URL",
	}
	byTraefik := []string{"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Prefix"} // set or removed by itself
	for section, named := range map[string][]string{"Traefik": names, "Envoy": slices.Concat(names, byTraefik), "Kubernetes Gateway": slices.Concat(names, byTraefik)} {
		_, example, found := strings.Cut(text, "\n## "+section+"\n")
		require.True(t, found)
		example, _, _ = strings.Cut(example, "\n## ")
		example, _, found = strings.Cut(example, map[string]string{"Traefik": "forwardAuth:", "Envoy": "ext_authz", "Kubernetes Gateway": "type: ExternalAuth"}[section])
		require.True(t, found, "headers are removed before Rolecall is asked")
		for _, name := range append(named, "Forwarded") {
			require.Regexp(t, `(?i)[^-a-z]`+name+`[^-a-z]`, example, "%s doesn't remove %s", section, name)
		}
	}
}
