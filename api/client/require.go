package client

import (
	"context"
	"encoding/json"
	"errors"
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
// without a usable token, 403 without the permission, 404 who isn't a member, 503 if there is no decision to be had.
func (c *Client) Require(permission string, workspaceID func(*http.Request) string) func(http.Handler) http.Handler {
	return c.middleware(func(r *http.Request) (Decision, error) {
		token, ok := sessionToken(r)
		if !ok {
			return Decision{}, &Error{Status: http.StatusUnauthorized}
		}
		workspace := workspaceID(r)
		if workspace == "" {
			return Decision{}, &Error{Status: http.StatusNotFound}
		}
		return c.own(r.Context(), token, workspace, permission)
	})
}

// RequireFor returns middleware like that of Require for a service that knows its users by itself: user tells whose
// request it is (user_…, or "" for nobody's, which is a 401), and the client's ServiceToken asks about them.
func (c *Client) RequireFor(permission string, workspaceID, user func(*http.Request) string) func(http.Handler) http.Handler {
	return c.middleware(func(r *http.Request) (Decision, error) {
		check := Check{UserID: user(r), WorkspaceID: workspaceID(r), Permission: permission}
		switch {
		case check.UserID == "":
			return Decision{}, &Error{Status: http.StatusUnauthorized}
		case check.WorkspaceID == "":
			return Decision{}, &Error{Status: http.StatusNotFound}
		}
		d, err := c.Authorize(r.Context(), check)
		if err == nil && !d.Allowed {
			err = &Error{Status: statusOf(d.Reason), Reason: d.Reason}
		}
		return d, err
	})
}

// statusOf returns the status by which Rolecall itself would refuse the user for a reason.
func statusOf(reason string) int {
	switch reason {
	case "not_a_member", "workspace_deleted":
		return http.StatusNotFound
	case "stale":
		return http.StatusServiceUnavailable
	default:
		return http.StatusForbidden
	}
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
		return Decision{}, fmt.Errorf("authorize: %w", err)
	}
	if !d.Allowed || d.UserID == "" || !d.answers(Check{UserID: d.UserID, WorkspaceID: workspace, Permission: permission}) {
		return Decision{}, fmt.Errorf("authorize: %w", ErrNotADecision)
	}
	return d, nil
}

// sessionToken returns the one bearer token of a request. A service's token is none: who sends one here has taken it from
// where it belongs, and it would speak for anybody.
func sessionToken(r *http.Request) (string, bool) {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token = strings.Trim(token, " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != "" && !strings.HasPrefix(token, serviceTokenPrefix)
}

// problem is what the middleware answers, in the form in which Rolecall does.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// refuse answers a request that isn't let through.
func (c *Client) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := refusalFor(err)
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		c.cfg.Failed(r, err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) //nolint:errchkjson // the sender has gone: nothing is left to do
}

// refusalFor turns an error into a problem: what Rolecall refuses as itself, anything else into 503. The texts are this
// package's own, so that nothing of an answer reaches the sender but its status and, of a 403, its reason.
func refusalFor(err error) problem {
	unavailable := problem{Type: problemType + "unavailable", Title: "Temporarily unavailable", Status: http.StatusServiceUnavailable}
	refused, ok := errors.AsType[*Error](err)
	if !ok {
		return unavailable
	}
	switch refused.Status {
	case http.StatusUnauthorized:
		return problem{Type: problemType + "unauthenticated", Title: "No usable token", Status: refused.Status}
	case http.StatusForbidden:
		return problem{Type: problemType + "forbidden", Title: "Forbidden", Status: refused.Status, Reason: refused.Reason}
	case http.StatusNotFound:
		return problem{Type: problemType + "not-found", Title: "Not found", Status: refused.Status}
	default:
		return unavailable
	}
}

// problemType is the prefix of Rolecall's types.
const problemType = "urn:rolecall:problem:"
