package client_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/client"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	serviceToken = "rcs_reports"
	limitedToken = "rcs_limited" // to org_2
)

// tokens identifies callers by the token's text: a user's id is that user's token. The real
// authenticator has tests of its own.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, r *http.Request) (auth.Identity, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case token == serviceToken:
		return auth.Identity{Service: "reports"}, nil
	case token == limitedToken:
		return auth.Identity{Service: "limited", Rights: &auth.Rights{Workspaces: []string{"org_2"}}}, nil
	case strings.HasPrefix(token, "user_"):
		return auth.Identity{UserID: token}, nil
	default:
		return auth.Identity{}, auth.ErrUnauthenticated
	}
}

// bundle is the real API on a database of its own, with an admin, a member and a stranger of org_1.
type bundle struct {
	db     *mirrortest.DB
	url    string
	events int
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{db: mirrortest.New(t)}
	builtIn, err := policy.Default()
	require.NoError(t, err)
	handler, err := api.NewHandler(api.Config{
		DB: b.db.Pool, Authenticator: tokens{}, Policy: func() *policy.Policy { return &builtIn }, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.deliver(t, clerksync.MembershipCreated, "user_admin", "org:admin")
	b.deliver(t, clerksync.MembershipCreated, "user_member", "org:member")
	return b
}

// deliver brings an event about a membership into the mirror, as the apply job does.
func (b *bundle) deliver(t *testing.T, event clerksync.EventType, user, role string) {
	t.Helper()
	b.events++
	at := time.Date(2026, 1, 2, 3, 4, b.events, 0, time.UTC)
	body, err := json.Marshal(map[string]any{
		"object": "event", "type": event, "timestamp": at.UnixMilli(), "instance_id": "ins_1", "data": map[string]any{
			"object": "organization_membership", "id": "orgmem_" + user, "role": role, "permissions": []string{},
			"created_at": at.UnixMilli(), "updated_at": at.UnixMilli(), "organization": map[string]any{"id": "org_1", "created_at": at.UnixMilli()},
			"public_user_data": map[string]any{"user_id": user},
		},
	})
	require.NoError(t, err)
	d := clerksync.NewDelivery("msg_"+at.Format("05"), body, at, at)
	b.db.Insert(t, d)
	_, err = b.db.Apply(t.Context(), d.ID)
	require.NoError(t, err)
}

// newClient returns a client of url with connections of its own.
func newClient(t *testing.T, url string, change func(*client.Config)) *client.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := client.Config{URL: url, ServiceToken: serviceToken, HTTPClient: &http.Client{Transport: transport}}
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(cfg)
	require.NoError(t, err)
	return c
}

// ask sends a request through middleware, and returns the answer and the decision that the handler
// behind it saw, if any.
func ask(t *testing.T, middleware func(http.Handler) http.Handler, headers ...string) (*httptest.ResponseRecorder, *client.Decision) {
	t.Helper()
	var seen *client.Decision
	protected := middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if d, ok := client.FromContext(r.Context()); ok {
			seen = &d
		}
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/workspaces/org_1/report", http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	protected.ServeHTTP(recorder, request)
	return recorder, seen
}

// requireRefused requires that no request got through, and a problem with the status.
func requireRefused(t *testing.T, status int, answer *httptest.ResponseRecorder, seen *client.Decision) {
	t.Helper()
	require.Nil(t, seen, "it got through")
	require.Equal(t, status, answer.Code, answer.Body)
	require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"))
	require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
	require.Equal(t, status == http.StatusUnauthorized, answer.Header().Get("WWW-Authenticate") != "")
	require.Equal(t, status == http.StatusServiceUnavailable, answer.Header().Get("Retry-After") != "")
	var body struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body))
	require.Equal(t, status, body.Status)
	require.True(t, strings.HasPrefix(body.Type, "urn:rolecall:problem:"), body.Type)
}
