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

// Require returns middleware that lets a request through only if its sender may use the permission in the workspace that
// workspaceID finds in it, by the Clerk session token that the request carries as Authorization: Bearer. The handler
// behind it finds the decision in the request's context (FromContext). Others are answered with a problem (RFC 9457): 401
// without a usable token, 403 without the permission, 404 who isn't a member, 503 if there is no decision to be had. The
// first three are only ever Rolecall's word: who else answers them, a proxy or another server, makes a 503. Without
// workspaceID, Require panics.
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

// RequireFor returns middleware like that of Require for a service that knows its users by itself: user tells whose
// request it is (user_…, or "" for nobody's, which is a 401), and the client's ServiceToken asks about them. If Rolecall
// refuses the service itself, that is a 503. Without both functions, RequireFor panics.
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

// FromContext returns the decision by which Require or RequireFor let a request through, and whether one did.
func FromContext(ctx context.Context) (Decision, bool) {
	d, ok := ctx.Value(contextKey{}).(Decision)
	return d, ok
}

// middleware lets through what decide allows without an error.
func (c *Client) middleware(decide func(*http.Request) (Decision, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, err := decide(r)
			if err != nil || !d.Allowed {
				c.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, d)))
		})
	}
}

// own asks with a user's own token whether the user may do something.
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

// maxAuthorization bounds the Authorization header, in bytes, as Rolecall does: a much longer one would be refused by the
// server before Rolecall, as if there were an outage.
const maxAuthorization = 8 << 10

// sessionToken returns the one bearer token of a request. A service's token is none: who sends one here has taken it from
// where it belongs, and it would speak for anybody.
func sessionToken(r *http.Request) (string, bool) {
	given := r.Header.Values("Authorization")
	if len(given) != 1 || len(given[0]) > maxAuthorization {
		return "", false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token = strings.Trim(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != "" && !strings.HasPrefix(token, serviceTokenPrefix)
}
