package service_test

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readings returns every path as which some service might read one. Services decode it again, clean
// it, drop what follows a semicolon, a NUL or a number sign, take a backslash for a slash, and
// ignore case.
func readings(target string) []string {
	target, _, _ = strings.Cut(target, "?") // on which all agree
	found := []string{target}
	add := func(reading string) {
		if !slices.Contains(found, reading) {
			found = append(found, reading)
		}
	}
	parameters := regexp.MustCompile(`;[^/]*`)
	for i := 0; i < len(found) && i < 500; i++ { // the loop also goes through what it adds
		reading := found[i]
		if absolute, err := url.Parse(reading); err == nil && absolute.Host != "" {
			add(absolute.EscapedPath())
		}
		for _, end := range []string{"?", "#", "\x00"} {
			before, _, _ := strings.Cut(reading, end)
			add(before)
		}
		decoded := regexp.MustCompile(`%[0-9A-Fa-f]{2}`).ReplaceAllStringFunc(reading, func(escape string) string {
			text, err := url.PathUnescape(escape)
			if err != nil {
				return escape
			}
			return text
		})
		add(decoded)
		add(strings.ReplaceAll(decoded, "\xc0\xae", ".")) // an overlong dot
		add(path.Clean(reading))
		add(parameters.ReplaceAllString(reading, ""))
		add(strings.ReplaceAll(reading, `\`, "/"))
		add(strings.ToLower(reading))
	}
	return found
}

// sender is the sender of a request, and all that the sender may do. An anonymous one may read
// /healthz.
type sender struct{ user, workspace, slug string }

// excess returns how a received request makes some service do more than its sender may, or "".
func (s sender) excess(r received) string {
	for name, may := range map[string]string{
		"rolecall-user": s.user, "rolecall-workspace": s.workspace, "rolecall-role": "org:member", "rolecall-permission": "reports:read",
		"rolecall-impersonator": "", "rolecall-on-behalf-of": "",
	} {
		for _, value := range r.values(name) {
			if value != "" && (value != may || s.user == "") {
				return fmt.Sprintf("%s is %q", name, value)
			}
		}
	}
	if protocols := strings.ToLower(strings.Join(r.values("upgrade"), ",")); strings.Contains(protocols, "h2c") {
		return "after the upgrade, no proxy sees the requests" // a service that takes HTTP/2 begins it
	}
	targets := []string{r.target}
	for _, name := range []string{"x-original-url", "x-original-uri", "x-rewrite-url", "x-forwarded-uri"} {
		targets = append(targets, r.values(name)...)
	}
	for _, prefix := range r.values("x-forwarded-prefix") {
		targets = append(targets, prefix+r.target)
	}
	for _, target := range targets {
		for _, reading := range readings(target) {
			if !s.mayRead(reading) {
				return fmt.Sprintf("%q may be read as %q", target, reading)
			}
		}
	}
	_, query, _ := strings.Cut(r.target, "?")
	parameters, _ := url.ParseQuery(strings.ReplaceAll(query, ";", "&"))
	methods := slices.Concat([]string{r.method}, r.values("x-http-method-override"), r.values("x-method-override"), r.values("x-http-method"),
		r.values("x-original-method"), r.values("x-forwarded-method"), parameters["_method"], parameters["_METHOD"])
	for _, method := range methods {
		if !slices.Contains([]string{"GET", "HEAD"}, strings.ToUpper(method)) {
			return fmt.Sprintf("the method may be %q", method)
		}
	}
	if strings.HasPrefix(r.target, "/api") {
		if named := r.values("x-workspace-id"); len(named) != 1 || named[0] != s.workspace {
			return fmt.Sprintf("the workspace may be any of %q", named)
		}
	}
	if strings.HasPrefix(r.target, "/host") {
		for _, host := range slices.Concat([]string{r.host}, r.values("x-forwarded-host"), r.values("x-original-host")) {
			if label, _, _ := strings.Cut(host, "."); label != s.slug {
				return fmt.Sprintf("the host may be %q", host)
			}
		}
		if named := r.values("forwarded"); len(named) > 0 {
			return fmt.Sprintf("the host may be that of %q", named)
		}
	}
	return ""
}

// mayRead reports whether the sender may send a GET with a path, if a service reads it like this.
func (s sender) mayRead(reading string) bool {
	reading, _, _ = strings.Cut(reading, "?")
	pattern := `^/healthz/?$`
	if s.user != "" {
		pattern += `|^/w/` + regexp.QuoteMeta(s.workspace) + `/reports(/[^/;\\%]+)*/?$|^/dashboard/?$|^/(api|host)(/[^/;\\%]+)*/?$`
	}
	return regexp.MustCompile(`(?i)`+pattern).MatchString(reading) && !strings.Contains(reading, "/../") && !strings.HasSuffix(reading, "/..")
}

// attacks returns requests that try to reach the backend with more than their sender has.
func attacks(b *proxyBundle) []rawRequest {
	bearer := "Authorization: Bearer " + b.token
	own, other := "/w/"+b.workspace.ID, "/w/"+b.other.ID
	reports := own + "/reports"
	var all []rawRequest
	with := func(method, target string, headers ...string) {
		all = append(all, rawRequest{method: method, target: target, headers: headers})
	}
	steal := other + "/reports"
	for _, target := range []string{
		// Dot segments, raw and encoded, at the beginning and at the end.
		reports + "/../../.." + steal, reports + "/./../../.." + steal, other + "/../" + b.workspace.ID + "/reports", reports + "/..",
		reports + "/../settings", own + "/settings/../reports", reports + "/%2e%2e/settings", reports + "/%2E./settings", reports + "/.%2e/settings",
		reports + "/%2e/", "/healthz/../admin", "/healthz/%2e%2e/admin", "/../healthz", reports + "/%252e%252e/settings", reports + "/%c0%ae%c0%ae/settings",
		// Slashes: encoded, doubled, backward.
		own + "/reports%2f..%2fsettings", own + "%2freports", reports + "/%2F..%2F..%2Fsettings", "//healthz", "/" + own[1:] + "//reports", "//" + reports[1:],
		other + "//../" + b.workspace.ID + "/reports", reports + "/////../../settings", reports + `/..\settings`, reports + `\..\settings`, reports + `/..%5csettings`,
		reports + "/%5c..%5csettings", "/%2fw/" + b.workspace.ID + "/reports", reports + "//evil.test",
		// Parameters of segments.
		reports + ";/settings", own + ";x/reports", own + "/settings;/../reports", reports + "/..;/settings", reports + "/..;a=b/settings", reports + "/%3b/x", "/healthz;/admin",
		reports + "/..%3b/settings",
		// Ends that some programs see.
		reports + "#/../../settings", reports + "/#/../../settings", reports + "%00/../settings", reports + "/x%00", reports + "%0d%0aX-Evil:%201", "/healthz%00/admin", "/healthz#/admin",
		reports + "/%3f/../../settings", reports + "%20/../settings", reports + "/%zz", reports + "/%", reports + "/%2",
		// Case, other forms of the target, and a query in place of a path.
		"/W/" + b.workspace.ID + "/SETTINGS", own + "/Settings", "/HEALTHZ/../admin", "http://own.callmine.test" + own + "/settings", "http://evil.test/healthz", "*", "healthz", own[1:] + "/reports",
		"?" + reports, "/?" + reports, "/healthz?/../admin", own + "/settings?x=" + reports, "/_rolecall", "/_rolecall?x", "/v1/forward-auth",
		// Long ones.
		reports + "/" + strings.Repeat("x", 7<<10), reports + "/" + strings.Repeat("x", 9<<10), reports + "/" + strings.Repeat("../", 5000) + "settings",
		reports + "/" + strings.Repeat("x/", 20<<10), reports + "?" + strings.Repeat("x", 40<<10),
		// Another method, or another in the query.
		reports + "?_method=DELETE", reports + "?a=b&_METHOD=put", reports + "?%5Fmethod=DELETE", reports + "?a;_method=DELETE", reports + "?_method=GET&_method=DELETE",
	} {
		with("GET", target, bearer)
		with("GET", target)
		with("GET", target, bearer, "Host: evil.test", "X-Forwarded-Uri: "+reports, "X-Forwarded-Method: GET")
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "Get", "GETX", "PROPFIND", "CONNECT", "GET,HEAD", "*"} {
		with(method, reports, bearer)
		with(method, "/healthz")
		with(method, reports, bearer, "X-HTTP-Method-Override: GET", "X-Forwarded-Method: GET", "X-Original-Method: GET")
	}
	foreign := [][]string{
		{"Rolecall-User: " + b.admin, "Rolecall-Workspace: " + b.other.ID, "Rolecall-Role: org:admin", "Rolecall-Permission: workspace:update", "Rolecall-Impersonator: user_x"},
		{"rolecall-user: " + b.admin},
		{"ROLECALL-USER: " + b.admin},
		{"Rolecall_User: " + b.admin, "Rolecall_Role: org:admin"},
		{"rolecall-user : " + b.admin},
		{"Rolecall-User: " + b.admin, "Rolecall-User: " + b.admin},
		{"Rolecall-User:", "Rolecall-User: " + b.admin},
		{"Rolecall_Impersonator: user_x"},
		{"Rolecall-On-Behalf-Of: " + b.admin},
		{"Rolecall_On-Behalf_Of: " + b.admin},
		{"Connection: close, Rolecall-User", "Rolecall-User: " + b.admin},
		{"Connection: Rolecall-User, Rolecall-Role"},
		{"Connection: Authorization"},
		{"Connection: X-Original-URI, X-Forwarded-Uri, X-Forwarded-Method"},
		{"X-Original-URI: /healthz", "X-Original-Method: GET"},
		{"X-Original-URI: " + own + "/settings"},
		{"X-Original-URL: " + own + "/settings"},
		{"X-Rewrite-URL: " + own + "/settings"},
		{"X_Original_URL: " + own + "/settings"},
		{"X-Forwarded-Uri: /healthz", "X-Forwarded-Method: GET"},
		{"X-Forwarded-Uri: " + own + "/settings"},
		{"X_Forwarded_Uri: " + own + "/settings"},
		{"X-Forwarded-Prefix: " + own + "/settings"},
		{"X-Forwarded-Host: other.callmine.test"},
		{"X-Original-Host: other.callmine.test"},
		{"X_Forwarded_Host: other.callmine.test"},
		{"Forwarded: host=other.callmine.test"},
		{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		{"Connection: Upgrade", "Upgrade: websocket, h2c"},
		{"Connection: Upgrade", "Upgrade: websocket", "Upgrade: H2C"},
		{"Forwarded: for=192.0.2.1", "Forwarded: host=other.callmine.test;proto=https"},
		{"X-HTTP-Method-Override: DELETE"},
		{"X-Method-Override: DELETE"},
		{"X-HTTP-Method: DELETE"},
		{"X_HTTP_Method_Override: DELETE"},
		{"X-HTTP-Method-Override: GET", "X-HTTP-Method-Override: DELETE"},
		{"X-HTTP-Method-Override: GET, DELETE"},
		{"X-Workspace-Id: " + b.other.ID},
		{"X-Workspace-Id: " + b.workspace.ID, "X-Workspace-Id: " + b.other.ID},
		{"X-Workspace-Id: " + b.workspace.ID + "," + b.other.ID},
		{"X-Workspace-Id: " + b.workspace.ID, "X_Workspace_Id: " + b.other.ID},
		{"X-Workspace-Id:"},
		{"X_Workspace_Id: " + b.workspace.ID},
		{"Host: own.callmine.test", "X-Forwarded-Host: other.callmine.test"},
		{"Host: other.callmine.test", "X-Forwarded-Host: own.callmine.test"},
		{"Host: own.callmine.test", "Host: other.callmine.test"},
		{"Host: own.callmine.test, other.callmine.test"},
		{"Host: own.callmine.test\x00.test"},
		{"Host: own"},
		{"Host:"},
		{"Content-Length: 0", "Content-Length: 40"},
		{"X-Long: " + strings.Repeat("x", 20<<10)},
	}
	for _, headers := range foreign {
		for _, target := range []string{reports, "/healthz", "/dashboard", "/api/x", "/host/x", own + "/settings"} {
			with("GET", target, append([]string{bearer}, headers...)...)
			with("GET", target, headers...)
		}
	}
	for _, coding := range []string{"Transfer-Encoding: chunked", "Transfer-Encoding: x, chunked", "Transfer_Encoding: chunked", "Transfer-Encoding : chunked"} {
		smuggled := "0\r\n\r\nGET " + own + "/settings HTTP/1.1\r\nHost: own.callmine.test\r\nRolecall-User: " + b.admin + "\r\n\r\n"
		all = append(all, rawRequest{method: "GET", target: reports, headers: []string{bearer, coding}, body: smuggled})
	}
	forged := strings.Join([]string{strings.Split(b.token, ".")[0], "eyJzdWIiOiJ1c2VyX2FkbWluIn0", strings.Split(b.token, ".")[2]}, ".")
	for _, headers := range [][]string{
		{bearer, "Authorization: Bearer " + forged},
		{"Authorization: Bearer " + forged, bearer},
		{bearer, "authorization: Basic YTpi"},
		{"Cookie: __session=" + b.token + "; __session=" + forged},
		{"Cookie: __session=" + forged, "Cookie: __session=" + b.token},
		{"Cookie: __session_aaaaaaaa=" + forged + "; __session_bbbbbbbb=" + b.token},
		{"Cookie: __session=" + b.ServiceToken, "Rolecall-On-Behalf-Of: " + b.admin},
		{"Cookie: __Session=" + b.token},
		{"Cookie: __session=\"" + b.token + "\""},
		{"Cookie: x=__session=" + b.token},
		{"Authorization: Bearer " + b.ServiceToken, "Rolecall-On-Behalf-Of: " + b.admin},
	} {
		for _, method := range []string{"GET", "POST"} {
			with(method, reports, headers...)
			with(method, own+"/settings", headers...)
		}
	}
	return all
}

// brief writes a request without tokens and long texts.
func brief(request any) string {
	text := regexp.MustCompile(`eyJ[A-Za-z0-9._-]{100,}`).ReplaceAllString(fmt.Sprintf("%q", request), "…")
	return fmt.Sprintf("%.2000s", text)
}

// TestProxies_LetNoAttackThrough: whatever reaches the backend gives its sender nothing that the
// sender doesn't have, however the backend reads it.
func TestProxies_LetNoAttackThrough(t *testing.T) {
	t.Parallel()
	b := setupProxies(t)
	member := sender{user: b.member, workspace: b.workspace.ID, slug: "own"}
	b.throughEach(t, func(t *testing.T, through proxied) {
		t.Helper()
		all, passed := attacks(b), 0
		for i, attack := range all {
			attack.headers = append(attack.headers, fmt.Sprintf("X-Attack: %d", i))
			_, _ = exchangeRaw(t, through.dial, attack) // the answer to nonsense may be anything, also none
			for _, r := range through.backend.take() {
				n, err := strconv.Atoi(r.header.Get("X-Attack")) // it may be an earlier one, whose connection was cut
				require.NoError(t, err, "%s was smuggled, perhaps by %s", brief(r), brief(attack))
				who := sender{}
				if strings.Contains(strings.Join(all[n].headers, "\n"), b.token) {
					who = member
				}
				require.Empty(t, who.excess(r), "%s reached the backend as %s", brief(all[n]), brief(r))
				passed++
			}
		}
		require.Positive(t, passed, "some are harmless")
		t.Log(passed, "harmless ones got through")
	})
}

// TestSender_KnowsExcess: the judge of the attacks sees each kind of excess.
func TestSender_KnowsExcess(t *testing.T) {
	t.Parallel()
	member := sender{user: "user_1", workspace: "org_1", slug: "own"}
	harmless := received{method: "GET", target: "/w/org_1/reports/81?x=/../y", host: "own.test", header: map[string][]string{
		"Rolecall-User": {"user_1"}, "Rolecall-Workspace": {"org_1"}, "Rolecall-Role": {"org:member"}, "Rolecall-Permission": {"reports:read"}, "Rolecall-Impersonator": {""},
	}}
	require.Empty(t, member.excess(harmless))
	require.NotEmpty(t, sender{}.excess(harmless))
	for _, target := range []string{
		"/w/org_2/reports", "/w/org_1/settings", "/w/org_1/reports/../settings", "/w/org_1/reports/%2e%2e/settings", "/w/org_1/reports/%252e%252e/settings", "/w/org_1/reports/..;/settings",
		`/w/org_1/reports/..\settings`, "/w/org_1/reports%2f..%2fsettings", "/healthz#/../admin", "//healthz", "/w/org_1/reports?_method=DELETE", "http://x/w/org_2/reports", "/w/org_1/reports/%c0%ae%c0%ae/settings",
	} {
		r := harmless
		r.target = target
		require.NotEmpty(t, member.excess(r), target)
	}
	for name, value := range map[string]string{
		"Rolecall_user": "user_2", "rolecall-role": "org:admin", "Rolecall-Impersonator": "user_3", "X-Original-Url": "/admin", "X_rewrite_url": "/admin", "X-Forwarded-Prefix": "/admin",
		"X-Http-Method-Override": "DELETE", "X_http_method": "PUT", "Upgrade": "H2c",
	} {
		r := harmless
		r.header = map[string][]string{name: {value}}
		require.NotEmpty(t, member.excess(r), name)
	}
	forwarded := harmless
	forwarded.target, forwarded.host, forwarded.header = "/host/x", "own.test", map[string][]string{"Forwarded": {"host=own.test"}}
	require.NotEmpty(t, member.excess(forwarded))
}
