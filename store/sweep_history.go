package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// Sweeps returns sweeps of all sorts, the newest first. before is the id of the last one of the
// page before; 0 for the first page.
func Sweeps(ctx context.Context, db DBTX, before int64, limit int) ([]Sweep, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := queries().Sweeps(ctx, db, dbsqlc.SweepsParams{Before: before, PageSize: pageSize(limit)})
	if err != nil {
		return nil, fmt.Errorf("list sweeps: %w", err)
	}
	sweeps := make([]Sweep, len(rows))
	for i, r := range rows {
		sweeps[i] = sweepOf(r)
	}
	return sweeps, nil
}

// FindSweep returns the sweep of a name, such as sweep_12, or [ErrNotFound].
func FindSweep(ctx context.Context, db DBTX, name string) (Sweep, error) {
	id, ok := clerksync.SweepID(name)
	if !ok {
		return Sweep{}, ErrNotFound
	}
	return oneSweep(queries().FindSweep(ctx, db, id))
}

// PruneSweeps deletes at most limit sweeps that ended longer ago than age, and returns their
// number. Those stay by which the mirror's state is judged: the first and the last clean one, and
// the last.
func PruneSweeps(ctx context.Context, db DBTX, age time.Duration, limit int) (int, error) {
	n, err := queries().PruneSweeps(ctx, db, dbsqlc.PruneSweepsParams{Seconds: age.Seconds(), Batch: pageSize(limit)})
	if err != nil {
		return 0, fmt.Errorf("prune sweeps: %w", err)
	}
	return int(n), nil
}

// SweepOrder is an operator's order to sweep, as the queue has it.
type SweepOrder struct {
	ID        int64
	Args      json.RawMessage // package jobs says how to read it
	State     string          // of the job, as River names it
	OrderedAt time.Time
	EndedAt   *time.Time
	Output    json.RawMessage // of its last slice; {} before the first one
	Error     string          // its last failure; "" for none
}

// ordersLock is the advisory lock of ordering sweeps. The number is arbitrary; it must never
// change.
const ordersLock = 0x726f6c656f726473 // "roleords"

// LockSweepOrders keeps others from ordering sweeps until the transaction ends.
func LockSweepOrders(ctx context.Context, tx DBTX) error {
	if err := queries().LockOrders(ctx, tx, ordersLock); err != nil {
		return fmt.Errorf("lock orders of sweeps: %w", err)
	}
	return nil
}

// SweepOrders returns the newest orders that the queue still knows; kind is that of their jobs.
func SweepOrders(ctx context.Context, db DBTX, kind string, limit int) ([]SweepOrder, error) {
	rows, err := queries().SweepOrders(ctx, db, dbsqlc.SweepOrdersParams{Kind: kind, PageSize: pageSize(limit)})
	if err != nil {
		return nil, fmt.Errorf("list ordered sweeps: %w", err)
	}
	orders := make([]SweepOrder, len(rows))
	for i, r := range rows {
		orders[i] = SweepOrder{
			ID: r.ID, Args: r.Args, State: r.State, OrderedAt: r.CreatedAt.UTC(), EndedAt: inUTC(r.FinalizedAt), Output: r.Output, Error: r.Error,
		}
	}
	return orders, nil
}
