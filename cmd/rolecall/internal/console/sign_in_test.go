package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestSignIn_TokenForSession: without a session there is the sign-in page only, which leads back.
// The session ends with signing out, and everything is in the audit log.
func TestSignIn_TokenForSession(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, path := range []string{"/", "/deliveries", "/nowhere", "/jobs/", "/jobs/api/jobs"} {
		a := d.get(t, path)
		require.Equal(t, http.StatusSeeOther, a.StatusCode, path)
		require.True(t, strings.HasPrefix(a.Header.Get("Location"), "/sign-in"), path)
		require.Empty(t, a.text)
	}
	require.Equal(t, "/sign-in?next=%2F%3Fa%3D1", d.get(t, "/?a=1").Header.Get("Location"))
	require.Equal(t, http.StatusUnauthorized, d.get(t, "/events", "Sec-Fetch-Mode", "cors").StatusCode, "a script can't sign in")
	require.Equal(t, http.StatusOK, d.get(t, "/sign-in").StatusCode)

	a := d.post(t, "/sign-in", url.Values{"token": {" " + d.token + "\n"}, "next": {"/?a=1"}})
	require.Equal(t, http.StatusSeeOther, a.StatusCode)
	require.Equal(t, "/?a=1", a.Header.Get("Location"))
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} {
		require.Contains(t, cookie, part)
	}
	require.NotContains(t, cookie, "Secure", "by HTTP, the browser would drop it")
	require.NotContains(t, cookie, d.token)
	page := d.get(t, "/")
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Contains(t, page.text, ">ada<")
	require.Equal(t, "/deliveries", d.get(t, "/sign-in?next=/deliveries").Header.Get("Location"), "already signed in")

	require.Equal(t, "/sign-in", d.post(t, "/sign-out", nil).Header.Get("Location"))
	require.Equal(t, http.StatusSeeOther, d.get(t, "/").StatusCode, "the session has ended, although the browser still has its cookie")
	require.Equal(t, []string{"operator:ada operator.signed_in ada", "operator:ada operator.signed_out ada"}, d.logged(t))
	var sessions int
	require.NoError(t, d.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.operator_sessions").Scan(&sessions))
	require.Zero(t, sessions)
}

// TestSignIn_SecureCookie: behind TLS the cookie is for TLS only.
func TestSignIn_SecureCookie(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cookie := d.post(t, "/sign-in", url.Values{"token": {d.token}}, "X-Forwarded-Proto", "https").Header.Get("Set-Cookie")
	require.True(t, strings.HasPrefix(cookie, "__Host-rolecall_operator="), cookie)
	require.Contains(t, cookie, "; Secure")
}

// TestSignIn_LeadsOnlyHere: no link makes signing in lead to another site.
func TestSignIn_LeadsOnlyHere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, next := range []string{
		"https://evil.test/", "//evil.test/", `/\evil.test`, `\\evil.test`, "/\t/evil.test", "javascript:alert(1)", "evil.test", "/sign-in", "%2F%2Fevil.test",
		"///evil.test", "/%2F/evil.test", "http:/evil.test", "/\n/evil.test",
	} {
		a := d.post(t, "/sign-in", url.Values{"token": {d.token}, "next": {next}})
		require.Equal(t, http.StatusSeeOther, a.StatusCode)
		to := a.Header.Get("Location")
		require.True(t, strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.HasPrefix(to, `/\`), "%q leads to %q", next, to)
	}
}

// TestSignIn_LimitsTries: five wrong tokens a minute, also at the same time; then none is judged.
func TestSignIn_LimitsTries(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			a := d.post(t, "/sign-in", url.Values{"token": {"rco_wrong"}})
			mu.Lock()
			defer mu.Unlock()
			statuses[a.StatusCode]++
		})
	}
	wg.Wait()
	require.Equal(t, map[int]int{http.StatusUnauthorized: 5, http.StatusTooManyRequests: 15}, statuses)
	a := d.post(t, "/sign-in", url.Values{"token": {d.token}})
	require.Equal(t, http.StatusTooManyRequests, a.StatusCode, "the right token isn't judged either")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.Contains(t, a.text, "five wrong tries")
	require.Len(t, d.logged(t), 5)
	require.Equal(t, "? operator.sign_in_refused console", d.logged(t)[0])
}

// TestSignIn_RightTokensDontCount: an operator may sign in as often as they like.
func TestSignIn_RightTokensDontCount(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 8 {
		d.signIn(t)
	}
}

// TestSession_HoldsOnEveryProcessUntilItsTokenEnds: another process knows the session, and the end
// of the token ends it.
func TestSession_HoldsOnEveryProcessUntilItsTokenEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	other := *d
	other.Bundle = servicetest.Start(t, d.Config.DatabaseURL, nil, config.Parts{Web: true}, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.OperatorTokens, cfg.InstanceID = d.Config.OperatorTokens, d.Config.InstanceID
	})
	require.Equal(t, http.StatusOK, other.get(t, "/").StatusCode, "cookies are the same on all ports of a host")

	cfg := other.Config
	_, bob := operator("bob")
	cfg.OperatorTokens = bob
	other.Restart(t, cfg, config.Parts{Web: true})
	require.Equal(t, http.StatusSeeOther, other.get(t, "/").StatusCode, "its token is gone")
	cfg.OperatorTokens = strings.Replace(d.Config.OperatorTokens, "ada:", "eve:", 1)
	other.Restart(t, cfg, config.Parts{Web: true})
	require.Equal(t, http.StatusSeeOther, other.get(t, "/").StatusCode, "the token has another owner")

	require.Equal(t, http.StatusOK, d.get(t, "/").StatusCode)
	_, err := d.DB.Exec(t.Context(), "UPDATE rolecall.operator_sessions SET expires_at = now()")
	require.NoError(t, err)
	require.Equal(t, http.StatusSeeOther, d.get(t, "/").StatusCode, "it has expired")
	d.signIn(t)
	var sessions int
	require.NoError(t, d.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.operator_sessions").Scan(&sessions))
	require.Equal(t, 1, sessions, "expired sessions are removed")
}
