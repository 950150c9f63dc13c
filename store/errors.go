package store

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotFound says that the database has no such row, or that the object of the row is gone.
var ErrNotFound = errors.New("not found")

// ErrRaced is returned when an object that had no row when it was to be locked has one by now:
// somebody else heard of it first. The transaction must be rolled back and tried again; it will
// then see the other's row.
var ErrRaced = errors.New("somebody else added the object first")

// ErrOutlived says that a later try of a command has begun.
var ErrOutlived = errors.New("a later try of the command has begun")

// readOnly is Postgres' SQLSTATE for a write where none is allowed: on a standby that was just the
// primary, or where a provider stops writes because the disk is nearly full.
const readOnly = "25006"

// Unavailable reports whether an error says something about the database and nothing about what was
// asked of it, so that the same will succeed once the database is well again.
func Unavailable(err error) bool {
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	if !answered {
		_, network := errors.AsType[net.Error](err)
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		return network || connecting || pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	if pgErr.Code == readOnly {
		return true
	}
	switch pgErr.Code[:min(2, len(pgErr.Code))] {
	case "08", // connection exception
		"40", // transaction rollback: serialization failure, deadlock
		"53", // insufficient resources: disk full, too many connections
		"55", // object not in prerequisite state: lock not available
		"57", // operator intervention: shutdown, query canceled
		"58": // system error
		return true
	default:
		return false
	}
}
