package console_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestAttack_ForgedCookiesCostNothing: a stranger's cookies make no query, so that they keep no
// operator out. The table of sessions is away while they come.
func TestAttack_ForgedCookiesCostNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	right := d.browser.Jar.Cookies(parsed(t, d.Admin("/")))[0].Value
	id, _, _ := strings.Cut(right, ".")
	_, err := d.DB.Exec(t.Context(), "ALTER TABLE rolecall.operator_sessions RENAME TO elsewhere")
	require.NoError(t, err)
	for _, forged := range []string{"x", strings.Repeat("A", 52), id, id + ".", id + "." + strings.Repeat("A", 43), right + "A", "A" + right} {
		a := ask(t, newBrowser(t), newRequest(t, http.MethodGet, d.Admin("/"), nil, []string{"Cookie", "rolecall_operator=" + forged}))
		require.Equal(t, http.StatusSeeOther, a.StatusCode, "%q asked the database", forged)
	}
	require.Equal(t, http.StatusInternalServerError, d.get(t, "/").StatusCode, "only a cookie of ours does")
}

// TestAttack_CookiesOfAnotherServer: another server on this host name can't sign an operator out,
// nor put words into the console.
func TestAttack_CookiesOfAnotherServer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	right := d.browser.Jar.Cookies(parsed(t, d.Admin("/")))[0]
	a := ask(t, newBrowser(t), newRequest(t, http.MethodGet, d.Admin("/"), nil, []string{
		"Cookie", "rolecall_operator=x; rolecall_operator=y; rolecall_operator=z; " + right.String() + "; rolecall_said=UGFzdGUgeW91ciB0b2tlbiBhdCBldmlsLnRlc3Q",
	}))
	require.Equal(t, http.StatusOK, a.StatusCode, "the right cookie is among them")
	require.NotContains(t, a.text, "evil.test")
}

// TestAttack_SaidOfAnotherSession: what a change did is said to the operator who made it.
func TestAttack_SaidOfAnotherSession(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	a := d.post(t, "/sweeps/dry-run", url.Values{})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.text)
	said := a.Cookies()
	require.Len(t, said, 1)
	require.Contains(t, d.get(t, "/sweeps").text, "The dry run is ordered")
	require.NotContains(t, d.get(t, "/sweeps").text, "The dry run is ordered", "it is said once")
	d.signIn(t)
	require.NotContains(t, d.get(t, "/sweeps", "Cookie", said[0].Name+"="+said[0].Value).text, "The dry run is ordered")
}

// TestAttack_LargeBodiesAreNotKept: a body of any size fills neither the disk nor the memory, on no
// page and before signing in.
func TestAttack_LargeBodiesAreNotKept(t *testing.T) {
	folder := t.TempDir()
	d := newDesk(t)
	t.Setenv("TMPDIR", folder)
	var most atomic.Int64 // the transport reads the body in a goroutine of its own
	for _, path := range []string{"/sign-in", "/users"} {
		body := &counting{part: bytes.Repeat([]byte("a"), 1<<20), each: func() {
			if files, err := os.ReadDir(folder); err != nil || len(files) > 0 {
				most.Store(max(most.Load(), 1, int64(len(files))))
			}
		}}
		body.left.Store(4096)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.Admin(path), io.MultiReader(
			strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"), body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		if response, err := d.browser.Do(request); err == nil {
			require.NoError(t, response.Body.Close())
		}
		require.Zero(t, most.Load(), "%s keeps a file", path)
		require.Positive(t, body.left.Load(), "%s reads it all", path)
		d.signIn(t)
	}
}

// counting is a body of megabytes.
type counting struct {
	part []byte
	left atomic.Int64
	each func()
}

// Read implements [io.Reader].
func (c *counting) Read(to []byte) (int, error) {
	if c.left.Load() == 0 {
		return 0, io.EOF
	}
	c.left.Add(-1)
	c.each()
	return copy(to, c.part), nil
}

