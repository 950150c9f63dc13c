package jobs

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// The queues of jobs that apply deliveries. Revocations have a queue and workers of their own, so
// that no other backlog delays them. Deliveries that fail, or wait for another session's lock,
// continue in QueueHeldUp, so that the workers of the other queues stay free. Processes of older
// versions don't work QueueHeldUp.
const (
	QueueApply       = "apply"
	QueueRevocations = "revocations"
	QueueHeldUp      = "held_up"
)

// MaxBatch is how many deliveries one commit accepts and one job applies at most. It is the number
// of callers at the highest load that was measured. A job of so many deliveries stays far below its
// time-out.
const MaxBatch = 64

// ApplyArgs names the deliveries that a job applies. Their bodies stay in the ledger, because River
// keeps arguments as jsonb, which refuses \u0000. The ledger's state, not the job, says whether
// anything is left to do.
type ApplyArgs struct {
	SvixIDs []string `json:"svix_ids"`
}

// applyKind is stored with every job; it must never change.
const applyKind = "apply_deliveries"

// Kind implements river.JobArgs.
func (ApplyArgs) Kind() string { return applyKind }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (ApplyArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: maxJobAttempts}
}

// applyJobs says which job applies a delivery that is accepted. What ends in the inbox needs none.
func applyJobs(from traceparents) store.Jobs {
	return store.Jobs{Kind: applyKind, MaxAttempts: maxJobAttempts, Metadata: from.metadata(), Of: func(d clerksync.Delivery) (queue string, priority int16) {
		if d.State != clerksync.StateReceived {
			return "", 0
		}
		opts := insertOpts(d.Urgency)
		return opts.Queue, int16(opts.Priority) //nolint:gosec // 1 or 2
	}}
}

// enqueue inserts jobs that apply the deliveries, and wakes the workers at commit.
//
// River wakes them, too, but at most once per interval, and it decides this at the insert. So an
// insert that is rolled back can use up the wake-up of the next one. Therefore every commit sends a
// notification of its own, on River's channel and in River's format. If one commit sends both,
// Postgres delivers a single one.
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
		if err := wake(ctx, tx, queue); err != nil {
			return err
		}
	}
	return nil
}

// wake wakes the workers of a queue at the commit.
func wake(ctx context.Context, db store.DBTX, queue string) error {
	_, err := db.Exec(ctx, "SELECT pg_notify($1, $2)", migrations.Schema+".river_insert", `{"queue": "`+queue+`"}`)
	if err != nil {
		return fmt.Errorf("wake workers: %w", err)
	}
	return nil
}

// insertOpts returns the queue of a job, and its priority there.
func insertOpts(u clerksync.Urgency) *river.InsertOpts {
	switch u {
	case clerksync.DoesRevoke:
		return &river.InsertOpts{Queue: QueueRevocations, Priority: 1}
	case clerksync.MayRevoke:
		return &river.InsertOpts{Queue: QueueRevocations, Priority: 2}
	default:
		return &river.InsertOpts{Queue: QueueApply, Priority: 1}
	}
}
