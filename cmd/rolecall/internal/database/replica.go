package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/store"
)

// replicaTimeout bounds an examination of a replica. One that takes longer counts as away.
const replicaTimeout = 3 * time.Second

// errNotFollowing says that a replica is of the time before a failover.
var errNotFollowing = errors.New("it has yet to follow the primary: it is of the history before a failover")

// errOtherHistory says that a replica, which doesn't tell its cluster, has another history.
var errOtherHistory = errors.New("its mirror has another history than the primary's: it is of another database, or has yet to follow the primary " +
	"after a failover")

// CheckReplica compares a replica with its primary. wrong says why it can never answer. away says
// that it can't be reached now, that it was promoted, or that it has yet to follow the primary: it
// may answer later, and no process may fail to start after a failover. The sessions of the replica
// are opened with pgpool.Config.Copies, which refuses other clusters.
func CheckReplica(ctx context.Context, replica, primary store.DBTX) (wrong, away error) {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	copied, err := readCopy(ctx, replica)
	if refused, ok := errors.AsType[*pgpool.RefusedError](err); ok && refused.Reason != pgpool.ReasonNoStandby {
		return refused, nil
	}
	if err != nil {
		return nil, err
	}
	original, err := readCopy(ctx, primary)
	switch {
	case err != nil:
		return nil, err
	case copied.database != original.database:
		return fmt.Errorf("it leads to the database %s, and the primary's is %s: name the same one", copied.database, original.database), nil
	case copied.history == original.history:
		return nil, nil
	case copied.system == "" || original.system == "": // else it is of the same cluster
		return nil, errOtherHistory
	default:
		return nil, errNotFollowing
	}
}

// databaseCopy is what tells a database of one cluster from others.
type databaseCopy struct {
	database, history string
	system            string // "" if the server doesn't tell it to this role
}

func readCopy(ctx context.Context, db store.DBTX) (c databaseCopy, err error) {
	if c.database, err = store.CurrentDatabase(ctx, db); err != nil {
		return c, err
	}
	known, err := store.KnownIdentity(ctx, db)
	if err != nil && !refusedBySQL(err) && !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	c.history = known.History
	if c.system, err = store.SystemIdentifier(ctx, db); err != nil && !refusedBySQL(err) {
		return c, err
	}
	return c, nil
}

// refusedBySQL reports whether a server has no such table, or doesn't tell a role.
func refusedBySQL(err error) bool {
	_, answered := errors.AsType[*pgconn.PgError](err)
	return answered && !store.Unavailable(err)
}
