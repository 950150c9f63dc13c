package support

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// CaseResult is the result of one case of a policy's test.
type CaseResult struct {
	Place      string `json:"place"` // the file's name and the line
	Role       string `json:"role"`  // "" for a person
	User       string `json:"user"`  // as the case names the person; "" for a role
	Workspace  string `json:"workspace"`
	Permission string `json:"permission"`
	Expected   bool   `json:"expected"` // whether the permission should be allowed
	Allowed    bool   `json:"allowed"`  // whether it is
	Reason     string `json:"reason"`   // as in the API
}

// Passed reports whether the policy does what is expected.
func (r CaseResult) Passed() bool { return r.Allowed == r.Expected }

// CaseError is a case that can't be asked: it names a person or workspace that isn't one.
type CaseError struct {
	Place string
	Err   error
}

// Error implements error.
func (e *CaseError) Error() string { return e.Place + ": " + e.Err.Error() }

// Unwrap returns the fault.
func (e *CaseError) Unwrap() error { return e.Err }

// NeedMirror reports whether a case names a person, whom only the mirror knows.
func NeedMirror(cases []policy.Case) bool {
	return slices.ContainsFunc(cases, func(c policy.Case) bool { return c.User != "" })
}

// TestPolicy asks a policy each case. db is a snapshot of the mirror, or nil: then no case may name
// a person, and only what the policy grants counts. With the mirror, a role's permissions at Clerk
// count, too. The warnings name roles and permissions that are probably misspelt.
func TestPolicy(ctx context.Context, db store.DBTX, p policy.Policy, cases []policy.Case) (results []CaseResult, warnings []string, err error) {
	roles := clerksync.Roles{}
	if db != nil {
		if roles, err = store.Roles(ctx, db); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range cases {
		q := clerksync.Inquiry{Permission: c.Permission, Now: time.Now(), Roles: roles}
		if c.Role != "" {
			q.Standing = standingOf(c.Role, roles)
			if len(p.Grants[c.Role]) == 0 && len(roles[c.Role]) == 0 {
				warnings = append(warnings, fmt.Sprintf("%s: the policy grants the role %s nothing: is it misspelt?", c.Place, c.Role))
			}
		} else if q, err = inquiryOf(ctx, db, c); err != nil {
			return nil, nil, err
		}
		d := p.Explain(q).Decision
		if d.Reason == clerksync.ReasonUnknownPermission && !c.Allowed {
			warnings = append(warnings, fmt.Sprintf("%s: no role has the permission %s: is it misspelt?", c.Place, c.Permission))
		}
		results = append(results, CaseResult{
			Place: c.Place, Role: c.Role, User: c.User, Workspace: c.Workspace, Permission: c.Permission,
			Expected: c.Allowed, Allowed: d.Allowed, Reason: string(d.Reason),
		})
	}
	return results, warnings, nil
}

// standingOf returns the standing of a member with a role.
func standingOf(role string, roles clerksync.Roles) clerksync.Standing {
	s := clerksync.Standing{EverMember: true, Member: true, Role: role}
	for _, holder := range roles[role] {
		if holder.Key == role { // and not a role that had this key before
			s.Permissions = holder.Permissions
		}
	}
	return s
}

// inquiryOf reads what the mirror knows of a case's person and workspace. An id that it doesn't
// know is asked about, too.
func inquiryOf(ctx context.Context, db store.DBTX, c policy.Case) (clerksync.Inquiry, error) {
	user, err := FindUser(ctx, db, c.User)
	if user.ID == "" {
		user.ID = unknownID(err)
	}
	if user.ID == "" {
		return clerksync.Inquiry{}, caseError(c, err)
	}
	workspace, err := FindWorkspace(ctx, db, c.Workspace)
	if workspace.ID == "" {
		workspace.ID = unknownID(err)
	}
	if workspace.ID == "" {
		return clerksync.Inquiry{}, caseError(c, err)
	}
	q, err := store.ReadInquiry(ctx, db, store.Pair{UserID: user.ID, OrganizationID: workspace.ID})
	q.Permission, q.Now = c.Permission, time.Now()
	return q, err
}

// caseError says in which case a name is wrong. It returns other errors as they are.
func caseError(c policy.Case, err error) error {
	_, none := errors.AsType[*NotFoundError](err)
	_, several := errors.AsType[*AmbiguousError](err)
	if none || several {
		return &CaseError{c.Place, err}
	}
	return err
}

// PolicyInForce returns the grants by which the serving processes answer: those that they saved
// last, else those of the configured policy. source says which these are.
func PolicyInForce(ctx context.Context, db store.DBTX, configured ConfiguredPolicy) (grants clerksync.Grants, source string, err error) {
	saved, err := store.Grants(ctx, db)
	switch {
	case err != nil:
		return nil, "", err
	case len(saved) > 0:
		return saved, "the policy in force", nil
	case configured.Err != nil:
		return nil, "", fmt.Errorf("no process has saved a policy yet, and the configured one can't be read: %w", configured.Err)
	default:
		return configured.Policy.Grants, configured.Source + " (no process has saved a policy yet)", nil
	}
}
