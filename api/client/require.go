package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Require returns middleware that admits a request only if its sender has the permission in the
// workspace. The function workspaceID finds the workspace in the request; the Clerk session token
// in Authorization: Bearer identifies the sender. The handler behind it finds the decision in the
// request's context (FromContext).
//
// Other requests get a problem (RFC 9457): 401 without a usable token, 403 without the permission,
// 404 if the sender isn't a member, 503 without a decision. Only Rolecall's own answers cause the
// first three: a 401, 403 or 404 of a proxy or of another server becomes a 503. Require panics if
// workspaceID is nil.
func (c *Client) Require(permission string, workspaceID func(*http.Request) string) func(http.Handler) http.Handler {
	if workspaceID == nil {
		panic("client: Require needs a function that finds the workspace")
	}
	return c.middleware(func(r *http.Request) (Decision, error) {
		token, ok := sessionToken(r)
		if !ok {
			return Decision{}, errUnauthenticated
		}
		workspace := workspaceID(r)
		if !nameable(workspace) {
			return Decision{}, errNotFound
		}
		return c.own(r.Context(), token, workspace, permission)
	})
}

// RequireFor returns middleware like that of Require, for a service that identifies its users
// itself. The function user returns the sender's id (user_…), or "" for an unknown sender, who gets
// a 401. The client asks Rolecall with its ServiceToken. If Rolecall refuses the service itself,
// the sender gets a 503. RequireFor panics if a function is nil.
func (c *Client) RequireFor(permission string, workspaceID, user func(*http.Request) string) func(http.Handler) http.Handler {
	if workspaceID == nil || user == nil {
		panic("client: RequireFor needs functions that find the workspace and the user")
	}
	return c.middleware(func(r *http.Request) (Decision, error) {
		check := Check{UserID: user(r), WorkspaceID: workspaceID(r), Permission: permission}
		if check.UserID == "" {
			return Decision{}, errUnauthenticated
		}
		d, err := c.Authorize(r.Context(), check)
		if err == nil && !d.Allowed {
			err = refusal(d.Reason)
		}
		return d, err
	})
}

type contextKey struct{}

// FromContext returns the decision by which Require or RequireFor admitted a request, and whether
// there is one.
func FromContext(ctx context.Context) (Decision, bool) {
	d, ok := ctx.Value(contextKey{}).(Decision)
	return d, ok
}

// middleware admits the requests that decide allows without an error.
func (c *Client) middleware(decide func(*http.Request) (Decision, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, err := decide(r.WithContext(WithRequestID(r.Context(), r.Header.Get(headerRequestID))))
			if err != nil || !d.Allowed {
				c.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, d)))
		})
	}
}

// own asks, with a user's own token, whether the user may do something.
func (c *Client) own(ctx context.Context, token, workspace, permission string) (Decision, error) {
	query := url.Values{"workspace_id": {workspace}, "permission": {permission}}
	if c.cfg.MaxStaleness > 0 {
		query.Set("max_staleness", strconv.FormatInt(int64(c.cfg.MaxStaleness/time.Second), 10))
	}
	var d Decision
	if err := c.exchange(ctx, request{method: http.MethodGet, token: token, query: query}, &d); err != nil {
		return Decision{}, fmt.Errorf("authorize: %w", ofUser(err))
	}
	if !d.Allowed || d.UserID == "" || !d.answers(Check{UserID: d.UserID, WorkspaceID: workspace, Permission: permission}) {
		return Decision{}, fmt.Errorf("authorize: %w", ErrNotADecision)
	}
	return d, nil
}

// maxAuthorization bounds the Authorization header, in bytes, as Rolecall does. A server in front
// of Rolecall could refuse a much longer one in a way that looks like an outage.
const maxAuthorization = 8 << 10

// sessionToken returns the one bearer token of a request. It refuses a service's token, which could
// name any user.
func sessionToken(r *http.Request) (string, bool) {
	given := r.Header.Values("Authorization")
	if len(given) != 1 || len(given[0]) > maxAuthorization {
		return "", false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token = strings.Trim(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != "" && !strings.HasPrefix(token, serviceTokenPrefix)
}
