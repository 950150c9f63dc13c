package console_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// withoutOperators configures no token, at the given address.
func withoutOperators(addr string) func(*servicetest.Bundle, *config.Config) {
	return func(_ *servicetest.Bundle, cfg *config.Config) { cfg.OperatorTokens, cfg.AdminAddr = "", addr }
}

// TestGuard_ReadOnlyWithoutOperators: this machine may look, and no one may change anything.
func TestGuard_ReadOnlyWithoutOperators(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withoutOperators("127.0.0.1:0"))
	page := d.get(t, "/")
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Contains(t, page.text, "read-only")
	require.Equal(t, http.StatusForbidden, d.post(t, "/sign-out", nil).StatusCode)
	require.Equal(t, "/", d.get(t, "/sign-in").Header.Get("Location"))
	require.Equal(t, http.StatusForbidden, d.post(t, "/sign-in", url.Values{"token": {d.token}}).StatusCode)
	require.Empty(t, d.logged(t))
}

// TestGuard_RefusesRebinding: the page of another site, whose name leads to this machine, reads
// nothing.
func TestGuard_RefusesRebinding(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withoutOperators("127.0.0.1:0"))
	for host, want := range map[string]int{
		"evil.test": 403, "evil.test:9090": 403, "127.0.0.1.evil.test": 403, "localhost.evil.test": 403, "10.0.0.1": 403, "[::2]:80": 403,
		"localhost": 200, "localhost:9090": 200, "127.0.0.1": 200, "127.0.0.1:1": 200, "[::1]": 200, "[::1]:9090": 200, "127.0.0.2": 200,
	} {
		for _, path := range []string{"/"} {
			a := d.get(t, path, "Host", host)
			require.Equal(t, want, a.StatusCode, host)
			if want == 403 {
				require.NotContains(t, a.text, "Newest delivery")
			}
		}
	}
	require.Equal(t, http.StatusForbidden, d.get(t, "/", "X-Forwarded-For", "203.0.113.7").StatusCode, "a proxy passes on what comes from anywhere")
	status, _ := d.Text(t, "/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, http.StatusOK, d.get(t, "/readyz", "Host", "evil.test").StatusCode, "probes stay as they were")
}

// TestGuard_ClosedWithoutOperators: where other machines reach it, the console says how to
// configure a token, and nothing else.
func TestGuard_ClosedWithoutOperators(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withoutOperators("0.0.0.0:0"))
	for _, path := range []string{"/", "/sign-in", "/events", "/jobs/", "/jobs/api/jobs", "/nowhere"} {
		a := d.get(t, path)
		require.Equal(t, http.StatusForbidden, a.StatusCode, path)
		require.Contains(t, a.text, "ROLECALL_OPERATOR_TOKEN_HASHES", path)
		require.NotContains(t, a.text, "<nav", path)
	}
	require.Equal(t, http.StatusOK, d.get(t, "/metrics").StatusCode)
}

// TestGuard_RefusesOtherSites: a form on another site changes nothing, not even with the cookie.
func TestGuard_RefusesOtherSites(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}, {"Origin", "null"},
	} {
		a := d.post(t, "/sign-out", nil, headers...)
		require.Equal(t, http.StatusForbidden, a.StatusCode, headers)
		require.Contains(t, a.text, "Another site asked")
		require.Equal(t, http.StatusForbidden, d.post(t, "/sign-in", url.Values{"token": {d.token}}, headers...).StatusCode, "no one can be signed in by another site")
	}
	require.Len(t, d.logged(t), 1)
	require.Equal(t, http.StatusSeeOther, d.post(t, "/sign-out", nil, "Sec-Fetch-Site", "same-origin").StatusCode)
}

// TestGuard_LinksFromOtherSitesLeadHere: the browser keeps the cookie back at first.
func TestGuard_LinksFromOtherSitesLeadHere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.get(t, "/?a=1", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Contains(t, a.text, `http-equiv="refresh"`)
	require.NotContains(t, a.text, "<nav")
}

// TestGuard_Headers: each answer keeps other sites out, and has no inline script or style.
func TestGuard_Headers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	for _, path := range []string{"/", "/nowhere", "/sign-in", "/assets/style.css"} {
		h := d.get(t, path).Header
		require.Equal(t, "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'", h.Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"), path)
		require.Equal(t, "no-store", h.Get("Cache-Control"), path)
	}
}

// TestGuard_NothingOnThePublicListener: the console has no address there.
func TestGuard_NothingOnThePublicListener(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, path := range []string{"/", "/sign-in", "/jobs/", "/assets/style.css", "/events"} {
		a := ask(t, d.browser, newRequest(t, http.MethodGet, d.Web(path), nil, nil))
		require.Equal(t, http.StatusNotFound, a.StatusCode, path)
		require.NotContains(t, a.text, "Rolecall</a>")
	}
}
