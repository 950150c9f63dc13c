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

// maxRefusedLookUps is how many look-ups of one kind Clerk may refuse before the sweep asks for no more of that kind.
const maxRefusedLookUps = 20

// Refused is a kind of objects of which Clerk refused to show something. The sweep removes nothing that it didn't see.
type Refused struct {
	clerksync.Explanation

	Resource clerksync.Resource `json:"resource"`
	// LookUps is how many look-ups of single objects Clerk refused; 0 if it refused the list, so that nothing of the kind was compared.
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

// needed reports whether nobody can tell without a kind of objects who is a member.
func needed(resource clerksync.Resource) bool {
	return resource == clerksync.ResourceOrganization || resource == clerksync.ResourceMembership || resource == clerksync.ResourceUser ||
		resource == instanceResource
}

// refusedError is a refusal of a list or of a look-up. Where the sweep can't go on without, it stands for a guard.
type refusedError struct {
	Refused

	cause error
}

// Error implements error.
func (e *refusedError) Error() string { return e.String() }

// Unwrap returns Clerk's answer.
func (e *refusedError) Unwrap() error { return e.cause }

// guard is what stops a sweep that can't go on without what is refused. What Clerk itself refuses stays so until somebody changes
// something; what something between refuses may pass.
func (e *refusedError) guard() *guardError {
	reason := ReasonListRefused
	if e.Code == "" {
		reason = ReasonListingIncomplete
	}
	return &guardError{reason, e.String()}
}

// refusedBy returns what Clerk's answer refuses, or nil if it is no refusal of what was asked for: of the key, of one call too many, or
// no answer at all.
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

// withoutList goes on with the next list if Clerk refuses this one and it isn't needed: nothing of the kind is compared.
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

// withoutLookUp goes on at another place if Clerk refuses a look-up: the object stays as it is.
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

// gaveUp returns the refusal of a kind's look-ups if there were so many that no more are made.
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

// unconfirmed stops the sweep at its end if a look-up was refused without which nobody can tell who is a member: all else is repaired
// then, and the mirror isn't known to be equal to Clerk.
func (r *sweepRun) unconfirmed() error {
	for _, f := range r.report.Refused {
		if needed(f.Resource) {
			return &refusedError{Refused: f}
		}
	}
	return nil
}

func (r *sweepRun) warnOf(ctx context.Context, f Refused) {
	r.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "Clerk refuses a part of a sweep", slog.String("sweep_id", sweepName(r.sweep.ID)),
		slog.String("resource", string(f.Resource)), slog.Int("status", f.Status), slog.String("code", f.Code),
		slog.String("trace_id", f.TraceID), slog.Bool("look_up", f.LookUps > 0))
}
