package client_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/client"
	clerksync "github.com/callmine/rolecall/sync"
)

func always(id string) func(*http.Request) string { return func(*http.Request) string { return id } }

func TestAuthorize_ReturnsDecisions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := newClient(t, b.url, nil)
	d, err := c.Authorize(t.Context(), client.Check{UserID: "user_admin", WorkspaceID: "org_1", Permission: "billing:manage"})
	require.NoError(t, err)
	require.NotNil(t, d.AsOf)
	d.AsOf = nil
	require.Equal(t, client.Decision{
		Allowed: true, Reason: "allowed", Role: "org:admin", Permission: "billing:manage", WorkspaceID: "org_1", UserID: "user_admin", Revision: 2,
	}, d)

	decisions, err := c.AuthorizeMany(t.Context(), []client.Check{
		{UserID: "user_member", WorkspaceID: "org_1", Permission: "billing:manage"}, {UserID: "user_x", WorkspaceID: "org_1", Permission: "reports:read"},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"permission_missing", "not_a_member"}, []string{decisions[0].Reason, decisions[1].Reason})
	require.False(t, decisions[0].Allowed || decisions[1].Allowed)

	for _, checks := range [][]client.Check{nil, make([]client.Check, 101), make([]client.Check, 1)} {
		_, err = c.AuthorizeMany(t.Context(), checks)
		require.Error(t, err)
	}
	users := newClient(t, b.url, func(c *client.Config) { c.ServiceToken = "" })
	_, err = users.Authorize(t.Context(), client.Check{UserID: "user_admin", WorkspaceID: "org_1", Permission: "reports:read"})
	require.ErrorContains(t, err, "ServiceToken")
	wrong := newClient(t, b.url, func(c *client.Config) { c.ServiceToken = "rcs_wrong" })
	d, err = wrong.Authorize(t.Context(), client.Check{UserID: "user_admin", WorkspaceID: "org_1", Permission: "reports:read"})
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusUnauthorized, refused.Status)
	require.Zero(t, d)
}

// TestRequire_BothKindsAgree: Require and RequireFor, on the real API, decide alike.
func TestRequire_BothKindsAgree(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := newClient(t, b.url, nil)
	for name, ask := range map[string]func(user, workspace, permission string) (int, *client.Decision){
		"by their token": func(user, workspace, permission string) (int, *client.Decision) {
			answer, seen := ask(t, c.Require(permission, always(workspace)), "Authorization", "Bearer "+user)
			if seen == nil {
				requireRefused(t, answer.Code, answer, seen)
			}
			return answer.Code, seen
		},
		"by the service's": func(user, workspace, permission string) (int, *client.Decision) {
			answer, seen := ask(t, c.RequireFor(permission, always(workspace), always(user)))
			if seen == nil {
				requireRefused(t, answer.Code, answer, seen)
			}
			return answer.Code, seen
		},
	} {
		for _, test := range []struct {
			user, workspace, permission string
			status                      int
		}{
			{"user_admin", "org_1", "billing:manage", http.StatusOK},
			{"user_member", "org_1", "reports:read", http.StatusOK},
			{"user_member", "org_1", "billing:manage", http.StatusForbidden},
			{"user_stranger", "org_1", "reports:read", http.StatusNotFound},
			{"user_admin", "org_none", "reports:read", http.StatusNotFound},
			{"user_admin", "org_1&permission=reports:read", "billing:manage", http.StatusNotFound},
			{"user_admin", "", "reports:read", http.StatusNotFound},
			{"", "org_1", "reports:read", http.StatusUnauthorized},
		} {
			status, seen := ask(test.user, test.workspace, test.permission)
			require.Equal(t, test.status, status, "%s %+v", name, test)
			require.Equal(t, test.status == http.StatusOK, seen != nil)
			if seen != nil {
				require.Equal(t, client.Check{UserID: test.user, WorkspaceID: test.workspace, Permission: test.permission}, checkOf(*seen))
				require.NotEmpty(t, seen.Role)
			}
		}
	}
	_, seen := ask(t, c.Require("reports:read", always("org_1")), "authorization", "bearer user_member")
	require.NotNil(t, seen, "a scheme has no case")

	b.deliver(t, clerksync.MembershipDeleted, "user_member", "org:member")
	answer, seen := ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_member")
	requireRefused(t, http.StatusNotFound, answer, seen)
}

