package api

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	clerksync "github.com/callmine/rolecall/sync"
)

// The problems that only commands have.
var (
	errMediaType = &problem{
		Type: problemType + "unsupported-media-type", Title: "Unsupported media type", Status: http.StatusUnsupportedMediaType,
		Detail: "Send the body as Content-Type: application/json.",
	}
	errTooLarge = &problem{
		Type: problemType + "too-large", Title: "Body too large", Status: http.StatusRequestEntityTooLarge,
	}
	errNoCommands = &problem{
		Type: problemType + "commands-unavailable", Title: "Commands are switched off", Status: http.StatusServiceUnavailable,
		Detail: "This service has no Clerk secret key, or only reads at Clerk, so it can't change anything. Nothing has changed.", retryAfter: "60",
	}
	errTooManyCommands = &problem{
		Type: problemType + "too-many-changes", Title: "Too many changes", Status: http.StatusTooManyRequests,
		Detail: "You have asked for many changes in a short time. This request was ignored. Try again.", retryAfter: "1",
	}
	errKeyReused = &problem{
		Type: problemType + "idempotency-key-reused", Title: "Idempotency key reused", Status: http.StatusUnprocessableEntity,
		Detail: "The key was used for a request with another body. Use a new one.",
	}
	errInProgress = &problem{
		Type: problemType + "idempotency-in-progress", Title: "Still in progress", Status: http.StatusConflict,
		Detail: "The request with this key hasn't ended yet. Send it again later.", retryAfter: "1",
	}
	errNotRecorded = &problem{
		Type: problemType + "accepted-not-recorded", Title: "Done, but not recorded", Status: http.StatusBadGateway,
		Detail: "Clerk made the change, but Rolecall couldn't record it yet. It will catch up by itself.",
	}
	errClerkUnavailable = &problem{
		Type: problemType + "clerk-unavailable", Title: "Clerk doesn't answer", Status: http.StatusBadGateway,
		Detail: "Nothing has changed. Try again.",
	}
	errOutcomeUnknown = &problem{
		Type: problemType + "clerk-unavailable", Title: "Clerk doesn't answer", Status: http.StatusBadGateway,
		Detail: "It is unknown whether Clerk made the change. If it did, the change will show here soon. Look before you try again, or try again with the same Idempotency-Key.",
	}
)

// conflict returns a problem of status 409: the state of things at Clerk prevents the change.
func conflict(name, title, detail string) *problem {
	return &problem{Type: problemType + name, Title: title, Status: http.StatusConflict, Detail: detail}
}

// The conflicts.
var (
	errAlreadyMember = conflict("already-a-member", "Already a member", "A member of this workspace has this address.")
	errNotUnique     = conflict("invitation-not-unique", "Already invited", "The address has a pending invitation to this workspace.")
	errQuota         = conflict("quota-exceeded", "Workspace is full", "The workspace can't have more members, invitations included.")
	errLastAdmin     = conflict("last-admin", "The last admin", "The workspace would have no admin left. Make another member an admin first.")
	errDirectory     = conflict("managed-by-directory", "Managed by a directory", "A directory manages this membership. Change it there.")
	errNotPending    = conflict("invitation-not-pending", "Not pending", "The invitation was accepted or revoked before, or has expired.")
	errSlugTaken     = conflict("slug-taken", "Slug is taken", "Another workspace has this slug.")
	errOvertaken     = conflict("overtaken", "Overtaken", "This was changed again after your first request. Look, and if you still want the change, ask with another Idempotency-Key.")
	errNotAdmin      = conflict("not-an-admin-at-clerk", "Not an admin for Clerk", "At Clerk, your role may not manage members. Clerk therefore refuses to manage invitations for you.")
)

// commandProblemFor is the part of problemFor for package sync's errors about commands. It returns
// nil for any other error. ours means the same as there.
func commandProblemFor(err error) (p *problem, ours bool) {
	for _, known := range []struct {
		err  error
		p    *problem
		ours bool
	}{
		{clerksync.ErrNotRecorded, errNotRecorded, false}, // the recording logs it
		{clerksync.ErrOutcomeUnknown, errOutcomeUnknown, true},
		{clerksync.ErrKeyReused, errKeyReused, false},
		{clerksync.ErrInProgress, errInProgress, false},
		{clerksync.ErrAlreadyMember, errAlreadyMember, false},
		{clerksync.ErrInvitationNotUnique, errNotUnique, false},
		{clerksync.ErrQuotaExceeded, errQuota, false},
		{clerksync.ErrLastAdmin, errLastAdmin, false},
		{clerksync.ErrManagedByDirectory, errDirectory, false},
		{clerksync.ErrInvitationNotPending, errNotPending, false},
		{clerksync.ErrSlugTaken, errSlugTaken, false},
		{clerksync.ErrNotAdminAtClerk, errNotAdmin, false},
		{clerksync.ErrOvertaken, errOvertaken, false},
		{clerksync.ErrGone, errNotFound, false},
		{clerksync.ErrUnauthorized, errClerkUnavailable, true},
	} {
		if errors.Is(err, known.err) {
			return known.p, known.ours
		}
	}
	refusal, explained := errors.AsType[clerksync.Refusal](err)
	switch {
	case errors.Is(err, clerksync.ErrInvalidInput):
		return invalidInput(refusal), false
	case errors.Is(err, clerksync.ErrRateLimited):
		return rateLimited(refusal), false
	case explained, errors.Is(err, clerksync.ErrUnavailable):
		return errClerkUnavailable, true
	default:
		return nil, false
	}
}

// invalidInput names the member of the body whose value Clerk refuses. It doesn't pass on Clerk's
// own words.
func invalidInput(refusal clerksync.Refusal) *problem {
	if refusal == nil || refusal.Field() == "" {
		return badRequest("Clerk doesn't accept this.")
	}
	return badRequest("Clerk doesn't accept this " + refusal.Field() + ".")
}

// rateLimited says when to try again. Clerk's longest limits last an hour.
func rateLimited(refusal clerksync.Refusal) *problem {
	wait := time.Second
	if refusal != nil {
		wait = min(max(refusal.Wait(), time.Second), time.Hour)
	}
	return &problem{
		Type: problemType + "rate-limited", Title: "Too many changes", Status: http.StatusServiceUnavailable,
		Detail:     "Clerk's rate limit, or our share of it, is used up for now. Nothing has changed.",
		retryAfter: strconv.Itoa(int(math.Ceil(wait.Seconds()))),
	}
}
