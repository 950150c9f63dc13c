package sweep

import (
	"errors"
	"fmt"
	"net/http"

	clerksync "github.com/callmine/rolecall/sync"
)

// maxRefusedLookUps is how many look-ups of one kind Clerk may refuse before the sweep asks for no
// more of that kind.
const maxRefusedLookUps = 20

// Refused is a list, or look-ups, that Clerk refused to a sweep. The sweep removes no object about
// which Clerk refused to answer.
type Refused struct {
	clerksync.Explanation

	Resource clerksync.Resource `json:"resource"`
	// LookUps is how many look-ups of single objects Clerk refused. It is 0 for a refused list: the
	// kind wasn't compared.
	LookUps int `json:"look_ups,omitempty"`
}

// String describes the refusal in words.
func (f Refused) String() string {
	code := f.Code
	if code == "" {
		code = "without a code of Clerk's, so probably by a proxy"
	}
	words := fmt.Sprintf("%s refused: status %d, %s", f.subject(), f.Status, code)
	if f.TraceID != "" {
		words += " (trace " + f.TraceID + ")"
	}
	return words
}

func (f Refused) subject() string {
	switch {
	case f.Resource == instanceResource:
		return "GET /instance is"
	case f.LookUps == 0:
		return fmt.Sprintf("the list of %ss is", f.Resource)
	case f.LookUps == 1:
		return fmt.Sprintf("the look-up of one %s is", f.Resource)
	default:
		return fmt.Sprintf("the look-ups of %d %ss are", f.LookUps, f.Resource)
	}
}

// instanceResource stands for the instance in errors. The mirror has no such kind.
const instanceResource clerksync.Resource = "instance"

// needed reports whether a sweep needs a kind of objects to know who is a member.
func needed(resource clerksync.Resource) bool {
	return resource == clerksync.ResourceOrganization || resource == clerksync.ResourceMembership || resource == clerksync.ResourceUser ||
		resource == instanceResource
}

// refusedError is a refusal of a list or of a look-up. Where the sweep needs the answer, it stands
// for a guard.
type refusedError struct {
	Refused

	cause error
}

// Error implements error.
func (e *refusedError) Error() string { return e.String() }

// Unwrap returns Clerk's answer.
func (e *refusedError) Unwrap() error { return e.cause }

// guard returns the guard that stops a sweep which needs the answer. Clerk's own refusal lasts
// until the instance is changed. A refusal without a code comes from a proxy, and may pass.
func (e *refusedError) guard() *guardError {
	reason := ReasonListRefused
	if e.Code == "" {
		reason = ReasonListingIncomplete
	}
	return &guardError{reason, e.String()}
}

// refusedBy returns an error as a refusal, or nil if it is none. A refused key, a used-up rate
// limit and an outage don't count as refusals of a list.
func refusedBy(resource clerksync.Resource, err error) *refusedError {
	answer, ok := errors.AsType[clerksync.Explained](err)
	if !ok {
		return nil
	}
	e := answer.Explain()
	switch {
	case e.Status < http.StatusBadRequest || e.Status >= http.StatusInternalServerError:
		return nil
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests:
		return nil
	default:
		return &refusedError{Refused{Explanation: e, Resource: resource}, err}
	}
}
