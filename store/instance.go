package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// KnownInstance returns the Clerk instance that the mirror is of (ins_…): of the last clean sweep,
// else of most of the newest deliveries that were applied; "" if nothing tells.
func KnownInstance(ctx context.Context, db DBTX) (string, error) {
	id, err := queries().InstanceOfSweeps(ctx, db)
	if errors.Is(err, pgx.ErrNoRows) {
		id, err = queries().InstanceOfDeliveries(ctx, db)
	}
	return id, atMostOneRow(err, "read instance of the mirror")
}
