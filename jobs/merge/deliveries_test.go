package merge_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/jobs/merge"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestDeliveries_TwoWorkersAddOneObject: neither worker finds a row to lock, and neither may
// overwrite the row of the other.
func TestDeliveries_TwoWorkersAddOneObject(t *testing.T) {
	t.Parallel()
	deliveries := []clerksync.Delivery{
		mirrortest.Event(t, "msg_1", "user.updated", 1, map[string]any{"id": "user_1", "first_name": "Kim", "updated_at": mirrortest.T0}),
		mirrortest.Event(t, "msg_2", "user.updated", 2, map[string]any{"id": "user_1", "last_name": "Doe", "updated_at": mirrortest.T0}),
	}
	b := mirrortest.New(t)
	b.Insert(t, deliveries...)
	firstTx, err := b.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = firstTx.Rollback(context.Background()) }()
	_, err = merge.Deliveries(t.Context(), firstTx, merge.Batch{SvixIDs: []string{"msg_1"}})
	require.NoError(t, err)

	done := make(chan error)
	go func() {
		_, err := b.Apply(t.Context(), "msg_2")
		done <- err
	}()
	b.UntilBlocked(t, 1)
	require.NoError(t, firstTx.Commit(t.Context()))
	require.NoError(t, <-done)
	require.Equal(t, mirrortest.Play(t, deliveries...), b.Mirror(t))
}

// brokenTx panics where the mirror would be locked.
type brokenTx struct{ pgx.Tx }

func (tx brokenTx) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	for _, q := range batch.QueuedQueries {
		if ids, ok := q.Arguments[0].([]string); ok && slices.Contains(ids, "user_poison") {
			panic("out of range")
		}
	}
	return tx.Tx.SendBatch(ctx, batch)
}

func TestDeliveries_PanicIsAnError(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	b.Insert(t, mirrortest.UserNamed(t, "msg_1", "user_poison", "Kim", 1))
	err := pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
		_, err := merge.Deliveries(t.Context(), brokenTx{Tx: tx}, merge.Batch{SvixIDs: []string{"msg_1"}})
		return err
	})
	require.ErrorContains(t, err, "panic: out of range")
	require.Equal(t, "received", b.Ledger(t, "msg_1").State)
}

func TestDeliveries_CommitsWithItsLastStatements(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	b.Insert(t, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	tx, err := b.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = merge.Deliveries(t.Context(), tx, merge.Batch{SvixIDs: []string{"msg_1"}, Commit: true})
	require.NoError(t, err)
	require.Equal(t, "applied", b.Ledger(t, "msg_1").State, "as another session sees it")
	require.NoError(t, tx.Rollback(t.Context()), "which is too late")
	require.Equal(t, "applied", b.Ledger(t, "msg_1").State)
}

// TestDeliveries_NothingIsCommittedAfterAnError has a last statement that fails, and a commit that
// fails.
func TestDeliveries_NothingIsCommittedAfterAnError(t *testing.T) {
	t.Parallel()
	for name, trigger := range map[string]string{
		"statement": "CREATE TRIGGER refuse BEFORE UPDATE ON rolecall.deliveries",
		"commit":    "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON rolecall.deliveries DEFERRABLE INITIALLY DEFERRED",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mirrortest.New(t)
			b.Insert(t, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
			b.Exec(t, trigger+" FOR EACH ROW EXECUTE FUNCTION rolecall.refuse_change()")
			err := pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
				_, err := merge.Deliveries(t.Context(), tx, merge.Batch{SvixIDs: []string{"msg_1"}, Commit: true})
				return err
			})
			require.ErrorContains(t, err, "append-only")
			require.Equal(t, "received", b.Ledger(t, "msg_1").State)
			require.Empty(t, b.Mirror(t).Users)
		})
	}
}
