package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/migrations"
	clerksync "github.com/callmine/rolecall/sync"
)

// enqueue inserts jobs that apply the deliveries, and wakes the workers at commit.
//
// River wakes them too, but decides that at insert and at most once per interval, so that a rolled-back insert can
// swallow the next one's wake-up. So every commit sends its own notification, on River's channel and in its format;
// Postgres folds it with River's where both are sent.
func enqueue(ctx context.Context, client *river.Client[pgx.Tx], tx pgx.Tx, deliveries []clerksync.Delivery) error {
	ids := map[clerksync.Urgency][]string{}
	for _, d := range deliveries {
		ids[d.Urgency] = append(ids[d.Urgency], d.ID)
	}
	var params []river.InsertManyParams
	for urgency, ids := range ids {
		opts := insertOpts(urgency)
		for batch := range slices.Chunk(ids, MaxBatch) {
			params = append(params, river.InsertManyParams{Args: ApplyArgs{SvixIDs: batch}, InsertOpts: opts})
		}
	}
	return insertJobs(ctx, client, tx, params)
}

// insertJobs inserts jobs that apply deliveries, and wakes the workers of their queues at commit.
func insertJobs(ctx context.Context, client *river.Client[pgx.Tx], tx pgx.Tx, params []river.InsertManyParams) error {
	if len(params) == 0 {
		return nil
	}
	queues := map[string]bool{}
	for _, p := range params {
		queues[p.InsertOpts.Queue] = true
	}
	if _, err := client.InsertManyFastTx(ctx, tx, params); err != nil {
		return fmt.Errorf("insert apply jobs: %w", err)
	}
	for queue := range queues {
		_, err := tx.Exec(ctx, "SELECT pg_notify($1, $2)", migrations.Schema+".river_insert", `{"queue": "`+queue+`"}`)
		if err != nil {
			return fmt.Errorf("wake workers: %w", err)
		}
	}
	return nil
}

// insertOpts says which queue a job goes into, and how soon its turn there comes.
func insertOpts(u clerksync.Urgency) *river.InsertOpts {
	switch u {
	case clerksync.DoesRevoke:
		return &river.InsertOpts{Queue: QueueRevocations, Priority: 1}
	case clerksync.MayRevoke:
		return &river.InsertOpts{Queue: QueueRevocations, Priority: 2}
	default:
		return &river.InsertOpts{Queue: QueueApply}
	}
}

// quiet passes on River's warnings and errors only: it logs every routine step at lower levels.
func quiet(logger *slog.Logger) *slog.Logger {
	return slog.New(levelHandler{Handler: logger.Handler(), least: slog.LevelWarn})
}

// levelHandler drops records below a level.
type levelHandler struct {
	slog.Handler
	least slog.Level
}

func (h levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.least && h.Handler.Enabled(ctx, level)
}

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{Handler: h.Handler.WithAttrs(attrs), least: h.least}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{Handler: h.Handler.WithGroup(name), least: h.least}
}