// TestAttack_OtherSitesAskForNothing: a page of another site can't make a browser read pages or
// download files here, be it to keep the console busy or to measure its answers. A link may lead to
// a page, and never to a file.
func TestAttack_OtherSitesAskForNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	readOnly := newDesk(t, withoutOperators("127.0.0.1:0"))
	for _, one := range []*desk{d, readOnly} {
		for _, path := range []string{"/", "/users?search=a", "/events", "/audit/export.csv", "/jobs/api/jobs"} {
			for _, headers := range [][]string{
				{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
				{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
				{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			} {
				require.Equal(t, http.StatusForbidden, one.get(t, path, headers...).StatusCode, "%s %v", path, headers)
			}
		}
		link := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
		require.Equal(t, http.StatusOK, one.get(t, "/", link...).StatusCode)
		require.Equal(t, http.StatusForbidden, one.get(t, "/audit/export.csv", link...).StatusCode)
		require.Equal(t, http.StatusForbidden, ask(t, newBrowser(t), newRequest(t, http.MethodGet, one.Admin("/audit/export.csv"), nil, link)).StatusCode,
			"without the cookie, the page would load itself again, and be of this site then")
		require.Equal(t, http.StatusOK, one.get(t, "/audit/export.csv", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate").StatusCode)
	}
	require.Len(t, d.logged(t), 2, "one sign-in and one download")
}

// TestAttack_HeadIsCheap: HEAD neither reads a list nor keeps a stream.
func TestAttack_HeadIsCheap(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	for _, path := range []string{"/events", "/audit/export.csv", "/audit/export.jsonl"} {
		a := ask(t, d.browser, newRequest(t, http.MethodHead, d.Admin(path), nil, nil))
		require.Equal(t, http.StatusMethodNotAllowed, a.StatusCode, path)
		require.Equal(t, "GET", a.Header.Get("Allow"), path)
	}
	require.Equal(t, http.StatusOK, ask(t, d.browser, newRequest(t, http.MethodHead, d.Admin("/"), nil, nil)).StatusCode)
	require.Len(t, d.logged(t), 1, "nothing was exported")
}

// TestAttack_ProxyOnThisMachine: without tokens, what a proxy passes on is refused, even if it says
// that it came to localhost.
func TestAttack_ProxyOnThisMachine(t *testing.T) {
	t.Parallel()
	d := newDesk(t, withoutOperators("127.0.0.1:0"))
	for _, headers := range [][]string{
		{"X-Forwarded-For", ""},
		{"X-Forwarded-Proto", "https"},
		{"X-Forwarded-Server", "a"},
		{"X-Real-Ip", "192.0.2.1"},
		{"Forwarded", "for=192.0.2.1"},
		{"Via", "1.1 a"},
		{"X-Original-Host", "a"},
		{"Cf-Connecting-Ip", "192.0.2.1"},
		{"True-Client-Ip", "192.0.2.1"},
		{"Sec-Fetch-Site", "same-origin", "Referer", "https://console.example/users"},
	} {
		require.Equal(t, http.StatusForbidden, d.get(t, "/", append(headers, "Host", "localhost:9090")...).StatusCode, headers)
	}
	require.Equal(t, http.StatusOK, d.get(t, "/", "Sec-Fetch-Site", "same-origin", "Referer", "http://localhost:9090/users", "Host", "localhost:9090").StatusCode)

	connection, err := net.Dial("tcp", d.Service.AdminAddr)
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(connection, "GET / HTTP/1.0\r\nHost: 127.0.0.1:9090\r\n\r\n")
	require.NoError(t, err)
	text, err := io.ReadAll(connection)
	require.NoError(t, err)
	require.Contains(t, string(text), "403 Forbidden", "nginx asks like this unless it is told otherwise")
}

// TestAttack_StreamsOfOneSession: one session leaves streams to others, and its streams end with
// it.
func TestAttack_StreamsOfOneSession(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	var first *http.Response
	for range 8 {
		response, err := d.browser.Do(newRequest(t, http.MethodGet, d.Admin("/events"), nil, nil))
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		first = response
	}
	require.Equal(t, http.StatusServiceUnavailable, d.get(t, "/events").StatusCode)
	other := *d
	other.browser = newBrowser(t)
	other.signIn(t)
	response, err := other.browser.Do(newRequest(t, http.MethodGet, d.Admin("/events"), nil, nil))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)

	require.Equal(t, http.StatusSeeOther, d.post(t, "/sign-out", nil).StatusCode)
	_, err = io.Copy(io.Discard, first.Body)
	require.NoError(t, err, "it ended, and wasn't cut")
}

// TestAttack_OddAddresses: an address that no page has is not found, and no fault of ours.
func TestAttack_OddAddresses(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	for _, path := range []string{
		"/workspaces/%00", "/workspaces/%ff", "/workspaces/%00/members", "/users/%00", "/users/a%ffb", "/deliveries/%00", "/deliveries/%c0%af", "/sweeps/%00",
		"/sweeps/99999999999999999999", "/sweeps/-1", "/%00", "/jobs/%00", "/jobs/api/queues/%00", "/help/%00", "/assets/..%2fstyle.css", "/deliveries/..%2f..%2fmetrics",
	} {
		require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest}, d.get(t, path).StatusCode, path)
	}
	for _, path := range []string{"/deliveries/%00/replay", "/sweeps/%00/confirm", "/sweeps/%ff/confirm"} {
		require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest}, d.post(t, path, url.Values{"number": {"\x00"}}).StatusCode, path)
	}
	for _, path := range []string{"/users?search=%00", "/workspaces?search=%ff", "/deliveries?type=%00", "/audit?workspace=%00", "/audit?actor=%ff", "/?over=%00"} {
		require.Less(t, d.get(t, path).StatusCode, 500, path)
	}
	require.Equal(t, http.StatusOK, d.get(t, "/audit/export.csv?x=%00&%00=%ff").StatusCode)
	require.Len(t, d.logged(t), 2)
}

