package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// KnownInstance returns the Clerk instance of the mirror (ins_…). It is the one of the last clean
// sweep, or else of most of the newest deliveries that were applied, or else "".
func KnownInstance(ctx context.Context, db DBTX) (string, error) {
	id, err := queries().InstanceOfSweeps(ctx, db)
	if errors.Is(err, pgx.ErrNoRows) {
		id, err = queries().InstanceOfDeliveries(ctx, db)
	}
	return id, atMostOneRow(err, "read instance of the mirror")
}
