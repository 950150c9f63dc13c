package sync

import (
	"errors"
	"time"
)

// The errors of a directory, which lists what Clerk has. None of them proves that an object is
// gone.
var (
	// ErrUnauthorized says that Clerk refused the secret key: an operator has to correct the
	// configuration. If Clerk refuses only one list or object, the error is an [Explained] one, and
	// none of these.
	ErrUnauthorized = errors.New("clerk refused the secret key: check CLERK_SECRET_KEY")
	// ErrRateLimited says that Clerk's limit, or our share of it, is used up.
	ErrRateLimited = errors.New("clerk's rate limit is used up")
	// ErrUnavailable says that Clerk can't be reached or doesn't work.
	ErrUnavailable = errors.New("clerk is unavailable")
	// ErrCursorGone says that the object after which a page should begin is gone.
	ErrCursorGone = errors.New("the page's cursor is gone")
)

// The reasons for which Clerk refuses a command, for errors.Is. A refused command has changed
// nothing.
var (
	ErrAlreadyMember        = errors.New("the address is a member's already")
	ErrInvitationNotUnique  = errors.New("the address has a pending invitation")
	ErrQuotaExceeded        = errors.New("the organization can't have more members")
	ErrLastAdmin            = errors.New("the organization would have no manager left")
	ErrManagedByDirectory   = errors.New("a directory manages the membership")
	ErrInvitationNotPending = errors.New("the invitation isn't pending any more")
	ErrSlugTaken            = errors.New("another organization has the slug")
	ErrNotAdminAtClerk      = errors.New("the user may not manage the organization at clerk")
	ErrOvertaken            = errors.New("the object has changed since the command was first given")
	ErrGone                 = errors.New("clerk knows no such object")
	ErrInvalidInput         = errors.New("clerk takes no such value")
)

// ErrOutcomeUnknown says that a command was sent to Clerk and no usable answer came. It may have
// been carried out.
var ErrOutcomeUnknown = errors.New("clerk may have carried the command out")

// Refusal is an error of a command that Clerk explains.
type Refusal interface {
	error
	// Field names the member of the request that is at fault: name, slug, role or email; "" for
	// none or another one.
	Field() string
	// Wait is how long to wait before trying again; 0 if unknown.
	Wait() time.Duration
}

// The other errors that a command may end with.
var (
	// ErrKeyReused says that the idempotency key stands for another request.
	ErrKeyReused = errors.New("the idempotency key was used for another request")
	// ErrInProgress says that the command with this idempotency key hasn't ended yet.
	ErrInProgress = errors.New("the command is still running")
	// ErrNotRecorded says that Clerk has carried the command out, but recording it in the mirror
	// failed. A webhook or a sweep will bring the change, and the audit log will name the actor.
	ErrNotRecorded = errors.New("clerk has carried the command out, but it isn't recorded")
)
