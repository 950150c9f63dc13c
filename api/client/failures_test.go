package client_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
)

// fake is a server in Rolecall's place, which counts the requests.
func fake(t *testing.T, serve http.HandlerFunc) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// requireFailsClosed requires that each way to ask refuses.
func requireFailsClosed(t *testing.T, url string, change func(*client.Config)) {
	t.Helper()
	var failed atomic.Int64
	c := newClient(t, url, func(cfg *client.Config) {
		cfg.Failed = func(_ *http.Request, err error) {
			if err != nil {
				failed.Add(1)
			}
		}
		if change != nil {
			change(cfg)
		}
	})
	d, err := c.Authorize(t.Context(), client.Check{UserID: "user_1", WorkspaceID: "org_1", Permission: "reports:read"})
	require.Error(t, err)
	require.Zero(t, d)
	answer, seen := ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_1")
	requireRefused(t, http.StatusServiceUnavailable, answer, seen)
	answer, seen = ask(t, c.RequireFor("reports:read", always("org_1"), always("user_1")))
	requireRefused(t, http.StatusServiceUnavailable, answer, seen)
	require.Equal(t, int64(2), failed.Load())
}

func TestClient_FailsClosedOnADeadServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	requireFailsClosed(t, server.URL, nil)
}

func TestClient_FailsClosedOnAHangingServer(t *testing.T) {
	t.Parallel()
	url, _ := fake(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	began := time.Now()
	requireFailsClosed(t, url, func(c *client.Config) { c.Timeout = 100 * time.Millisecond })
	require.Less(t, time.Since(began), 10*time.Second, "three questions of a tenth of a second each")

	halfway, _ := fake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(`{"allowed":true`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	requireFailsClosed(t, halfway, func(c *client.Config) { c.Timeout = 100 * time.Millisecond })

	c := newClient(t, url, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Authorize(ctx, client.Check{UserID: "user_1", WorkspaceID: "org_1", Permission: "reports:read"})
	require.ErrorIs(t, err, context.Canceled)
}

// TestClient_FailsClosedOnStrangeAnswers: only the decision that was asked for counts.
func TestClient_FailsClosedOnStrangeAnswers(t *testing.T) {
	t.Parallel()
	const yes = `{"allowed":true,"reason":"allowed","role":"org:admin","permission":"reports:read","workspace_id":"org_1","user_id":"user_1","revision":1,"as_of":null}`
	for name, body := range map[string]string{
		"nothing": "", "a page": "<html>Welcome</html>", "null": "null", "an empty object": "{}", "allowed alone": `{"allowed":true}`,
		"another workspace":  `{"allowed":true,"reason":"allowed","permission":"reports:read","workspace_id":"org_2","user_id":"user_1"}`,
		"another permission": `{"allowed":true,"reason":"allowed","permission":"x","workspace_id":"org_1","user_id":"user_1"}`,
		"no user":            `{"allowed":true,"reason":"allowed","permission":"reports:read","workspace_id":"org_1"}`,
		"no reason":          `{"allowed":true,"permission":"reports:read","workspace_id":"org_1","user_id":"user_1"}`,
		"contradiction":      `{"allowed":true,"reason":"not_a_member","permission":"reports:read","workspace_id":"org_1","user_id":"user_1"}`,
		"no decisions":       `{"decisions":[]}`, "two for one": `{"decisions":[` + yes + `,` + yes + `]}`,
		"another user's": `{"decisions":[{"allowed":true,"reason":"allowed","permission":"reports:read","workspace_id":"org_1","user_id":"user_2"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := fake(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
			requireFailsClosed(t, url, nil)
		})
	}
	for _, status := range []int{201, 204, 301, 302, 307, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 504} {
		elsewhere, asked := fake(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(yes)) })
		url, _ := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(yes))
		})
		requireFailsClosed(t, url, nil)
		require.Zero(t, asked.Load(), "a redirect is followed")
	}
	url, asked := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, yes+strings.Repeat(" ", 1<<20))
	})
	requireFailsClosed(t, url, nil)
	require.Equal(t, int64(3), asked.Load(), "an answer isn't asked for again")
}

// TestClient_ForeignRefusalsAreOutages: a status alone says nothing about the user. It may come
// from a proxy or another server.
func TestClient_ForeignRefusalsAreOutages(t *testing.T) {
	t.Parallel()
	for _, answer := range []struct {
		status int
		body   string
	}{
		{http.StatusUnauthorized, `{"type":"about:blank"}`},
		{http.StatusForbidden, "<html>Forbidden</html>"},
		{http.StatusNotFound, "404 page not found\n"},
		{http.StatusNotFound, `{"type":"urn:rolecall:problem:method-not-allowed"}`},
		{http.StatusNotFound, `{"type":"urn:rolecall:problem:unauthenticated"}`},
		{http.StatusInternalServerError, `{"type":"urn:rolecall:problem:not-found"}`},
	} {
		url, _ := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		})
		requireFailsClosed(t, url, nil)
	}
}

// TestRequireFor_RefusedServiceIsAnOutage: Rolecall's refusal of the service says nothing about the
// user. With a revoked service token, users must not get a 401; with a wrong address, they must not
// get a 404. Failed gets the error.
func TestRequireFor_RefusedServiceIsAnOutage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for what, change := range map[string]func(*client.Config){
		"a token of before": func(cfg *client.Config) { cfg.ServiceToken = "rcs_rotated" },
		"another path":      func(cfg *client.Config) { cfg.URL += "/elsewhere" },
	} {
		var failed []error
		c := newClient(t, b.url, func(cfg *client.Config) {
			cfg.Failed = func(_ *http.Request, err error) { failed = append(failed, err) }
			change(cfg)
		})
		answer, seen := ask(t, c.RequireFor("reports:read", always("org_1"), always("user_member")))
		requireRefused(t, http.StatusServiceUnavailable, answer, seen)
		require.Len(t, failed, 1, what)
		var refused *client.Error
		require.ErrorAs(t, failed[0], &refused, "Rolecall's own answer")
	}
}

// TestClient_RetriesWhatMayPass: outages are tried again as often as configured, refusals aren't.
func TestClient_RetriesWhatMayPass(t *testing.T) {
	t.Parallel()
	const yes = `{"allowed":true,"reason":"allowed","role":"org:admin","permission":"reports:read","workspace_id":"org_1","user_id":"user_1","revision":1,"as_of":null}`
	for _, test := range []struct {
		status  int // of the first answer; 0 for none
		retries int
		asked   int64
		in      bool
	}{
		{http.StatusServiceUnavailable, 0, 2, true},
		{http.StatusBadGateway, 0, 2, true},
		{http.StatusGatewayTimeout, 3, 2, true},
		{0, 0, 2, true},
		{http.StatusServiceUnavailable, -1, 1, false},
		{http.StatusForbidden, 3, 1, false},
		{http.StatusNotFound, 3, 1, false},
		{http.StatusUnauthorized, 3, 1, false},
		{http.StatusInternalServerError, 3, 1, false},
		{http.StatusConflict, 3, 1, false},
	} {
		var first atomic.Bool
		url, asked := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			switch {
			case first.Swap(true):
				_, _ = w.Write([]byte(yes))
			case test.status == 0:
				panic(http.ErrAbortHandler)
			default:
				w.WriteHeader(test.status)
			}
		})
		c := newClient(t, url, func(c *client.Config) { c.Retries = test.retries })
		_, seen := ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_1")
		require.Equal(t, test.in, seen != nil, "%+v", test)
		require.Equal(t, test.asked, asked.Load(), "%+v", test)
	}
}

// TestRequire_TellsAnEndedSession: the sender must sign in again. A decision names the impersonator.
func TestRequire_TellsAnEndedSession(t *testing.T) {
	t.Parallel()
	url, _ := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"type":"urn:rolecall:problem:session-ended","title":"x","status":401}`)
	})
	c := newClient(t, url, func(cfg *client.Config) {
		cfg.Failed = func(_ *http.Request, err error) { t.Errorf("reported as an outage: %v", err) }
	})
	answer, seen := ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_1")
	requireRefused(t, http.StatusUnauthorized, answer, seen)
	require.Contains(t, answer.Body.String(), "urn:rolecall:problem:session-ended")

	url, _ = fake(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allowed":true,"reason":"allowed","role":"org:admin","permission":"reports:read","workspace_id":"org_1",`+
			`"user_id":"user_1","impersonator":"user_2","revision":1,"as_of":null}`)
	})
	var impersonator string
	handler := newClient(t, url, nil).Require("reports:read", always("org_1"))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		d, _ := client.FromContext(r.Context())
		impersonator = d.Impersonator
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer user_1")
	handler.ServeHTTP(httptest.NewRecorder(), request)
	require.Equal(t, "user_2", impersonator)
}
