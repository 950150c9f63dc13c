package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/callmine/rolecall/jobs/merge"
)

// This file alone decides what a failure means to River: wait for the database, try again, or give
// up. [merge.BlameFor] judges whose fault it is.

const (
	// maxDeliveryAttempts is how often one delivery may fail by its own fault before it is
	// quarantined: with [retryPolicy], after some 15 s.
	maxDeliveryAttempts = 5
	// maxJobAttempts is how often a job is tried. Jobs reach it without a fault of their
	// deliveries, for example while the schema is broken. Their deliveries are then taken over.
	maxJobAttempts = 12
	// databasePause is how long a job waits for a database that is away. It costs no attempt.
	databasePause = time.Second
)

// riverResult turns the failure of a job into what River should do.
func riverResult(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled): // stopping: the job is given back, and no attempt is counted
		return river.JobSnooze(0)
	case merge.BlameFor(err) == merge.OfDatabase:
		return river.JobSnooze(databasePause)
	default:
		return err
	}
}

// retryPolicy waits 1, 2, 4 … seconds, at most 30. River's own policy waits a minute before the
// third retry, and a day before the last. That is too long: until a failed delivery is applied, a
// user may have the wrong access.
type retryPolicy struct{ now func() time.Time }

// NextRetry implements river.ClientRetryPolicy.
func (p retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	const longest = 30 * time.Second
	return p.now().Add(min(time.Second<<min(len(job.Errors), 5), longest))
}
