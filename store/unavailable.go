package store

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// Unavailable reports whether an error says something about the database and nothing about what was asked of it, so
// that the same will succeed once the database is well again.
func Unavailable(err error) bool {
	pgErr, answered := errors.AsType[*pgconn.PgError](err)
	if !answered {
		_, network := errors.AsType[net.Error](err)
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		return network || connecting || pgconn.SafeToRetry(err) || errors.Is(err, context.DeadlineExceeded) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	switch pgErr.Code[:2] {
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
