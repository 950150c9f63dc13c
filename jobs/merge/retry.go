package merge

import (
	"context"
	"errors"
	"time"

	"github.com/callmine/rolecall/store"
)

const (
	// LockWait is how long a transaction waits for another session's lock. Our own transactions
	// hold theirs for some milliseconds, and a transaction that waits holds rows of other
	// workspaces meanwhile.
	LockWait = 50 * time.Millisecond
	// LockPatience is how long a transaction whose caller waits is tried again while another
	// session's lock stops it.
	LockPatience = time.Second
	// maxAttempts is how often a transaction is tried if each time another one was first to add an
	// object. An attempt locks the object that made the one before fail, so that even a second
	// failure is rare.
	maxAttempts = 5
)

// Retry says after which failures a transaction runs again. With the zero value, it runs again only
// if another transaction was first to add an object: at once, and [maxAttempts] times in all. That
// suits a transaction that a queue retries.
type Retry struct {
	// Locks is how long the transaction is also retried while another session's lock stops it. It
	// waits in between, without holding locks. Such attempts aren't counted.
	Locks time.Duration
	// Circumstances adds all other failures [OfCircumstances] to the lost race. It suits work that
	// is costly to repeat from the beginning: the record of a command that Clerk has carried out,
	// and a page of a sweep.
	Circumstances bool
}

// Thorough retries after every failure that another attempt may avoid. It waits for locks
// [maxAttempts] times as long as [LockPatience].
func Thorough() Retry { return Retry{Locks: maxAttempts * LockPatience, Circumstances: true} }

// Run runs a transaction until it succeeds, ctx ends, or another attempt wouldn't help. It returns
// the last attempt's error.
func (r Retry) Run(ctx context.Context, transaction func() error) error {
	var until time.Time // from the first lock on
	for attempt := 1; ; {
		err := transaction()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if r.Locks > 0 && IsCode(err, LockNotAvailable) {
			if until.IsZero() {
				until = time.Now().Add(r.Locks)
			}
			if time.Now().Before(until) && Wait(ctx, LockWait) == nil {
				continue
			}
		}
		if attempt == maxAttempts || !r.mayHelp(err) {
			return err
		}
		attempt++
	}
}

// mayHelp reports whether another attempt at once may succeed.
func (r Retry) mayHelp(err error) bool {
	return errors.Is(err, store.ErrRaced) || r.Circumstances && BlameFor(err) == OfCircumstances
}

// Wait waits for a while, or returns an error at the end of ctx.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
