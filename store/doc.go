// Package store is everything in Rolecall that knows SQL: the ledger of deliveries, the mirror of Clerk, the audit log, and
// the commands that were given.
//
// It guarantees nothing by itself about atomicity: every function takes the connection, pool or transaction to work
// on, and never begins a transaction. The caller owns it. What is newer than what is never decided here but in
// package sync. The queries stand in queries/, compiled by sqlc.
package store

import (
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
