package client

import (
	"encoding/json"
	"errors"
	"net/http"
)

// problem is an answer of the middleware, in the form of Rolecall's problems. It is also an error.
// The texts are this package's own. Of Rolecall's answer, the sender sees only the type and, of a
// 403, the reason.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Error implements error.
func (p *problem) Error() string { return p.Title }

// problemType is the prefix of Rolecall's types.
const problemType = "urn:rolecall:problem:"

// The problems that don't depend on the request.
var (
	errUnauthenticated = &problem{Type: problemType + "unauthenticated", Title: "No usable token", Status: http.StatusUnauthorized}
	errSessionEnded    = &problem{Type: problemType + "session-ended", Title: "The session has ended", Status: http.StatusUnauthorized}
	errNotFound        = &problem{Type: problemType + "not-found", Title: "Not found", Status: http.StatusNotFound}
	errUnavailable     = &problem{Type: problemType + "unavailable", Title: "Temporarily unavailable", Status: http.StatusServiceUnavailable}
)

func forbidden(reason string) *problem {
	return &problem{Type: problemType + "forbidden", Title: "Forbidden", Status: http.StatusForbidden, Reason: reason}
}

// refusal returns the error for a refusing decision: the one that Rolecall's own answer to the user
// would cause. If the refusal is the program's own fault, the error also has an *Error.
func refusal(reason string) error {
	switch reason {
	case "not_a_member", "workspace_deleted":
		return errNotFound
	case "stale":
		return &Error{Status: http.StatusServiceUnavailable, Type: problemType + "stale", Title: "Not fresh enough", Reason: reason}
	case "unknown_permission": // misspelt, or not yet in the policy: the user lacks it all the same
		return errors.Join(forbidden("permission_missing"), &Error{Status: http.StatusForbidden, Type: problemType + "forbidden", Title: "No role has the permission", Reason: reason})
	case "workspace_not_listed": // the user may have chosen the workspace, perhaps at random
		return errors.Join(errNotFound, &Error{Status: http.StatusForbidden, Type: problemType + "workspace-not-listed", Title: "The service token is limited to other workspaces", Reason: reason})
	default:
		return forbidden(reason)
	}
}

// ofUser turns Rolecall's refusal of a user's own token into the user's problem. Type and status
// must both match: a 401, 403 or 404 alone may come from a proxy or from another server at URL, and
// says nothing about the user.
func ofUser(err error) error {
	answered, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	for _, p := range []*problem{errUnauthenticated, errSessionEnded, forbidden(answered.Reason), errNotFound} {
		if answered.Type == p.Type && answered.Status == p.Status {
			return p
		}
	}
	return err
}

// refuse answers a refused request: with the problem in err or, if there is none, with a 503. It
// reports an err that isn't the sender's alone.
func (c *Client) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = errUnavailable
		w.Header().Set("Retry-After", "1")
	}
	if _, faulty := errors.AsType[*Error](err); faulty || !ok {
		c.cfg.Failed(r, err)
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) //nolint:errchkjson // an error means that the sender has gone
}
