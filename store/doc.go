// Package store has every query of Rolecall's tables: the ledger of deliveries, the mirror of
// Clerk, the audit log, the commands, and the sweeps.
//
// It guarantees that no function begins a transaction: each takes the connection, pool or
// transaction to work on. The caller owns the transaction, and says what is atomic. Package sync
// alone decides what is newer. The queries are in the folder queries, compiled by sqlc.
//
// Locks are taken in one order everywhere, so that two transactions can't deadlock: deliveries, the
// objects kind by kind (see queries/mirror.sql), ended sessions, member_counts, commands,
// revisions, then audit_heads; each by id. The triggers of memberships and users leave some rare
// waits, which queries/mirror.sql names; the time-out for locks ends them.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// DBTX is a connection, a pool or a transaction of pgx.
type DBTX interface {
	dbsqlc.DBTX
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// queries has no state: every method takes the DBTX to work on.
func queries() *dbsqlc.Queries { return dbsqlc.New() }

// pageSize converts a limit of rows to the type that the queries take.
func pageSize(limit int) int32 {
	return int32(min(limit, 1<<30)) //nolint:gosec // bounded
}

// oneRow returns the error of a query for one row: nil, [ErrNotFound] if there is no row, or err
// with what was being done.
func oneRow(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// atMostOneRow is [oneRow] for a query whose row may be absent: then there is no error, and the row
// is the zero one.
func atMostOneRow(err error, doing string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return oneRow(err, doing)
}

// instant turns Clerk's epoch milliseconds into a time; nil for 0, which stands for unknown.
func instant(millis int64) *time.Time {
	if millis == 0 {
		return nil
	}
	return new(time.UnixMilli(millis).UTC())
}

// millis is the inverse of instant.
func millis(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMilli()
}

// Now returns the time by the database's clock. Answers to later questions to Clerk are at least as
// new.
func Now(ctx context.Context, db DBTX) (time.Time, error) {
	now, err := queries().Now(ctx, db)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}
