package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/edge"
	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/internal/rounds"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// problem is a problem of RFC 9457. It is also an error: a handler that returns it answers with it.
// Type is stable and meant for programs. Title and Detail are for people, and never carry an
// internal error.
type problem struct {
	Type   string           `json:"type"`
	Title  string           `json:"title"`
	Status int              `json:"status"`
	Detail string           `json:"detail,omitempty"`
	Reason clerksync.Reason `json:"reason,omitempty"` // only of a refusing decision
	Scope  auth.Scope       `json:"scope,omitempty"`  // that a service lacks

	AsOf *time.Time `json:"as_of,omitempty"` // the last instant of which the state was certain, beside replicas

	RequestID string `json:"request_id,omitempty"` // of the request that met it

	retryAfter string // seconds, for the header of that name
	challenge  string // for the header WWW-Authenticate
}

// Error implements error.
func (p *problem) Error() string { return p.Title }

// problemType is the prefix of all types: a name, not an address.
const problemType = "urn:rolecall:problem:"

// The problems that don't depend on the request.
var (
	errUnauthenticated = &problem{
		Type: problemType + "unauthenticated", Title: "No usable token", Status: http.StatusUnauthorized,
		Detail: "Send a current Clerk session token or a service token as Authorization: Bearer.",
	}
	errSessionEnded = &problem{
		Type: problemType + "session-ended", Title: "The session has ended", Status: http.StatusUnauthorized,
		Detail: "The session of this token, or of who impersonates by it, has ended. Sign in again.", challenge: auth.ReasonSessionEnded.Challenge(),
	}
	errNoActiveWorkspace = &problem{
		Type: problemType + "no-active-workspace", Title: "No active workspace", Status: http.StatusForbidden,
		Detail: "The request names no workspace, and none is active in the session. Choose an organization, or name a workspace.",
	}
	errNotFound = &problem{
		Type: problemType + "not-found", Title: "Not found", Status: http.StatusNotFound,
		Detail: "There is no such resource, or you have no access to it.",
	}
	errUnknownRoute = &problem{
		Type: problemType + "unknown-route", Title: "Unknown route", Status: http.StatusNotFound,
		Detail: "Rolecall has no route with this path, whoever asks. GET /openapi.yaml lists all routes.",
	}
	errMethodNotAllowed = &problem{
		Type: problemType + "method-not-allowed", Title: "Method not allowed", Status: http.StatusMethodNotAllowed,
		Detail: "The path has other methods: the header Allow lists them.",
	}
	errListInMe = &problem{
		Type: errMethodNotAllowed.Type, Title: errMethodNotAllowed.Title, Status: errMethodNotAllowed.Status,
		Detail: "This path takes POST. GET /v1/me lists the workspaces of a user.",
	}
	errUsersOnly = &problem{
		Type: problemType + "bad-request", Title: "No user named", Status: http.StatusBadRequest,
		Detail: "A service must name the user it acts for in one Rolecall-On-Behalf-Of header (user_…).",
	}
	errServicesOnly = &problem{
		Type: problemType + "forbidden", Title: "For services only", Status: http.StatusForbidden,
		Detail: "This route takes a service token.",
	}
	errWorkspaceNotListed = &problem{
		Type: problemType + "workspace-not-listed", Title: "Workspace not listed", Status: http.StatusForbidden,
		Detail: "This service token is limited to some workspaces, and may ask about no others.",
	}
	errForUsers = &problem{
		Type: problemType + "forbidden", Title: "For users only", Status: http.StatusForbidden,
		Detail: "Behind this door a service would be admitted as a user. Send a session token.",
	}
	errNoRoute = &problem{
		Type: problemType + "no-route", Title: "No route", Status: http.StatusNotFound,
		Detail: "No route of the policy takes this method and path.",
	}
	errCrossSite = &problem{
		Type: problemType + "cross-site", Title: "Sent by another site", Status: http.StatusForbidden,
		Detail: "With a cookie, a request that may change something must come from a page of the application: by Sec-Fetch-Site: same-origin, or by an Origin among the authorized parties.",
	}
	errUnavailable = &problem{
		Type: problemType + "unavailable", Title: "Temporarily unavailable", Status: http.StatusServiceUnavailable,
		Detail: "Nothing was decided. Try again.", retryAfter: "1",
	}
	errRevisionNotReached = &problem{
		Type: problemType + "revision-not-reached", Title: "Revision not reached", Status: http.StatusConflict,
		Detail: "The mirror hasn't seen this revision of the workspace yet. Try again.", Reason: clerksync.ReasonStale,
	}
	errStale = &problem{
		Type: problemType + "stale", Title: "Not fresh enough", Status: http.StatusServiceUnavailable,
		Detail: "The mirror hasn't been compared with Clerk for longer than max_staleness.", Reason: clerksync.ReasonStale,
		retryAfter: "5",
	}
	errInternal = &problem{
		Type: problemType + "internal", Title: "Internal error", Status: http.StatusInternalServerError,
		Detail: "Nothing was decided. The error has been logged.",
	}
)

