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
	// LockPatience is how long a transaction is tried again for a caller that waits while a lock
	// keeps it from going on.
	LockPatience = time.Second
	// maxAttempts is how often in a row another transaction may be first to hear of an object. The
	// next attempt locks what made the last one fail, so that even two are rare.
	maxAttempts = 5
)

// Retry says what a transaction is tried again for. The zero value is for a transaction that a
// queue tries again: it runs again, at once, while another transaction is first to add an object,
// [maxAttempts] times altogether.
type Retry struct {
	// Locks is how long it is also tried again while another session's lock keeps it from going on.
	// It waits in between, without its locks. Such attempts aren't counted.
	Locks time.Duration
	// Circumstances tries it again after every failure [OfCircumstances], not only after a lost
	// race. It is for what would be costly to do once more from the beginning: the record of a
	// command that Clerk has carried out, and a page of a sweep.
	Circumstances bool
}

// Thorough tries again whatever another attempt may not meet, and waits for locks as long as all
// attempts of a caller's would.
func Thorough() Retry { return Retry{Locks: maxAttempts * LockPatience, Circumstances: true} }

// Run runs a transaction until it succeeds, ctx ends, or nothing says that another attempt may
// succeed. It returns the last attempt's error.
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

// mayHelp reports whether another attempt may succeed at once.
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
