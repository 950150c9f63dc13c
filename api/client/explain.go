package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Explanation says why a user may do something, or not: a decision with the facts on which it
// rests. It is for people who look into a refusal. To admit a user, ask for the decision alone.
type Explanation struct {
	Decision Decision `json:"decision"`
	// Facts are account, workspace, membership, role, grant, freshness and impersonation, in this
	// order. There are none of a workspace to which the service token doesn't extend.
	Facts []Fact `json:"facts"`
	// Change is the single change that would let the user in; nil if there is none, and of an
	// allowance.
	Change *Change `json:"change"`
}

// Fact is one thing on which a decision rests.
type Fact struct {
	Fact   string     `json:"fact"`   // such as "role"
	Holds  *bool      `json:"holds"`  // false refuses; nil: it says nothing here
	Detail string     `json:"detail"` // in words, which may change
	Since  *time.Time `json:"since"`  // nil if it isn't known
	Cause  string     `json:"cause"`  // msg_…, cmd_…, sweep_…, lookup_… or "policy"; empty if it isn't known
}

// Change is a change after which a refused request would be allowed.
type Change struct {
	Kind    string `json:"kind"`    // such as "give_role"
	Subject string `json:"subject"` // the user, the workspace or, for "grant_permission", the role
	Role    string `json:"role"`    // that the user would get; empty unless the change gives one
	Words   string `json:"words"`   // what to do, in words, which may change
}

// Explain asks, as the service, why a user may do something or not. A refusal is an Explanation,
// not an error. It makes no look-up at Clerk. User, workspace and permission must be 1 to 255 bytes
// of UTF-8 without NUL. Other errors are those of [Client.AuthorizeMany].
func (c *Client) Explain(ctx context.Context, check Check) (Explanation, error) {
	if c.cfg.ServiceToken == "" {
		return Explanation{}, errors.New("explain: the client has no ServiceToken")
	}
	if !nameable(check.UserID) || !nameable(check.WorkspaceID) || !nameable(check.Permission) {
		return Explanation{}, fmt.Errorf("explain: UserID, WorkspaceID and Permission must be 1 to %d bytes of UTF-8 without NUL", maxID)
	}
	asked := struct {
		Check

		MaxStaleness int64 `json:"max_staleness,omitempty"`
	}{check, int64(c.cfg.MaxStaleness / time.Second)}
	var answer Explanation
	err := c.exchange(ctx, request{method: http.MethodPost, path: "/v1/explain", token: c.cfg.ServiceToken, body: asked}, &answer)
	if err == nil && !answer.answers(check) {
		err = ErrNotADecision
	}
	if err != nil {
		return Explanation{}, fmt.Errorf("explain: %w", err)
	}
	return answer, nil
}

// answers reports whether the explanation is about the check, and doesn't contradict itself.
func (e Explanation) answers(check Check) bool {
	for _, f := range e.Facts {
		if f.Fact == "" || e.Decision.Allowed && f.Holds != nil && !*f.Holds {
			return false
		}
	}
	return e.Decision.answers(check)
}