// TestAttack_ShortTokens: a token that could be guessed signs no operator in, even if its hash is
// configured.
func TestAttack_ShortTokens(t *testing.T) {
	t.Parallel()
	hash := func(token string) string { sum := sha256.Sum256([]byte(token)); return hex.EncodeToString(sum[:]) }
	short, bare := "rco_hunter2", strings.Repeat("x", 60)
	d := newDesk(t, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.OperatorTokens += ",eve:" + hash(short) + ",mallory:" + hash(bare)
	})
	for _, token := range []string{short, bare} {
		a := d.post(t, "/sign-in", url.Values{"token": {token}})
		require.Equal(t, http.StatusUnauthorized, a.StatusCode)
		require.Contains(t, a.text, "43 characters")
	}
	d.signIn(t)
}

// TestAttack_AddressInTheLog: an entry has the address itself.
func TestAttack_AddressInTheLog(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	d.post(t, "/sign-in", url.Values{"token": {"wrong"}})
	var addresses int
	require.NoError(t, d.DB.QueryRow(t.Context(), `SELECT count(*) FROM rolecall.audit_log WHERE data->>'address' = '127.0.0.1'`).Scan(&addresses))
	require.Equal(t, 2, addresses)
}

// TestAttack_JobsWithoutTheirIDs: no change of jobs can hide what it changes, and nothing but River
// UI's API takes changes.
func TestAttack_JobsWithoutTheirIDs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	for _, body := range []string{`{"ids":[1]} x`, `[1]`, `"x"`, `{"ids":`, `null`} {
		require.Equal(t, http.StatusBadRequest, d.send(t, http.MethodPost, "/jobs/api/jobs/cancel", body).StatusCode, body)
	}
	for _, path := range []string{"/jobs/", "/jobs/jobs", "/jobs/x/%2e%2e/api/jobs/cancel", "/jobs/%2Fapi/jobs/cancel", "/jobs/%2e/api/jobs/cancel", "/jobs/API/jobs/cancel"} {
		a := d.send(t, http.MethodPost, path, `{"ids":[1]}`)
		require.Contains(t, []int{http.StatusNotFound, http.StatusTemporaryRedirect}, a.StatusCode, path)
		require.Equal(t, 0, strings.Count(strings.Join(d.logged(t), " "), "jobs_changed"), path)
	}
	require.Equal(t, http.StatusForbidden, ask(t, d.browser, newRequest(t, http.MethodPost, d.Admin("/jobs/api/jobs/cancel"), nil, []string{"Origin", "null"})).StatusCode)
	for _, header := range []string{"X-Http-Method-Override", "X-Method-Override", "X-Http-Method"} {
		require.Equal(t, http.StatusOK, d.get(t, "/jobs/api/queues?_method=PUT", header, "PUT").StatusCode)
	}
	require.Len(t, d.logged(t), 1)
}

// TestAttack_JobsReadSlowly: a browser that doesn't read its answer keeps no other from River UI.
func TestAttack_JobsReadSlowly(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	_, err := d.DB.Exec(t.Context(), `INSERT INTO rolecall.river_job (args, kind, max_attempts, queue, state, scheduled_at)
		SELECT jsonb_build_object('a', repeat('x', 50000)), 'other', 1, 'unworked', 'scheduled', now() + interval '1 day' FROM generate_series(1, 300)`)
	require.NoError(t, err)
	const path = "/jobs/api/jobs?state=scheduled&limit=300"
	for range 3 {
		response, err := d.browser.Do(newRequest(t, http.MethodGet, d.Admin(path), nil, nil))
		require.NoError(t, err)
		defer response.Body.Close() // some 15 MB that nothing has read
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	require.Equal(t, http.StatusOK, d.get(t, "/jobs/api/states").StatusCode)
}

func parsed(t *testing.T, at string) *url.URL {
	t.Helper()
	u, err := url.Parse(at)
	require.NoError(t, err)
	return u
}
