package service_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/store"
)

// named sends a request with an id ("" for none), and returns the answer's status and id.
func named(t *testing.T, b *servicetest.Bundle, method, path, body, token, id string) (status int, answered string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.Web(path), strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range map[string]string{"X-Request-Id": id, "Authorization": "Bearer " + token, "Content-Type": "application/json"} {
		if value != "" && value != "Bearer " {
			r.Header.Set(name, value)
		}
	}
	response, err := b.Client.Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Len(t, response.Header.Values("X-Request-Id"), 1)
	return response.StatusCode, response.Header.Get("X-Request-Id")
}

// logged returns the log's lines with a message about a request.
func logged(t *testing.T, b *servicetest.Bundle, message, requestID string) (lines []map[string]any) {
	t.Helper()
	for text := range strings.Lines(b.Log.String()) {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &line))
		if line["msg"] == message && line["request_id"] == requestID {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestRequests_AreNamedCountedAndLogged on every route of the public side: by their ids, by the
// templates of their paths, and with nothing that tells of a person.
func TestRequests_AreNamedCountedAndLogged(t *testing.T) {
	t.Parallel()
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true}, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.AccessLog = true
	})
	b.Open(t, b.Config.DatabaseURL)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	token := b.Token(t, admin)
	for _, c := range []struct {
		method, path, body, token string
		status                    int
		route, caller             string
	}{
		{"GET", "/v1/authorize?workspace_id=" + workspace + "&permission=reports:read", "", token, 200, "/v1/authorize", "user"},
		{"GET", "/v1/workspaces/" + workspace + "/members", "", token, 200, "/v1/workspaces/{workspace_id}/members", "user"},
		{"HEAD", "/v1/me", "", "", 401, "/v1/me", "none"},
		{"POST", "/v1/explain", "{}", b.ServiceToken, 400, "/v1/explain", "service:reports"},
		{"POST", "/access/v1/evaluation", "{}", b.ServiceToken, 400, "/access/v1/evaluation", "service:reports"},
		{"GET", "/v1/ext-authz/reset/products-secret", "", token, 404, "/v1/ext-authz/{path}", "none"},
		{"GET", "/v1/forward-auth", "", token, 400, "/v1/forward-auth", "none"},
		{"POST", "/webhooks/clerk", "{}", "", 400, "/webhooks/clerk", "none"},
		{"BREW", "/v1/me", "", "", 405, "other", "none"},
		{"GET", "/nowhere/" + token, "", "", 404, "other", "none"},
	} {
		status, id := named(t, b, c.method, c.path, c.body, c.token, "")
		require.Equal(t, c.status, status, c.path)
		lines := logged(t, b, "request", id)
		require.Len(t, lines, 1, c.path)
		line := lines[0]
		require.Equal(t, []any{c.route, float64(c.status), c.caller}, []any{line["route"], line["status"], line["caller"]}, c.path)
		require.Contains(t, line, "seconds")
		require.Contains(t, line, "bytes")
		_, text := b.Text(t, "/metrics")
		method := strings.Replace(c.method, "BREW", "other", 1)
		require.Regexp(t, `rolecall_http_request_seconds_count\{method="`+method+`",route="`+strings.NewReplacer("{", `\{`, "}", `\}`).Replace(c.route)+`",status="`+
			strconv.Itoa(c.status)+`"\} 1`, text)
	}
	_, text := b.Text(t, "/metrics")
	require.Regexp(t, `rolecall_build_info\{goversion="go1[^"]*",revision="[^"]*",version="[^"]+"\} 1`, text)
	_, id := named(t, b, "GET", "/v1/me", "", token, "the-callers-own")
	require.Equal(t, "the-callers-own", id)
	for _, secret := range []string{token, b.ServiceToken, "products-secret", "permission=", b.Secret} {
		require.NotContains(t, b.Log.String(), secret)
	}
	var deliveries int
	for text := range strings.Lines(b.Log.String()) {
		if strings.Contains(text, `"route":"/webhooks/clerk"`) && strings.Contains(text, `"svix_id":"`) {
			deliveries++
		}
	}
	require.Equal(t, len(messages), deliveries, "the line of a webhook names its delivery")
}

// TestRequests_WithoutAccessLog: a request that is answered as it should be writes nothing.
func TestRequests_WithoutAccessLog(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	_, id := named(t, b, "GET", "/v1/me", "", "", "")
	require.Empty(t, logged(t, b, "request", id))
}

