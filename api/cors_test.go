package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

const appPage = "https://app.example.com"

func setupCORS(t *testing.T) *serverBundle {
	t.Helper()
	b := setupServer(t, func(c *Config) { c.BrowserOrigins = []string{appPage, "https://other.example.com"} })
	b.world.member("org_1", "user_1", "org:admin", nil)
	return b
}

// preflight asks as a browser does before it sends a page's request, and returns status and headers
// of the answer.
func (b *serverBundle) preflight(target string, headers ...string) (int, http.Header) {
	b.tb.Helper()
	request, err := http.NewRequestWithContext(b.tb.Context(), http.MethodOptions, b.url+target, http.NoBody)
	require.NoError(b.tb, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := b.client.Do(request)
	require.NoError(b.tb, err)
	require.NoError(b.tb, response.Body.Close())
	return response.StatusCode, response.Header
}

const (
	allowOrigin   = "Access-Control-Allow-Origin"
	requestMethod = "Access-Control-Request-Method"
)

// corsHeaders returns the names of the protocol's headers in an answer.
func corsHeaders(header http.Header) []string {
	found := []string{}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// TestCORS_AllowedPagesReadEveryAnswer: refusals, too, so that a page can tell its user why.
func TestCORS_AllowedPagesReadEveryAnswer(t *testing.T) {
	t.Parallel()
	b := setupCORS(t)
	for _, target := range []string{"/v1/me", "/v1/workspaces/org_1", "/v1/workspaces/org_1/members", "/v1/workspaces/org_none", "/v1/me?x=1", authorizeTarget("org_1", "no:such")} {
		for _, token := range []string{"user_1", ""} {
			x := b.get(token, target, "Origin", appPage)
			require.Equal(t, appPage, x.header.Get(allowOrigin), target)
			require.Equal(t, []string{allowOrigin, "Access-Control-Expose-Headers"}, corsHeaders(x.header), "and no credentials")
			require.True(t, strings.HasPrefix(x.header.Get("Vary"), "Origin"))
		}
	}
	x := b.get("user_1", "/v1/me", "Origin", appPage)
	require.Equal(t, http.StatusNotModified, b.get("user_1", "/v1/me", "Origin", appPage, "If-None-Match", x.header.Get("ETag")).status)
	require.Equal(t, "https://other.example.com", b.get("user_1", "/v1/me", "Origin", "https://other.example.com").header.Get(allowOrigin))
}

// TestCORS_OtherPagesReadNothing: neither do pages whose origin looks like an allowed one. A cache
// is told that the origin matters.
func TestCORS_OtherPagesReadNothing(t *testing.T) {
	t.Parallel()
	b := setupCORS(t)
	for _, headers := range [][]string{
		{},
		{"Origin", "https://evil.example.com"},
		{"Origin", "null"},
		{"Origin", "*"},
		{"Origin", ""},
		{"Origin", "http://app.example.com"},
		{"Origin", appPage + ":443"},
		{"Origin", appPage + "/"},
		{"Origin", appPage + ".evil.com"},
		{"Origin", strings.ToUpper(appPage)},
		{"Origin", appPage + " https://evil.example.com"},
		{"Origin", appPage + ",https://other.example.com"},
		{"Origin", appPage, "Origin", appPage},
	} {
		x := b.get("user_1", "/v1/me", headers...)
		require.Equal(t, http.StatusOK, x.status)
		require.Empty(t, corsHeaders(x.header), "%q", headers)
		require.True(t, strings.HasPrefix(x.header.Get("Vary"), "Origin"))
		status, header := b.preflight("/v1/me", append(headers, requestMethod, http.MethodGet)...)
		require.Equal(t, http.StatusMethodNotAllowed, status, "%q", headers)
		require.Empty(t, corsHeaders(header))
	}
}

func TestCORS_AnswersPreflights(t *testing.T) {
	t.Parallel()
	b := setupCORS(t)
	for target, methods := range map[string]string{
		"/v1/me": "GET, HEAD", "/v1/workspaces": "POST", "/v1/workspaces/org_none": "GET, HEAD, PATCH",
		"/v1/workspaces/org_1/members/user_2": "PATCH, DELETE", "/v1/authorize": "GET, HEAD, POST",
	} {
		status, header := b.preflight(target, "Origin", appPage, requestMethod, http.MethodGet, "Access-Control-Request-Headers", "authorization")
		require.Equal(t, http.StatusNoContent, status, target)
		require.Equal(t, appPage, header.Get(allowOrigin))
		require.Equal(t, methods, header.Get("Access-Control-Allow-Methods"))
		require.Equal(t, corsRequestHeaders, header.Get("Access-Control-Allow-Headers"))
		require.Equal(t, "600", header.Get("Access-Control-Max-Age"))
		require.Empty(t, header.Get("Access-Control-Allow-Credentials"))
		require.Equal(t, "Origin", header.Get("Vary"))
		require.Equal(t, "no-store", header.Get("Cache-Control"))
	}
	status, _ := b.preflight("/v1/workspaces/org_1/nothing", "Origin", appPage, requestMethod, http.MethodGet)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = b.preflight("/v1/me", "Origin", appPage)
	require.Equal(t, http.StatusMethodNotAllowed, status, "it asks for no method")
	status, _ = b.preflight("/v1/workspaces/org%2F1", "Origin", appPage, requestMethod, http.MethodGet)
	require.Equal(t, http.StatusNotFound, status)
	for _, elsewhere := range []string{"/openapi.yaml", "/v1/forward-auth", "/v1/ext-authz/w/org_1", "/v1/nowhere"} {
		status, header := b.preflight(elsewhere, "Origin", appPage, requestMethod, http.MethodGet)
		require.GreaterOrEqual(t, status, http.StatusBadRequest, "%s isn't for browsers", elsewhere)
		require.Empty(t, corsHeaders(header))
	}
}

func TestCORS_IsOffUnlessSet(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	x := b.get("user_1", "/v1/me", "Origin", appPage)
	require.Empty(t, corsHeaders(x.header))
	require.NotContains(t, x.header.Get("Vary"), "Origin")
	status, _ := b.preflight("/v1/me", "Origin", appPage, requestMethod, http.MethodGet)
	require.Equal(t, http.StatusMethodNotAllowed, status)
}

// TestCORS_ServesWhatTheDocumentHas: pages may send every documented header but a service's, and
// read every documented one that browsers don't show anyway.
func TestCORS_ServesWhatTheDocumentHas(t *testing.T) {
	t.Parallel()
	_, all := operations(t)
	sent, read := strings.Split(corsRequestHeaders, ", "), strings.Split(corsAnswerHeaders, ", ")
	checked := 0
	for _, o := range all {
		if !forBrowsers(o.path) {
			continue
		}
		for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
			if p.Value.In == openapi3.ParameterInHeader && p.Value.Name != headerOnBehalfOf {
				require.Contains(t, sent, p.Value.Name, o.path)
				checked++
			}
		}
		for _, response := range o.Responses.Map() {
			for name := range response.Value.Headers {
				if name != "Cache-Control" && name != "Vary" { // the one is shown anyway, the other is nothing to a page
					require.Contains(t, read, name, o.path)
					checked++
				}
			}
		}
	}
	require.Greater(t, checked, 50)
	require.NotContains(t, sent, headerOnBehalfOf)
}
