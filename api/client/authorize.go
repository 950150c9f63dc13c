package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxChecks is the most checks that Rolecall takes at once.
	maxChecks = 100

	// maxID bounds ids and permissions, in bytes, as Rolecall does.
	maxID = 255
)

// Check asks whether a user may do something in a workspace.
type Check struct {
	UserID      string `json:"user_id"`      // user_…
	WorkspaceID string `json:"workspace_id"` // org_…
	Permission  string `json:"permission"`   // of the policy, or a permission's key at Clerk
}

// Decision is Rolecall's answer to a check. The zero value allows nothing.
type Decision struct {
	Allowed      bool       `json:"allowed"`
	Reason       string     `json:"reason"` // "allowed", or why not
	Role         string     `json:"role"`   // Clerk's full key; empty unless the user is a member who may act
	Permission   string     `json:"permission"`
	WorkspaceID  string     `json:"workspace_id"`
	UserID       string     `json:"user_id"`
	Impersonator string     `json:"impersonator"` // who acts as the user; empty if the user acts, and for AuthorizeMany
	Revision     int64      `json:"revision"`     // counts the workspace's changes
	AsOf         *time.Time `json:"as_of"`        // when the last comparison with Clerk began or, before the first one, the workspace was created; nil if unknown
}

// Authorize asks, as the service, whether a user may do something. A refusal is a Decision, not an
// error. With an error, the Decision is the zero value, which allows nothing.
func (c *Client) Authorize(ctx context.Context, check Check) (Decision, error) {
	decisions, err := c.AuthorizeMany(ctx, []Check{check})
	if err != nil {
		return Decision{}, err
	}
	return decisions[0], nil
}

// AuthorizeMany asks about 1 to 100 checks at once, and returns their decisions in the same order.
// All are decided as of one moment. Rolecall first looks up at Clerk users who aren't members, as
// if they had asked themselves.
//
// A user or a workspace that can't be an id (empty, more than 255 bytes, with NUL or not UTF-8) is
// refused as not_a_member without asking Rolecall. So an odd id from a path spoils no other check.
// An odd permission is a mistake of the program, and an error that names the check. Other errors
// are an *Error, one that matches ErrNotADecision, or the network's.
func (c *Client) AuthorizeMany(ctx context.Context, checks []Check) ([]Decision, error) {
	if len(checks) < 1 || len(checks) > maxChecks {
		return nil, fmt.Errorf("authorize: %d checks, must be 1 to %d", len(checks), maxChecks)
	}
	if c.cfg.ServiceToken == "" {
		return nil, errors.New("authorize: the client has no ServiceToken")
	}
	decisions := make([]Decision, len(checks))
	var asked []Check
	var places []int // the places of asked among the checks
	for i, check := range checks {
		switch {
		case !nameable(check.Permission):
			return nil, fmt.Errorf("authorize: checks[%d]: Permission must be 1 to %d bytes of UTF-8 without NUL", i, maxID)
		case nameable(check.UserID) && nameable(check.WorkspaceID):
			asked = append(asked, check)
			places = append(places, i)
		default:
			decisions[i] = Decision{Reason: "not_a_member", Permission: check.Permission, WorkspaceID: check.WorkspaceID, UserID: check.UserID}
		}
	}
	if len(asked) == 0 {
		return decisions, nil
	}
	answered, err := c.decisions(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	for i, place := range places {
		decisions[place] = answered[i]
	}
	return decisions, nil
}

// decisions asks Rolecall about checks with possible ids.
func (c *Client) decisions(ctx context.Context, checks []Check) ([]Decision, error) {
	asked := struct {
		Checks       []Check `json:"checks"`
		Refresh      bool    `json:"refresh"`
		MaxStaleness int64   `json:"max_staleness,omitempty"`
	}{checks, true, int64(c.cfg.MaxStaleness / time.Second)}
	var answer struct {
		Decisions []Decision `json:"decisions"`
	}
	if err := c.exchange(ctx, request{method: http.MethodPost, token: c.cfg.ServiceToken, body: asked}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Decisions) != len(checks) {
		return nil, ErrNotADecision
	}
	for i, check := range checks {
		if !answer.Decisions[i].answers(check) {
			return nil, ErrNotADecision
		}
	}
	return answer.Decisions, nil
}

// answers reports whether the decision is about the check, and doesn't contradict itself.
func (d Decision) answers(check Check) bool {
	return d.UserID == check.UserID && d.WorkspaceID == check.WorkspaceID && d.Permission == check.Permission &&
		d.Allowed == (d.Reason == "allowed") && d.Reason != ""
}

// nameable reports whether a text can be an id or a permission. For any other text, Rolecall
// refuses the whole request.
func nameable(s string) bool {
	return s != "" && len(s) <= maxID && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