// TestErrors_NameTheirRequest with its method, its path and its route.
func TestErrors_NameTheirRequest(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	_, err := b.DB.Exec(t.Context(), "ALTER TABLE rolecall.invitations RENAME TO away")
	require.NoError(t, err)
	path := "/v1/workspaces/" + workspace + "/invitations"
	status, id := named(t, b, http.MethodGet, path+"?limit=1", "", b.Token(t, admin), "from-a-caller")
	require.Equal(t, http.StatusInternalServerError, status)
	require.Equal(t, "from-a-caller", id)
	lines := logged(t, b, "request failed", id)
	require.Len(t, lines, 1)
	require.Equal(t, []any{"GET", path, "/v1/workspaces/{workspace_id}/invitations"}, []any{lines[0]["method"], lines[0]["path"], lines[0]["route"]})
	_, err = b.DB.Exec(t.Context(), "ALTER TABLE rolecall.away RENAME TO invitations")
	require.NoError(t, err)
}

// TestCommands_LeadToTheirRequest and back: by the log, and by the audit entry.
func TestCommands_LeadToTheirRequest(t *testing.T) {
	t.Parallel()
	b := setupAsking(t) // and no sweep, which might see the change first
	workspace, admin, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	status, id := named(t, b, http.MethodPatch, "/v1/workspaces/"+workspace+"/members/"+member, `{"role":"admin"}`, b.Token(t, admin), "a-role-change")
	require.Equal(t, http.StatusOK, status)
	entries, err := store.AuditEntries(t.Context(), b.DB, store.AuditQuery{OrganizationID: workspace, Action: "member.role_changed"}, 10)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	asked, err := store.RequestsOfChanges(t.Context(), b.DB, entries)
	require.NoError(t, err)
	require.Equal(t, id, asked[entries[0].ID])
	lines := logged(t, b, "command ended", id)
	require.Len(t, lines, 1)
	require.Equal(t, []any{entries[0].Cause, "done", workspace, member}, []any{lines[0]["command_id"], lines[0]["state"], lines[0]["workspace_id"], lines[0]["target"]})
}

// TestRequests_SlowOnesAreLogged with their ids and how long they worked, also if their senders had
// gone. What waited for changes, streamed or failed is no slow request.
func TestRequests_SlowOnesAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Lines{}
		logger := slog.New(request.Log(slog.NewJSONHandler(log, nil)))
		gone, leave := context.WithCancel(t.Context())
		work := func(d time.Duration) { <-time.After(d) }
		for name, handler := range map[string]http.HandlerFunc{
			"slow":  func(http.ResponseWriter, *http.Request) { work(1500 * time.Millisecond) },
			"gone":  func(http.ResponseWriter, *http.Request) { work(2 * time.Second); leave() },
			"quick": func(http.ResponseWriter, *http.Request) { work(900 * time.Millisecond) },
			"waits": func(_ http.ResponseWriter, r *http.Request) {
				work(25 * time.Second)
				request.Of(r.Context()).Waited(24500 * time.Millisecond)
			},
			"streams": func(w http.ResponseWriter, _ *http.Request) {
				work(2 * time.Second)
				_ = http.NewResponseController(w).Flush()
			},
			"fails": func(w http.ResponseWriter, _ *http.Request) {
				work(5 * time.Second)
				w.WriteHeader(http.StatusServiceUnavailable)
			},
		} {
			sender := t.Context()
			if name == "gone" {
				sender = gone
			}
			r := httptest.NewRequestWithContext(sender, http.MethodGet, "/v1/me", http.NoBody)
			r.Header.Set("X-Request-Id", name)
			request.Handler(handler, func(ctx context.Context, r *request.Record, e request.Ended) {
				service.LogSlow(ctx, logger, r, e)
			}).ServeHTTP(httptest.NewRecorder(), r)
		}
		told := map[any]any{}
		for text := range strings.Lines(log.String()) {
			var line map[string]any
			require.NoError(t, json.Unmarshal([]byte(text), &line))
			require.Equal(t, []any{"WARN", "slow request", "/v1/me", "none"}, []any{line["level"], line["msg"], line["path"], line["caller"]})
			told[line["request_id"]] = []any{line["status"], line["seconds"]}
		}
		require.Equal(t, map[any]any{"slow": []any{200.0, 1.5}, "gone": []any{0.0, 2.0}}, told)
	})
}

// TestMetrics_CountAnswersOfAStaleMirror: a metric tells them apart from a 503 that is a fault.
func TestMetrics_CountAnswersOfAStaleMirror(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true})
	b.Open(t, url)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	_, err := b.DB.Exec(t.Context(), `INSERT INTO rolecall.revisions (organization_id, revision, verified_at) VALUES ('', 0, now() - interval '1 hour')
		ON CONFLICT (organization_id) DO UPDATE SET verified_at = excluded.verified_at`)
	require.NoError(t, err)
	target := "/v1/authorize?permission=reports:read&workspace_id=" + workspace
	for demand, want := range map[string]int{"": http.StatusOK, "&max_staleness=60": http.StatusServiceUnavailable} {
		status, body := b.Get(t, b.Web(target+demand), b.Token(t, admin))
		require.Equal(t, want, status, body)
	}
	_, text := b.Text(t, "/metrics")
	require.Contains(t, text, "\nrolecall_stale_answers_total 1\n")
}
