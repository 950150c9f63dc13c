package sync

import (
	"errors"
	"time"
)

// What a directory, which lists what Clerk has, may fail with. Whatever it fails with, nothing is
// known to be gone.
var (
	// ErrUnauthorized says that Clerk refused the secret key: somebody has to correct the
	// configuration. A refusal of one list or object is an [Explained] error and nothing of these.
	ErrUnauthorized = errors.New("clerk refused the secret key: check CLERK_SECRET_KEY")
	// ErrRateLimited says that Clerk's limit, or our share of it, is used up.
	ErrRateLimited = errors.New("clerk's rate limit is used up")
	// ErrUnavailable says that Clerk can't be reached or is out of order.
	ErrUnavailable = errors.New("clerk is unavailable")
	// ErrCursorGone says that the object to begin a page after isn't there any more.
	ErrCursorGone = errors.New("the page's cursor is gone")
)

// Why Clerk refuses a command, as it is about the state of things, for errors.Is. Nothing has
// changed then.
var (
	ErrAlreadyMember        = errors.New("the address is a member's already")
	ErrInvitationNotUnique  = errors.New("the address has a pending invitation")
	ErrQuotaExceeded        = errors.New("the organization can't have more members")
	ErrLastAdmin            = errors.New("nobody would be left who may manage the organization")
	ErrManagedByDirectory   = errors.New("a directory manages the membership")
	ErrInvitationNotPending = errors.New("the invitation isn't pending any more")
	ErrSlugTaken            = errors.New("another organization has the slug")
	ErrNotAdminAtClerk      = errors.New("the user may not manage the organization at clerk")
	ErrOvertaken            = errors.New("somebody has changed it since the command was first given")
	ErrGone                 = errors.New("clerk knows no such object")
	ErrInvalidInput         = errors.New("clerk takes no such value")
)

// ErrOutcomeUnknown says that a command was sent to Clerk and no usable answer came: it may have
// been carried out.
var ErrOutcomeUnknown = errors.New("clerk may have carried the command out")

// Refusal is an error of a command that Clerk explains.
type Refusal interface {
	error
	// Field names the member of the request that is at fault: name, slug, role or email; "" if none
	// is, or another one.
	Field() string
	// Wait is how long to wait before trying again; 0 if nobody knows.
	Wait() time.Duration
}

// What else a command may end with.
var (
	// ErrKeyReused says that the idempotency key stands for another request.
	ErrKeyReused = errors.New("the idempotency key was used for another request")
	// ErrInProgress says that the command with this idempotency key hasn't ended yet.
	ErrInProgress = errors.New("the command is still running")
	// ErrNotRecorded says that Clerk has carried the command out, and the mirror doesn't know yet.
	// A webhook or a sweep will tell it, and the audit log will name the actor.
	ErrNotRecorded = errors.New("clerk has carried the command out, but it isn't recorded")
)
