package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	clerksync "github.com/callmine/rolecall/sync"
)

// maxRefusedLookUps is how many look-ups of one kind Clerk may refuse before the sweep asks for no
// more of that kind.
const maxRefusedLookUps = 20

// Refused is a list, or look-ups, that Clerk refused to a sweep. The sweep removes no object that
// it couldn't ask for.
type Refused struct {
	clerksync.Explanation

	Resource clerksync.Resource `json:"resource"`
	// LookUps is how many look-ups of single objects Clerk refused. It is 0 for a refused list: the
	// kind wasn't compared.
	LookUps int `json:"look_ups,omitempty"`
}

// String says it in words.
func (f Refused) String() string {
	code := f.Code
	if code == "" {
		code = "without a code of Clerk's, so probably by something between"
	}
	words := fmt.Sprintf("%s refused: status %d, %s", f.what(), f.Status, code)
	if f.TraceID != "" {
		words += " (trace " + f.TraceID + ")"
	}
	return words
}

func (f Refused) what() string {
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

// instanceResource stands for the instance in errors. It is no resource of the mirror's.
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

// guard returns the guard that stops a sweep which needs the answer. A refusal of Clerk's lasts
// until the instance is changed. A refusal without a code comes from a proxy, and may pass.
func (e *refusedError) guard() *guardError {
	reason := ReasonListRefused
	if e.Code == "" {
		reason = ReasonListingIncomplete
	}
	return &guardError{reason, e.String()}
}

// refusedBy returns the refusal that an error is, or nil for any other error. A refused key, one
// call too many and an outage are no refusals of a list.
func refusedBy(resource clerksync.Resource, err error) *refusedError {
	answer, ok := errors.AsType[clerksync.Explained](err)
	if !ok {
		return nil
	}
	switch e := answer.Explain(); {
	case e.Status < http.StatusBadRequest || e.Status >= http.StatusInternalServerError:
		return nil
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests:
		return nil
	default:
		return &refusedError{Refused{Explanation: e, Resource: resource}, err}
	}
}

// withoutList continues with the next list if Clerk refuses this one and the sweep doesn't need it.
// The kind isn't compared.
func (r *sweepRun) withoutList(ctx context.Context, resource clerksync.Resource, err error) error {
	refused, ok := errors.AsType[*refusedError](err)
	if !ok || needed(resource) {
		return err
	}
	r.report.Refused = append(r.report.Refused, refused.Refused)
	r.nested = r.unlisted(clerksync.ResourcePermission)
	r.warnOf(ctx, refused.Refused)
	return r.save(ctx, r.afterListing(resource))
}

// withoutLookUp continues at next if Clerk refuses a look-up. The object stays as it is.
func (r *sweepRun) withoutLookUp(ctx context.Context, next progress, err error) error {
	refused, ok := errors.AsType[*refusedError](err)
	if !ok {
		return err
	}
	refused.LookUps = 1
	i := slices.IndexFunc(r.report.Refused, func(f Refused) bool { return f.Resource == refused.Resource && f.LookUps > 0 })
	if i < 0 {
		i = len(r.report.Refused)
		r.report.Refused = append(r.report.Refused, refused.Refused)
		r.report.Refused[i].LookUps = 0
		r.warnOf(ctx, refused.Refused)
	}
	r.report.Refused[i].LookUps++
	return r.save(ctx, next)
}

// gaveUp returns a kind's refusal once so many of its look-ups were refused that no more are made.
func (r *sweepRun) gaveUp(resource clerksync.Resource) error {
	for _, f := range r.report.Refused {
		if f.Resource == resource && f.LookUps >= maxRefusedLookUps {
			return &refusedError{Refused: f}
		}
	}
	return nil
}

// unlisted reports whether Clerk refused the list of a kind.
func (r *sweepRun) unlisted(resource clerksync.Resource) bool {
	return slices.ContainsFunc(r.report.Refused, func(f Refused) bool { return f.Resource == resource && f.LookUps == 0 })
}

// unconfirmed stops the sweep at its end if Clerk refused a look-up that the sweep needs.
// Everything else is repaired then, but the mirror isn't known to be equal to Clerk.
func (r *sweepRun) unconfirmed() error {
	for _, f := range r.report.Refused {
		if needed(f.Resource) {
			return &refusedError{Refused: f}
		}
	}
	return nil
}

func (r *sweepRun) warnOf(ctx context.Context, f Refused) {
	r.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "Clerk refuses a part of a sweep", slog.String("sweep_id", r.sweep.Name()),
		slog.String("resource", string(f.Resource)), slog.Int("status", f.Status), slog.String("code", f.Code),
		slog.String("trace_id", f.TraceID), slog.Bool("look_up", f.LookUps > 0))
}
