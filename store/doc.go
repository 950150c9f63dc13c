// Package store is everything in Rolecall that knows SQL: the ledger of deliveries, the mirror of Clerk, the audit log, and
// the commands that were given.
//
// It guarantees nothing by itself about atomicity: every function takes the connection, pool or transaction to work
// on, and never begins a transaction. The caller owns it. What is newer than what is never decided here but in
// package sync. The queries stand in queries/, compiled by sqlc.
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// DBTX is a connection, a pool or a transaction of pgx.
type DBTX = dbsqlc.DBTX

// queries has no state: every method takes the DBTX to work on.
func queries() *dbsqlc.Queries { return dbsqlc.New() }

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

// Now returns the time by the database's clock: what is asked of Clerk afterwards is not older.
func Now(ctx context.Context, db DBTX) (time.Time, error) {
	now, err := queries().Now(ctx, db)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}
