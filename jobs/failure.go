package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/callmine/rolecall/store"
)

// This file is the one place that says what a failure means: wait for the database, try again, or give up.

const (
	// maxDeliveryAttempts is how often one delivery may fail by itself before it is quarantined: with [retryPolicy],
	// after some 15 s.
	maxDeliveryAttempts = 5
	// maxJobAttempts is well above maxDeliveryAttempts, so that a job outlives the deliveries that it can't apply.
	maxJobAttempts = 12
	// databasePause is how long a job waits for a database that is away or busy. It costs no attempt.
	databasePause = time.Second
)

// outcome turns a failure into what River should do: nil and other errors stay, trouble of the database snoozes.
func outcome(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) { // stopping: the job is given back, and no attempt is counted
		return river.JobSnooze(0)
	}
	if store.Unavailable(err) {
		return river.JobSnooze(databasePause)
	}
	return err
}

// retryPolicy waits 1, 2, 4 … seconds, at most 30: River's own waits a minute before the third retry and a day
// before the last, but a delivery that failed is somebody's wrong access.
type retryPolicy struct{ now func() time.Time }

// NextRetry implements river.ClientRetryPolicy.
func (p retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	const longest = 30 * time.Second
	return p.now().Add(min(time.Second<<min(len(job.Errors), 5), longest))
}