func badRequest(detail string) *problem {
	return &problem{Type: problemType + "bad-request", Title: "Bad request", Status: http.StatusBadRequest, Detail: detail}
}

func forbidden(reason clerksync.Reason) *problem {
	return &problem{
		Type: problemType + "forbidden", Title: "Forbidden", Status: http.StatusForbidden, Reason: reason,
		Detail: "You may not do this.",
	}
}

// scopeMissing is the refusal of a service whose token lacks a scope.
func scopeMissing(scope auth.Scope) *problem {
	return &problem{
		Type: problemType + "scope-missing", Title: "Scope missing", Status: http.StatusForbidden, Scope: scope,
		Detail: "This service token lacks the scope " + string(scope) + ", which this request needs.",
	}
}

// problemFor is the one place that turns errors into problems. ours means that the caller isn't at
// fault, and that the error must be logged.
func problemFor(err error) (p *problem, ours bool) {
	if p, ok := errors.AsType[*problem](err); ok {
		return p, false
	}
	if p, ours := commandProblemFor(err); p != nil {
		return p, ours
	}
	switch {
	case errors.Is(err, auth.ErrUnauthenticated):
		return unauthenticated(err), false
	case errors.Is(err, store.ErrPlaceExpired):
		return errCursorExpired, false
	case errors.Is(err, edge.ErrCrowded): // package edge counts it
		return errUnavailable, false
	case errors.Is(err, context.Canceled), errors.Is(err, store.ErrBusy), // the caller has gone, or crowds itself
		errors.Is(err, replica.ErrOutdated):
		return errUnavailable, false
	case errors.Is(err, auth.ErrKeysUnavailable), errors.Is(err, rounds.ErrFull), store.Unavailable(err):
		return errUnavailable, true
	default:
		return errInternal, true
	}
}

// unauthenticated returns the problem of a refused token, with a challenge that names the error.
func unauthenticated(err error) *problem {
	p := *errUnauthenticated
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		p.challenge = refused.Reason.Challenge()
	}
	return &p
}

// fail answers a request with the problem that an error stands for.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ours := problemFor(err)
	if ours {
		s.report(r, p, err)
	}
	if p.Status == http.StatusNotFound { // a header would show that the workspace exists
		w.Header().Del(headerRevision)
		w.Header().Del(headerAsOf)
	}
	switch p {
	case errUnavailable:
		p = s.lastCertain(w, r, p)
	case errStale:
		s.cfg.Stale()
	}
	writeProblem(w, r, p)
}

// report logs an error that isn't the caller's fault. The attribute reason lets the limiter of log
// lines leave out lines of one kind: without signing keys, each invented token would cause a line.
func (s *server) report(r *http.Request, p *problem, err error) {
	reason := "internal"
	switch {
	case errors.Is(err, auth.ErrKeysUnavailable):
		reason = string(auth.ReasonKeysUnavailable)
	case errors.Is(err, rounds.ErrFull), store.Unavailable(err):
		reason = "database_unavailable"
	case p == errClerkUnavailable, p == errOutcomeUnknown:
		reason = "clerk_unavailable"
	}
	s.cfg.Logger.ErrorContext(r.Context(), "request failed", "status", p.Status, "reason", reason, "error", err)
}

func (s *server) failWith(p *problem) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeProblem(w, r, p) })
}

func writeProblem(w http.ResponseWriter, r *http.Request, p *problem) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", cmp.Or(p.challenge, "Bearer"))
	}
	if p.retryAfter != "" {
		w.Header().Set("Retry-After", p.retryAfter)
	}
	named := *p // which others share
	named.RequestID = request.ID(r.Context())
	writeBody(w, p.Status, "application/problem+json", named)
}

// write answers with 200 and a JSON body.
func write(w http.ResponseWriter, body any) error {
	writeBody(w, http.StatusOK, "application/json", body)
	return nil
}

func writeBody(w http.ResponseWriter, status int, contentType string, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // an error means that the caller has gone
}
