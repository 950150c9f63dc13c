package request_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/internal/testlog"
)

// ended is how the last request ended.
type ended struct {
	request.Ended

	route, method, path, caller string
}

// ask sends a request through a handler, and returns the answer and how the request ended.
func ask(t *testing.T, r *http.Request, handler http.HandlerFunc) (*httptest.ResponseRecorder, ended) {
	t.Helper()
	var last ended
	recorder := httptest.NewRecorder()
	watched := request.Handler(handler, func(_ context.Context, r *request.Record, e request.Ended) {
		last = ended{e, r.Route(), r.Method(), r.Path(), r.Caller()}
	})
	func() {
		defer func() { _ = recover() }() // as net/http does
		watched.ServeHTTP(recorder, r)
	}()
	return recorder, last
}

func get(t *testing.T, target string, ids ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	r.Header[request.Header] = ids
	return r
}

func TestID_IsTheSendersIfItIsSane(t *testing.T) {
	t.Parallel()
	sane := []string{"a", "9f86d081-1f0c-4f1e-9f6c-0a9c1f6f2f11", `!"{}~`, strings.Repeat("x", 128)}
	odd := [][]string{nil, {""}, {"a b"}, {"a\n"}, {"a\x7f"}, {"é"}, {strings.Repeat("x", 129)}, {"a", "b"}}
	show := func(http.ResponseWriter, *http.Request) {}
	for _, id := range sane {
		answer, _ := ask(t, get(t, "/", id), show)
		require.Equal(t, []string{id}, answer.Header()[request.Header])
	}
	seen := map[string]bool{}
	for _, ids := range odd {
		answer, _ := ask(t, get(t, "/", ids...), func(_ http.ResponseWriter, r *http.Request) {
			seen[request.ID(r.Context())] = true
		})
		require.Len(t, answer.Header()[request.Header], 1)
		require.Regexp(t, "^[0-9a-f]{20}$", answer.Header().Get(request.Header), "%q", ids)
		require.True(t, seen[answer.Header().Get(request.Header)], "the context has another one")
	}
	require.Len(t, seen, len(odd), "each has an id of its own")
}

// TestEnded_HasWhatTheSenderSaw also if the handler panics, or the sender goes away.
func TestEnded_HasWhatTheSenderSaw(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		method  string
		status  int
		bytes   int64
	}{
		"nothing written": {func(http.ResponseWriter, *http.Request) {}, "GET", 200, 0},
		"a body":          {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "four") }, "GET", 200, 4},
		"no body of HEAD": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "four") }, "HEAD", 200, 0},
		"a refusal":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "GET", 404, 0},
		"an early hint": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		}, "GET", 204, 0},
		"a panic": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "GET", 0, 0},
		"a late panic": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic(http.ErrAbortHandler)
		}, "GET", 200, 0},
		"a gone sender":   {func(w http.ResponseWriter, _ *http.Request) { cancel(); w.WriteHeader(http.StatusServiceUnavailable) }, "POST", 0, 0},
		"gone, no answer": {func(http.ResponseWriter, *http.Request) { cancel() }, "POST", 0, 0},
	} {
		ctx := t.Context()
		if c.method == http.MethodPost {
			ctx = gone
		}
		_, e := ask(t, httptest.NewRequestWithContext(ctx, c.method, "/", http.NoBody), c.handler)
		require.Equal(t, c.status, e.Status, name)
		require.Equal(t, c.bytes, e.Bytes, name)
	}
}

// TestRecord_HasFewRoutesAndMethods, whatever callers send.
func TestRecord_HasFewRoutesAndMethods(t *testing.T) {
	t.Parallel()
	_, e := ask(t, httptest.NewRequestWithContext(t.Context(), "BREW", "/", http.NoBody), func(http.ResponseWriter, *http.Request) {})
	require.Equal(t, "other", e.method)
	require.Equal(t, "other", e.route)
	require.Equal(t, "none", e.caller)
	_, e = ask(t, get(t, "/"), func(_ http.ResponseWriter, r *http.Request) {
		request.Of(r.Context()).SetRoute("/v1/{id}")
		request.Of(r.Context()).SetCaller("reports")
	})
	require.Equal(t, "/v1/{id}", e.route)
	require.Equal(t, "service:reports", e.caller)
	require.Equal(t, "GET", e.method)
}

func TestPath_HasNoQueryTokenOrAddress(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("t", 65)
	for target, shown := range map[string]string{
		"/v1/workspaces/org_1/members/user_1?q=ada@example.com": "/v1/workspaces/org_1/members/user_1",
		"/v1/workspaces/ada@example.com/me":                     "/v1/workspaces/…/me",
		"/v1/workspaces/rcs_c2VjcmV0/me":                        "/v1/workspaces/…/me",
		"/whsec_c2VjcmV0":                                       "/…",
		"/v1/workspaces/ada%40example.com":                      "/v1/workspaces/…",
		"/" + long + "/me":                                      "/…/me",
		"/a" + strings.Repeat("/abcde", 60) + "é":               "/a" + strings.Repeat("/abcde", 49) + "/…",
	} {
		_, e := ask(t, get(t, target), func(http.ResponseWriter, *http.Request) {})
		require.Equal(t, shown, e.path)
	}
	_, e := ask(t, get(t, "/v1/ext-authz/reset/secret"), func(_ http.ResponseWriter, r *http.Request) {
		request.Of(r.Context()).SetRoute("/v1/ext-authz/{path}")
		request.Of(r.Context()).HidePath()
	})
	require.Equal(t, "/v1/ext-authz/{path}", e.path)
}

func TestLog_NamesTheRequest(t *testing.T) {
	t.Parallel()
	log := &testlog.Lines{}
	logger := slog.New(request.Log(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	logger.InfoContext(t.Context(), "no request")
	ask(t, get(t, "/v1/a?b=c", "id-1"), func(_ http.ResponseWriter, r *http.Request) {
		request.Of(r.Context()).SetRoute("/v1/{x}")
		request.Of(r.Context()).Note(slog.String("svix_id", "msg_1"))
		logger.With("queue", "q").InfoContext(r.Context(), "a line")
		logger.ErrorContext(r.Context(), "a failure", "error", "e")
	})
	require.Equal(t, `level=INFO msg="no request"
level=INFO msg="a line" queue=q request_id=id-1
level=ERROR msg="a failure" error=e request_id=id-1 method=GET path=/v1/a route=/v1/{x} svix_id=msg_1
`, log.String())
}

// TestRecord_MayBeMissing, where requests don't come through [request.Handler].
func TestRecord_MayBeMissing(t *testing.T) {
	t.Parallel()
	r := request.Of(t.Context())
	require.Nil(t, r)
	r.SetRoute("/")
	r.SetCaller("")
	r.HidePath()
	r.Note(slog.String("a", "b"))
	require.Equal(t, []any{"other", "other", "", "none"}, []any{r.Route(), r.Method(), r.Path(), r.Caller()})
	require.Empty(t, r.Notes())
	require.Empty(t, request.ID(t.Context()))
}

// BenchmarkHandler measures what a request costs here, beside the handler alone.
func BenchmarkHandler(b *testing.B) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request.Of(r.Context()).SetRoute("/v1/authorize")
		w.WriteHeader(http.StatusOK)
	})
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/authorize", http.NoBody)
	for name, handler := range map[string]http.Handler{
		"alone":   next,
		"watched": request.Handler(next, func(context.Context, *request.Record, request.Ended) {}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := &discard{header: http.Header{}}
			for b.Loop() {
				handler.ServeHTTP(w, r)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
