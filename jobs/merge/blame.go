package merge

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callmine/rolecall/store"
)

// Blame says whose fault a failure is.
type Blame int

const (
	// OfDatabase is the blame for a database that gives no answer, or says that it can't work now.
	// Nothing else would succeed either.
	OfDatabase Blame = iota
	// OfCircumstances is the blame for a lock, a race, a deadlock, a missing table or privilege.
	// Other work may succeed, and the same work will succeed once the circumstances have changed.
	OfCircumstances
	// OfDelivery is the blame for a failure that every attempt will repeat.
	OfDelivery
)

// BlameFor judges why merging failed. Only a failure about the data counts against a delivery.
// Otherwise a fault of the schema or of privileges would quarantine every delivery while it lasts.
func BlameFor(err error) Blame {
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), // another session's lock, or a stop
		errors.Is(err, store.ErrRaced): // another transaction is always first
		return OfCircumstances
	case !answered && store.Unavailable(err):
		return OfDatabase
	case !answered: // a panic, or a row that can't be read
		return OfDelivery
	}
	switch pgErr.Code[:min(2, len(pgErr.Code))] {
	case "22", // data exception
		"23", // integrity constraint violation
		"54", // program limit exceeded
		"P0": // raised by a trigger
		return OfDelivery
	case "40", "55": // serialization failure, deadlock, lock not available
		return OfCircumstances
	}
	if store.Unavailable(err) && pgErr.Code != QueryCanceled {
		return OfDatabase
	}
	return OfCircumstances
}

// SQLSTATEs of statements that were held up.
const (
	// QueryCanceled is the code of a statement that took too long.
	QueryCanceled = "57014"
	// LockNotAvailable is the code of a statement that waited too long for another session's lock.
	LockNotAvailable = "55P03"
)

// IsCode reports whether an error is one of Postgres with that SQLSTATE.
func IsCode(err error, code string) bool {
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	return answered && pgErr.Code == code
}