// checkOf returns the check that a decision answers.
func checkOf(d client.Decision) client.Check {
	return client.Check{UserID: d.UserID, WorkspaceID: d.WorkspaceID, Permission: d.Permission}
}

// oddIDs are texts that can't be ids, but that a caller can write into a path.
func oddIDs(prefix string) []string {
	return []string{prefix + "\xff", prefix + "\x00", prefix + strings.Repeat("a", 256-len(prefix)), prefix + strings.Repeat("a", 2<<20)}
}

// longestID has 255 bytes, the most that Rolecall takes.
func longestID() string { return "org_" + strings.Repeat("é", 125) + "x" }

// TestRequire_OddIDIsNotAMember: an odd id in a path is refused like a stranger, and is no outage.
func TestRequire_OddIDIsNotAMember(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := newClient(t, b.url, func(cfg *client.Config) {
		cfg.Failed = func(_ *http.Request, err error) { t.Errorf("reported as an outage: %v", err) }
	})
	for _, workspace := range append(oddIDs("org_"), longestID()) {
		answer, seen := ask(t, c.Require("reports:read", always(workspace)), "Authorization", "Bearer user_member")
		requireRefused(t, http.StatusNotFound, answer, seen)
		answer, seen = ask(t, c.RequireFor("reports:read", always(workspace), always("user_member")))
		requireRefused(t, http.StatusNotFound, answer, seen)
	}
	for _, user := range oddIDs("user_") {
		answer, seen := ask(t, c.RequireFor("reports:read", always("org_1"), always(user)))
		requireRefused(t, http.StatusNotFound, answer, seen)
	}
}

// TestAuthorizeMany_OddIDSpoilsNoBatch: the other checks are decided, each in its place.
func TestAuthorizeMany_OddIDSpoilsNoBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := newClient(t, b.url, nil)
	var checks []client.Check
	for _, workspace := range append(oddIDs("org_"), "") {
		checks = append(checks, client.Check{UserID: "user_admin", WorkspaceID: workspace, Permission: "reports:read"},
			client.Check{UserID: "user_admin", WorkspaceID: "org_1", Permission: "billing:manage"})
	}
	for _, user := range append(oddIDs("user_"), "") {
		checks = append(checks, client.Check{UserID: user, WorkspaceID: "org_1", Permission: "reports:read"},
			client.Check{UserID: "user_member", WorkspaceID: "org_1", Permission: "reports:read"})
	}
	decisions, err := c.AuthorizeMany(t.Context(), checks)
	require.NoError(t, err)
	for i, d := range decisions {
		require.Equal(t, checks[i], checkOf(d))
		require.Equal(t, i%2 == 1, d.Allowed)
		require.Equal(t, map[bool]string{true: "allowed", false: "not_a_member"}[d.Allowed], d.Reason)
	}

	nowhere := newClient(t, "http://127.0.0.1:1", nil)
	d, err := nowhere.Authorize(t.Context(), checks[0])
	require.NoError(t, err, "nothing is left to ask about")
	require.Equal(t, "not_a_member", d.Reason)
	_, err = nowhere.Authorize(t.Context(), client.Check{UserID: "user_admin", WorkspaceID: longestID(), Permission: "reports:read"})
	require.Error(t, err, "it is asked about")
	for _, permission := range append(oddIDs("reports:"), "") {
		checks[1].Permission = permission
		_, err = c.AuthorizeMany(t.Context(), checks)
		require.ErrorContains(t, err, "checks[1]", "an odd permission is the program's mistake")
	}
}

