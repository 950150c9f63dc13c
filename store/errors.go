package store

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotFound says that the database has no such row, or that the row's object is gone.
var ErrNotFound = errors.New("not found")

// ErrRaced says that another writer has added an object that had no row to lock. The caller rolls
// the transaction back and tries again; it then sees the other writer's row.
var ErrRaced = errors.New("another writer added the object first")

// ErrOutlived says that a later try of the command has begun, so that this one doesn't count any
// more.
var ErrOutlived = errors.New("a later try of the command has begun")

// readOnly is the SQLSTATE of a write where none is allowed: on a standby that was the primary a
// moment ago, or where a provider stops writes because the disk is nearly full.
const readOnly = "25006"

// Unavailable reports whether an error is about the database and not about the statement. The same
// statement will succeed once the database works again.
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

// Refused reports whether the database refused a statement for what it asks or writes. If the
// database itself fails, nothing is tried again piece by piece: each could take as long as all did.
func Refused(err error) bool {
	_, answered := errors.AsType[*pgconn.PgError](err)
	return answered && !Unavailable(err)
}
