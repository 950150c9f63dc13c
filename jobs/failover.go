package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/callmine/rolecall/jobs/sweep"
	"github.com/callmine/rolecall/migrations"
)

// SweepAfterFailover enqueues a sweep in a transaction: the new database may lack acknowledged
// deliveries. Any process may enqueue it; a process with workers sweeps.
func SweepAfterFailover(ctx context.Context, tx pgx.Tx) error {
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: migrations.Schema, SkipUnknownJobCheck: true})
	if err != nil {
		return fmt.Errorf("open queue for a sweep: %w", err)
	}
	if _, err := client.InsertTx(ctx, tx, SweepArgs{Trigger: sweep.TriggerFailover}, nil); err != nil {
		return fmt.Errorf("enqueue sweep: %w", err)
	}
	return nil
}