// TestRequire_TakesOneSessionToken: a service's token is refused, because it could name any user.
func TestRequire_TakesOneSessionToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := newClient(t, b.url, nil)
	tooLong := []string{"Authorization", "Bearer user_" + strings.Repeat("a", 8<<10)}
	for _, headers := range append(readFaults(t).NoToken, []string{"Authorization", "Bearer nobody"}, tooLong) {
		answer, seen := ask(t, c.Require("reports:read", always("org_1")), headers...)
		requireRefused(t, http.StatusUnauthorized, answer, seen)
	}
	_, ok := client.FromContext(t.Context())
	require.False(t, ok)
}

// TestRequire_RefusesOnAStaleMirror: the test's mirror is as of long ago.
func TestRequire_RefusesOnAStaleMirror(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for staleness, status := range map[time.Duration]int{time.Second: http.StatusServiceUnavailable, 0: http.StatusOK} {
		c := newClient(t, b.url, func(c *client.Config) { c.MaxStaleness = staleness; c.Retries = -1 })
		for _, middleware := range []func(http.Handler) http.Handler{
			c.Require("reports:read", always("org_1")), c.RequireFor("reports:read", always("org_1"), always("user_admin")),
		} {
			answer, seen := ask(t, middleware, "Authorization", "Bearer user_admin")
			require.Equal(t, status, answer.Code)
			require.Equal(t, status == http.StatusOK, seen != nil)
		}
	}
}

func TestConfig_IsChecked(t *testing.T) {
	t.Parallel()
	for _, cfg := range []client.Config{
		{},
		{URL: "rolecall:8080"},
		{URL: "ftp://rolecall"},
		{URL: "http://"},
		{URL: "http://rolecall?x=1"},
		{URL: "http://rolecall/v1"},
		{URL: "http://rolecall/v1/"},
		{URL: "http://rolecall/v1/authorize"},
		{URL: "http://rolecall", ServiceToken: "x"},
		{URL: "http://rolecall", Timeout: -1},
		{URL: "http://rolecall", MaxStaleness: 1500 * time.Millisecond},
		{URL: "http://rolecall", MaxStaleness: -time.Second},
	} {
		_, err := client.New(cfg)
		require.Error(t, err, "%+v", cfg)
	}
	for _, url := range []string{"https://rolecall.internal:8080/", "https://gateway.internal/rolecall"} {
		_, err := client.New(client.Config{URL: url})
		require.NoError(t, err)
	}
}

// TestRequire_PanicsWithoutAFunction: the mistake shows when the middleware is made, not at each
// request.
func TestRequire_PanicsWithoutAFunction(t *testing.T) {
	t.Parallel()
	c := newClient(t, "http://127.0.0.1:1", nil)
	require.Panics(t, func() { c.Require("reports:read", nil) })
	require.Panics(t, func() { c.RequireFor("reports:read", nil, always("user_1")) })
	require.Panics(t, func() { c.RequireFor("reports:read", always("org_1"), nil) })
}

// TestRequestID_IsPassedOn by the middleware, if it is sane, and is in the error that Failed gets.
func TestRequestID_IsPassedOn(t *testing.T) {
	t.Parallel()
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Values("X-Request-Id")
		w.Header().Set("X-Request-Id", "of-the-answer")
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	var failed error
	c := newClient(t, server.URL, func(c *client.Config) { c.Failed = func(_ *http.Request, err error) { failed = err } })
	for id, passed := range map[string][]string{"": nil, "one-1": {"one-1"}, "two words": nil, strings.Repeat("x", 129): nil} {
		ask(t, c.Require("reports:read", always("org_1")), "Authorization", "Bearer user_1", "X-Request-Id", id)
		require.Equal(t, passed, got, id)
	}
	require.ErrorContains(t, failed, "answered 418, request of-the-answer")
	_, err := c.Authorize(client.WithRequestID(t.Context(), "asked-by-hand"), client.Check{UserID: "user_1", WorkspaceID: "org_1", Permission: "reports:read"})
	require.Error(t, err)
	require.Equal(t, []string{"asked-by-hand"}, got)
}
