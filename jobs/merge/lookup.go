package merge

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Lookup merges the answer to a look-up into the mirror, in a transaction of its own and with the
// default lags.
func Lookup(ctx context.Context, pool *Pool, workspace string, o Observed) error {
	o.Lags = DefaultLags()
	return pool.Tx(ctx, workspace, Retry{Locks: LockPatience}, func(tx pgx.Tx) error {
		_, err := Observation(ctx, tx, o)
		return err
	})
}
