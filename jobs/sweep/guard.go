package sweep

import (
	"errors"
	"fmt"
	"strings"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// GuardReason says which guard stopped a sweep. The values are part of the command line's answers.
type GuardReason string

// The guards.
const (
	ReasonRemovalRatio      GuardReason = "removal_ratio"      // too many memberships would be removed
	ReasonListingIncomplete GuardReason = "listing_incomplete" // a listing failed, fell short, or contradicted itself
	ReasonWrongInstance     GuardReason = "wrong_instance"     // the secret key is of another instance than the mirror
	ReasonUnauthorized      GuardReason = "unauthorized"       // Clerk refused the secret key
	ReasonListRefused       GuardReason = "list_refused"       // Clerk refused a list, or look-ups, that say who is a member
	ReasonBudget            GuardReason = "budget"             // Clerk's rate limit is used up
	// ReasonReadsBehind stops nothing: the sweep went through, and Clerk showed older states than
	// are applied here.
	ReasonReadsBehind GuardReason = store.ReasonReadsBehind
)

// guardError ends a sweep that could do harm, or that can't continue.
type guardError struct {
	reason GuardReason
	detail string // for people
}

// Error implements error.
func (e *guardError) Error() string { return e.detail }

// guardOf returns the guard that an error stands for, or nil for any other error.
func guardOf(err error) *guardError {
	if guard, ok := errors.AsType[*guardError](err); ok {
		return guard
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.guard()
	}
	if errors.Is(err, clerksync.ErrUnauthorized) {
		return &guardError{ReasonUnauthorized, unauthorizedDetail(err)}
	}
	return nil
}

// unauthorizedDetail says what to check, and what Clerk answered.
func unauthorizedDetail(err error) string {
	answer, ok := errors.AsType[clerksync.Explained](err)
	if !ok {
		return clerksync.ErrUnauthorized.Error()
	}
	e := answer.Explain()
	return strings.TrimSpace(fmt.Sprintf("%v (status %d %s %s)", clerksync.ErrUnauthorized, e.Status, e.Code, e.TraceID))
}

// incomplete returns the guard that stops a sweep because a listing isn't complete.
func incomplete(r clerksync.Resource, format string, args ...any) error {
	return &guardError{ReasonListingIncomplete, string(r) + " listing: " + fmt.Sprintf(format, args...)}
}
