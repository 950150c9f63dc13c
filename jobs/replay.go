package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Replayed is the result of replaying one delivery.
type Replayed struct {
	SvixID   string `json:"svix_id"`
	Enqueued bool   `json:"enqueued"`
	Why      string `json:"why,omitempty"` // the reason if it isn't enqueued
}

// Replay reads deliveries again and enqueues those that can be read, including those that an older
// version ignored or quarantined. Replaying an applied delivery changes nothing in the mirror; the
// delivery ends as superseded. received_at keeps the original time. instanceID is the Clerk
// instance whose deliveries are ours; if it is empty, every instance is.
func Replay(ctx context.Context, pool *pgxpool.Pool, instanceID string, svixIDs []string) ([]Replayed, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema: migrations.Schema, SkipUnknownJobCheck: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("open queue for replaying: %w", err)
	}
	results := make([]Replayed, len(svixIDs))
	for i, id := range svixIDs {
		results[i] = Replayed{SvixID: id, Enqueued: true}
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return replay(ctx, client, tx, instanceID, id) })
		if refused, ok := errors.AsType[*notReplayableError](err); ok {
			results[i] = Replayed{SvixID: id, Why: refused.why}
		} else if err != nil {
			return nil, fmt.Errorf("replay delivery %s: %w", id, err)
		}
	}
	return results, nil
}

// notReplayableError says why a delivery can't be replayed.
type notReplayableError struct{ why string }

// Error implements error.
func (e *notReplayableError) Error() string { return e.why }

func replay(ctx context.Context, client *river.Client[pgx.Tx], tx pgx.Tx, instanceID, id string) error {
	entry, err := store.LockLedgerRow(ctx, tx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &notReplayableError{"not in the ledger: it never came, or it was pruned"}
	case err != nil:
		return err
	case entry.State == clerksync.StateReceived:
		return &notReplayableError{"it is already waiting to be applied"}
	case entry.Body == nil:
		return &notReplayableError{"the ledger has no body: it was pruned, or never kept"}
	}
	d := clerksync.NewDelivery(id, []byte(*entry.Body), entry.OccurredAt, entry.ReceivedAt)
	admit(&d, instanceID)
	if d.State == clerksync.StateQuarantined {
		return &notReplayableError{d.Reason}
	}
	if err := store.ReceiveAgain(ctx, tx, d); err != nil {
		return err
	}
	return enqueue(ctx, client, tx, []clerksync.Delivery{d})
}
