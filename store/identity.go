package store

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// Identity names the Postgres server that has the mirror, as it was noted in the database.
type Identity struct {
	System    string // of the cluster; "" if the server doesn't tell it
	Timeline  uint32
	ChangedAt *time.Time // when a change was noted last; nil for never
	Change    string     // the change in words
	Restored  bool       // a dump was restored since it was noted, perhaps on the same server
	History   string     // the name of all that was committed since the last change
}

// identityLock is the advisory lock for noting the identity. The number is arbitrary; it must never
// change.
const identityLock = 0x726f6c6569647479

// KnownIdentity returns the identity that was noted last, or ErrNotFound.
func KnownIdentity(ctx context.Context, db DBTX) (Identity, error) {
	row, err := queries().DatabaseIdentity(ctx, db)
	if err := oneRow(err, "read identity of the database"); err != nil {
		return Identity{}, err
	}
	return Identity{
		System: row.SystemIdentifier, Timeline: uint32(row.Timeline), //nolint:gosec // as it was written
		ChangedAt: inUTC(row.ChangedAt), Change: row.Change, Restored: row.Restored, History: row.History,
	}, nil
}

// LockIdentity keeps other processes from noting the identity until the transaction ends.
func LockIdentity(ctx context.Context, db DBTX) error {
	if err := queries().LockDatabaseIdentity(ctx, db, identityLock); err != nil {
		return fmt.Errorf("lock identity of the database: %w", err)
	}
	return nil
}

// SaveIdentity notes which Postgres server has the mirror. A Change is dated now, and begins
// another history. If Change is empty, the last change and its history stay.
func SaveIdentity(ctx context.Context, db DBTX, i Identity) error {
	err := queries().SaveDatabaseIdentity(ctx, db, dbsqlc.SaveDatabaseIdentityParams{
		SystemIdentifier: i.System, Timeline: int64(i.Timeline),
		Changed: i.Change != "", Change: i.Change,
	})
	if err != nil {
		return fmt.Errorf("note identity of the database: %w", err)
	}
	return nil
}
