package playground

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/simulator"
)

// counter is the playground beside a Rolecall that a test answers for.
type counter struct {
	*Playground
	t     *testing.T
	url   string
	admin simulator.Person
}

// open serves a playground whose Rolecall is a handler; nil for one that can't be reached.
func open(t *testing.T, rolecall http.Handler) *counter {
	t.Helper()
	sim, err := simulator.Start(t.Context(), simulator.Config{Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close(context.WithoutCancel(t.Context()))) })
	cast, err := simulator.Populate(sim.World())
	require.NoError(t, err)
	answering := httptest.NewServer(rolecall)
	if rolecall == nil {
		answering.Close()
	} else {
		t.Cleanup(answering.Close)
	}
	p, err := New(Config{Rolecall: answering.URL, Simulator: sim, Cast: cast})
	require.NoError(t, err)
	shop := httptest.NewServer(p)
	t.Cleanup(shop.Close)
	admin, _ := cast.Person("third_admin")
	return &counter{p, t, shop.URL, admin}
}

// visitor is a client that keeps cookies, and is signed in as the admin in one window.
func (c *counter) visitor() *http.Client {
	c.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(c.t, err)
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got := c.send(client, http.MethodPost, "/sign-in", url.Values{"user_id": {c.admin.UserID}})
	require.Equal(c.t, http.StatusSeeOther, got.status)
	return client
}

// reply is an answer that was read whole.
type reply struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	text    string
}

// send asks, with headers in pairs.
func (c *counter) send(client *http.Client, method, path string, form url.Values, headers ...string) reply {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(form.Encode()))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := client.Do(r)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return reply{response.StatusCode, response.Header, response.Cookies(), string(text)}
}

// TestRoutes_ShowNothingWithoutRolecall: each page and each action needs its answer. None goes by
// that of another server.
func TestRoutes_ShowNothingWithoutRolecall(t *testing.T) {
	t.Parallel()
	for _, instead := range []struct {
		rolecall http.Handler
		status   int
		not      []access // routes that ask nothing of which the answer could be wrong
	}{
		{nil, http.StatusServiceUnavailable, nil},
		{answering(http.StatusInternalServerError, "out of order"), http.StatusInternalServerError, nil},
		{answering(http.StatusOK, "<p>hello"), http.StatusBadGateway, []access{member}},
		{answering(http.StatusOK, `{"allowed":true,"reason":"allowed"}`), http.StatusBadGateway, []access{member, signedIn}},
	} {
		c := open(t, instead.rolecall)
		client := c.visitor()
		workspace, _ := c.cfg.Cast.Workspace("juniper")
		c.sessions.byKey.Range(func(key, _ any) bool {
			c.sessions.change(key.(string), func(s *session) { s.workspaceID = workspace.ID })
			return true
		})
		for _, rt := range routes() {
			if rt.needs == anyone || slices.Contains(instead.not, rt.needs) {
				continue
			}
			got := c.send(client, rt.method, strings.ReplaceAll(rt.path, "{id}", "report_1"), url.Values{"did": {"created"}, "name": {"x"}})
			require.Equal(t, instead.status, got.status, "%s %s: %s", rt.method, rt.path, got.text)
			for _, shown := range []string{"Juniper", "Discovery call", "Starter", "<nav"} {
				require.NotContains(t, got.text, shown, "%s %s", rt.method, rt.path)
			}
		}
	}
}

// TestPanel_ShowsTheStatusesThatCame from Rolecall, and none if it didn't answer.
func TestPanel_ShowsTheStatusesThatCame(t *testing.T) {
	t.Parallel()
	hangUp := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, row := range []struct {
		rolecall    http.Handler
		title, mark string
	}{
		{answering(http.StatusCreated, ""), "Farid Haddad invited", ">201<"},
		{answering(http.StatusNoContent, ""), "Farid Haddad invited", ">204<"},
		{answering(http.StatusConflict, "{}"), "Refused: Farid Haddad invited", ">409<"},
		{hangUp, "Unanswered: Farid Haddad invited", ">didn&#39;t answer<"},
	} {
		c := open(t, row.rolecall)
		c.cfg.Ledger = func(context.Context, []string) ([]Applied, error) { return nil, nil }
		client := c.visitor()
		c.sessions.byKey.Range(func(key, _ any) bool {
			c.sessions.change(key.(string), func(s *session) { s.workspaceID = "org_1" })
			return true
		})
		asked := c.send(client, http.MethodPost, "/settings/members/invite", url.Values{"email": {"sam@example.test"}, "role": {"member"}})
		told := c.send(client, http.MethodGet, "/panel", nil).text
		require.Contains(t, told, "<h2>"+row.title)
		require.Contains(t, told, row.mark)
		if strings.Contains(row.mark, "answer") {
			require.NotContains(t, told, ">503<")
			require.Contains(t, asked.text, `<pre id="answer">nothing</pre>`)
		}
	}
}

