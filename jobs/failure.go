package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/callmine/rolecall/store"
)

// This file is the one place that says what a failure means: wait for the database, try again, or give up.

const (
	// maxDeliveryAttempts is how often one delivery may fail by its own fault before it is quarantined: with
	// [retryPolicy], after some 15 s.
	maxDeliveryAttempts = 5
	// maxJobAttempts bounds a job that waits for locks or for somebody to mend the schema. What it leaves is taken over.
	maxJobAttempts = 12
	// maxRaces is how often in a row somebody else may be first to hear of an object. The next attempt locks what made the
	// last one fail, so that even twice is rare.
	maxRaces = 5
	// databasePause is how long a job waits for a database that is away. It costs no attempt.
	databasePause = time.Second
)

// blame says whose fault a failure is.
type blame int

const (
	// ofDatabase: it gives no answer or says that it can't work now. Nothing else would succeed either.
	ofDatabase blame = iota
	// ofCircumstances: of a lock, a race, a deadlock, a missing table or privilege. Something else might succeed, and the same
	// will once somebody has mended it.
	ofCircumstances
	// ofDelivery: the same will always fail.
	ofDelivery
)

// blameFor judges why applying failed. Only what says something of the data counts against a delivery: a fault of the
// schema or of privileges would else quarantine everything that comes while it lasts.
func blameFor(err error) blame {
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), // somebody's lock, or a stop
		errors.Is(err, store.ErrRaced): // somebody is always first
		return ofCircumstances
	case !answered && store.Unavailable(err):
		return ofDatabase
	case !answered: // a panic, or a row that can't be read
		return ofDelivery
	}
	switch pgErr.Code[:min(2, len(pgErr.Code))] {
	case "22", // data exception
		"23", // integrity constraint violation
		"54", // program limit exceeded
		"P0": // raised by somebody's trigger
		return ofDelivery
	case "40", "55": // serialization failure, deadlock, lock not available
		return ofCircumstances
	}
	if store.Unavailable(err) && pgErr.Code != queryCanceled {
		return ofDatabase
	}
	return ofCircumstances
}

// SQLSTATEs of what was held up.
const (
	// queryCanceled is that of a statement that took too long.
	queryCanceled = "57014"
	// lockNotAvailable is that of a statement that waited too long for another session's lock.
	lockNotAvailable = "55P03"
)

// isCode reports whether an error is Postgres' with a SQLSTATE.
func isCode(err error, code string) bool {
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	return answered && pgErr.Code == code
}

// outcome turns the failure of a job into what River should do.
func outcome(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled): // stopping: the job is given back, and no attempt is counted
		return river.JobSnooze(0)
	case blameFor(err) == ofDatabase:
		return river.JobSnooze(databasePause)
	default:
		return err
	}
}

// retryPolicy waits 1, 2, 4 … seconds, at most 30: River's own waits a minute before the third retry and a day
// before the last, but a delivery that failed is somebody's wrong access.
type retryPolicy struct{ now func() time.Time }

// NextRetry implements river.ClientRetryPolicy.
func (p retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	const longest = 30 * time.Second
	return p.now().Add(min(time.Second<<min(len(job.Errors), 5), longest))
}