// TestProblem_PromisesOnlyWhatAdminsMay: with a policy of one's own, they may be refused, too.
func TestProblem_PromisesOnlyWhatAdminsMay(t *testing.T) {
	t.Parallel()
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"reason":"permission_missing"}`)
	}))
	client := c.visitor()
	c.sessions.byKey.Range(func(key, _ any) bool {
		c.sessions.change(key.(string), func(s *session) { s.workspaceID = "org_1" })
		return true
	})
	require.Contains(t, c.send(client, http.MethodGet, "/audit", nil).text, "An admin's does.")
	c.cfg.AdminLacks = []string{"audit:read"}
	refused := c.send(client, http.MethodGet, "/audit", nil).text
	require.Contains(t, refused, "permit it.")
	require.NotContains(t, refused, "An admin")
}

// answering returns a server that gives everybody the same answer.
func answering(status int, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
}

// TestRoutes_NeedASession, which nobody can forge or fix before.
func TestRoutes_NeedASession(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	mine := c.visitor()
	at, err := url.Parse(c.url)
	require.NoError(t, err)
	cookie := mine.Jar.Cookies(at)[0]
	for _, header := range []string{"", cookie.Name + "=", cookie.Name + "=" + c.admin.UserID, cookie.Name + "=" + strings.ToLower(cookie.Value), cookie.Name + "-left=" + cookie.Value + "x"} {
		for _, rt := range routes() {
			if rt.needs == anyone {
				continue
			}
			got := c.send(&http.Client{CheckRedirect: mine.CheckRedirect}, rt.method, rt.path, nil, "Cookie", header)
			require.Equal(t, "/sign-in", got.header.Get("Location"), "%s %s %q", rt.method, rt.path, header)
		}
	}

	// signing in never takes over a key that came with the request
	fixed := &http.Client{CheckRedirect: mine.CheckRedirect}
	got := c.send(fixed, http.MethodPost, "/sign-in", url.Values{"user_id": {c.admin.UserID}}, "Cookie", cookie.Name+"=chosen")
	given := got.cookies[0]
	require.NotEqual(t, "chosen", given.Value)
	require.True(t, given.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, given.SameSite)

	// after signing in again or out, and after Clerk ended the session, the old key is worth nothing
	got = c.send(fixed, http.MethodPost, "/sign-out", nil, "Cookie", given.Name+"="+given.Value)
	require.Equal(t, "/sign-in", got.header.Get("Location"))
	got = c.send(fixed, http.MethodGet, "/dashboard", nil, "Cookie", given.Name+"="+given.Value)
	require.Equal(t, "/sign-in", got.header.Get("Location"))
	c.sessions.byKey.Range(func(_, kept any) bool {
		_, err := c.cfg.Simulator.World().RevokeSession(kept.(session).clerkID)
		return err == nil
	})
	got = c.send(mine, http.MethodGet, "/dashboard", nil)
	require.Equal(t, "/sign-in", got.header.Get("Location"))
}

// TestPeople_NeedClerksOwnPages: nobody comes in while Clerk is down.
func TestPeople_NeedClerksOwnPages(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	require.NoError(t, c.cfg.Simulator.Switch(simulator.Switches{ClerkDown: true}))
	for _, path := range []string{"/sign-in", "/sign-up", "/right/sign-in"} {
		form := url.Values{"user_id": {c.admin.UserID}, "name": {"Robin"}, "email": {"robin@example.test"}}
		got := c.send(&http.Client{}, http.MethodPost, path, form)
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		require.Contains(t, got.text, "Clerk is down")
		require.Empty(t, got.cookies)
	}
	require.NoError(t, c.cfg.Simulator.Switch(simulator.Switches{}))
	c.visitor()
	got := c.send(&http.Client{}, http.MethodPost, "/sign-in", url.Values{"user_id": {"user_nobody"}})
	require.Equal(t, http.StatusBadRequest, got.status)
}

// TestPlayground_RefusesOtherSites: their forms, their names for this machine, and their frames.
func TestPlayground_RefusesOtherSites(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	client := c.visitor()
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.test"}, {"Origin", "http://127.0.0.1:1"}, {"Origin", "null"},
	} {
		for _, rt := range routes() {
			if rt.method == http.MethodPost {
				got := c.send(client, rt.method, "/left"+rt.path, nil, headers...)
				require.Equal(t, http.StatusForbidden, got.status, "%s %v", rt.path, headers)
			}
		}
	}
	for host, status := range map[string]int{
		"evil.example.test": http.StatusMisdirectedRequest, "127.0.0.1.evil.example.test": http.StatusMisdirectedRequest,
		"localhost.evil.example.test:80": http.StatusMisdirectedRequest, "": http.StatusOK,
		"192.168.1.5": http.StatusMisdirectedRequest, "0.0.0.0": http.StatusMisdirectedRequest, "127.1": http.StatusMisdirectedRequest,
		"localhost": http.StatusOK, "127.0.0.1:80": http.StatusOK, "[::1]:80": http.StatusOK, "[::1]": http.StatusOK,
		"127.0.1.1:80": http.StatusOK, // as a machine's own name often is
	} {
		got := c.send(client, http.MethodGet, "/sign-in", nil, "Host", host)
		require.Equal(t, status, got.status, host)
	}
	got := c.send(client, http.MethodGet, "/sign-in", nil)
	for _, rule := range []string{"default-src 'none'", "frame-ancestors 'self'", "form-action 'self'", "base-uri 'none'"} {
		require.Contains(t, got.header.Get("Content-Security-Policy"), rule)
	}
	require.NotContains(t, got.header.Get("Content-Security-Policy"), "unsafe")
}

// TestPlayground_ShowsNamesAsTheyAre: no markup of theirs works, and nothing of them is hidden.
func TestPlayground_ShowsNamesAsTheyAre(t *testing.T) {
	t.Parallel()
	c := open(t, nil)
	const name = "<script>alert(1)</script>\"'>{{.}}\u202e\u200b\u3164\x00\x1b[31m\u2066 Vale"
	got := c.send(c.visitor(), http.MethodPost, "/right/sign-up", url.Values{"name": {name}, "email": {"bad@example.test"}})
	require.NotContains(t, got.text, "script>alert")
	got = c.send(&http.Client{}, http.MethodGet, "/sign-in", nil)
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.text, "&lt;script&gt;alert(1)&lt;/script&gt;")
	require.False(t, strings.ContainsAny(got.text, "\u202e\u200b\u3164\x00\x1b\u2066"))
	got = c.send(&http.Client{}, http.MethodPost, "/sign-up", url.Values{"name": {name}, "email": {"<" + name}})
	require.NotContains(t, got.text, "<script>alert")
	require.Contains(t, got.text, "an e-mail address such as")
	for _, address := range []string{"", "bad@example.test", "BAD@example.test", "a b@example.test", "Robin <robin@example.test>"} {
		got = c.send(&http.Client{}, http.MethodPost, "/sign-up", url.Values{"name": {"Robin"}, "email": {address}})
		require.Equal(t, http.StatusUnprocessableEntity, got.status, address)
	}
}

// TestVisible_KeepsTheLinesOfATextarea, which browsers end with two characters.
func TestVisible_KeepsTheLinesOfATextarea(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a\r\n\tb", strings.Map(visible, "a\r\n\tb"))
}

// TestPlayground_AsksShortQuestions, and doesn't repeat one that was answered: it keeps the
// decisions, and Rolecall knows a banned user at once.
func TestPlayground_AsksShortQuestions(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	c := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/me" {
			_, _ = io.WriteString(w, "{}")
			return
		}
		asked <- r.URL.RequestURI()
		w.WriteHeader(http.StatusForbidden)
	}))
	client := c.visitor()
	c.send(client, http.MethodPost, "/switch", url.Values{"workspace_id": {strings.Repeat("x", 50_000)}})
	require.Less(t, len(<-asked), 500)
	require.Less(t, len(c.history.decisions[0].WorkspaceID), 500)

	got := c.send(client, http.MethodPost, "/accept", url.Values{"ticket": {c.cfg.Simulator.Mail("iris@callmine.test")[0].Ticket}, "name": {"Iris"}})
	require.Equal(t, "/dashboard", got.header.Get("Location"))
	require.Contains(t, <-asked, "/me")
	require.Empty(t, asked)
}

// TestPlayground_IsSmall: a demonstration that nobody reads through shows nothing. Its Go has fewer
// than 1,500 lines; so has all of it with templates, style sheet and script, without blank lines
// and comments.
func TestPlayground_IsSmall(t *testing.T) {
	t.Parallel()
	ofGo, ofCode := 0, 0
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if strings.HasSuffix(path, ".go") {
				ofGo++
			}
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") && !strings.HasPrefix(line, "/*") {
				ofCode++
			}
		}
		return err
	}))
	t.Logf("%d lines of Go, %d of code", ofGo, ofCode)
	require.Less(t, ofGo, 1500)
	require.Less(t, ofCode, 1500)
}
