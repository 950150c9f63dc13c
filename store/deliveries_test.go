package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// delivery is a delivery as the webhook handler makes it.
func delivery(id, body string, state clerksync.State) clerksync.Delivery {
	d := clerksync.Delivery{
		ID: id, Type: clerksync.UserUpdated, ObjectID: "user_1", OrganizationID: "org_1", InstanceID: "ins_1", OccurredAt: t0,
		ReceivedAt: time.UnixMilli(t0 + 5).UTC(), Body: []byte(body), BodySHA256: sha256.Sum256([]byte(body)), State: state,
	}
	if state == clerksync.StateQuarantined {
		d.Reason = "unreadable"
	}
	return d
}

// insert accepts deliveries without jobs, as the inbox does: the new ones, then the copies.
func insert(t *testing.T, db store.DBTX, deliveries ...clerksync.Delivery) map[string]clerksync.Receipt {
	t.Helper()
	receipts, err := store.AcceptDeliveries(t.Context(), db, deliveries, store.Jobs{})
	require.NoError(t, err)
	known := slices.DeleteFunc(slices.Clone(deliveries), func(d clerksync.Delivery) bool { return receipts[d.ID].Stored })
	replaced, err := store.ReplaceQuarantined(t.Context(), db, known, store.Jobs{})
	require.NoError(t, err)
	maps.Copy(receipts, replaced)
	return receipts
}

func TestAcceptDeliveries_Receipts(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	const received, quarantined = clerksync.StateReceived, clerksync.StateQuarantined
	require.Equal(t, map[string]clerksync.Receipt{"msg_1": {Stored: true}, "msg_2": {Stored: true}, "msg_3": {Stored: true}},
		insert(t, pool, delivery("msg_1", "a", received), delivery("msg_2", "a", quarantined), delivery("msg_3", "a", quarantined)))
	require.Equal(t, map[string]clerksync.Receipt{
		"msg_1": {Differs: true}, "msg_2": {Stored: true, Differs: true}, "msg_3": {Stored: true}, "msg_4": {Stored: true},
	}, insert(t, pool, delivery("msg_4", "b", received), delivery("msg_3", "a", received),
		delivery("msg_2", "b", received), delivery("msg_1", "b", received)))
	require.Equal(t, map[string]clerksync.Receipt{"msg_1": {}, "msg_2": {}},
		insert(t, pool, delivery("msg_1", "a", received), delivery("msg_2", "b", received)))
	require.Empty(t, insert(t, pool))

	locked, err := store.LockReceived(t.Context(), pool, []string{"msg_4", "msg_2", "msg_1", "msg_9"})
	require.NoError(t, err)
	require.Len(t, locked, 3)
	for i, want := range []clerksync.Delivery{
		delivery("msg_1", "a", received), delivery("msg_2", "b", received), delivery("msg_4", "b", received),
	} { // what applying needs, and no more
		want.ObjectID, want.OrganizationID, want.BodySHA256, want.WaitsSince = "", "", [32]byte{}, want.ReceivedAt
		locked[i].ReceivedAt, locked[i].WaitsSince = locked[i].ReceivedAt.UTC(), locked[i].WaitsSince.UTC()
		require.Equal(t, want, locked[i])
	}
}

// TestAcceptDeliveries_ReplacedStartsAnew: attempts of the quarantined copy don't count for the new
// one.
func TestAcceptDeliveries_ReplacedStartsAnew(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	insert(t, pool, delivery("msg_1", "a", clerksync.StateReceived))
	state, err := store.FailDelivery(t.Context(), pool, "msg_1", errors.New("broken"), 1)
	require.NoError(t, err)
	require.Equal(t, clerksync.StateQuarantined, state)
	insert(t, pool, delivery("msg_1", "a", clerksync.StateReceived))
	state, err = store.FailDelivery(t.Context(), pool, "msg_1", errors.New("broken"), 2)
	require.NoError(t, err)
	require.Equal(t, clerksync.StateReceived, state)
}

func TestFailDelivery_AttemptsAreLimited(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	insert(t, pool, delivery("msg_1", "a", clerksync.StateReceived))
	for attempt := 1; attempt <= 4; attempt++ {
		state, err := store.FailDelivery(t.Context(), pool, "msg_1", fmt.Errorf("attempt %d", attempt), 3)
		require.NoError(t, err)
		require.Equal(t, map[int]clerksync.State{
			1: clerksync.StateReceived, 2: clerksync.StateReceived, 3: clerksync.StateQuarantined, 4: "",
		}[attempt], state)
	}
	var attempts int
	var cause string
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT attempts, last_error FROM rolecall.deliveries").Scan(&attempts, &cause))
	require.Equal(t, 3, attempts)
	require.Equal(t, "attempt 3", cause, "the last one that counted")
	state, err := store.FailDelivery(t.Context(), pool, "msg_unknown", errors.New("x"), 3)
	require.NoError(t, err)
	require.Empty(t, state)
}

// TestFailDelivery_AnyErrorCanBeRecorded: if a failure couldn't be counted, its delivery would be
// tried for ever.
func TestFailDelivery_AnyErrorCanBeRecorded(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	insert(t, pool, delivery("msg_1", "a", clerksync.StateReceived))
	state, err := store.FailDelivery(t.Context(), pool, "msg_1", errors.New("panic: \x00\xff"), 1)
	require.NoError(t, err)
	require.Equal(t, clerksync.StateQuarantined, state)
}

func TestFinish_CountsAndIsFinal(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	applied, quarantined := delivery("msg_1", "a", clerksync.StateReceived), delivery("msg_2", "a", clerksync.StateReceived)
	insert(t, pool, applied, quarantined)
	oldest, err := store.OldestReceived(t.Context(), pool)
	require.NoError(t, err)
	require.True(t, oldest.Equal(applied.ReceivedAt))

	applied.State = clerksync.StateApplied
	quarantined.Quarantine("unreadable")
	now := time.UnixMilli(t0 + 99).UTC()
	require.NoError(t, store.Finish(t.Context(), pool, store.Writes{Deliveries: []clerksync.Delivery{applied, quarantined}}, store.Saved{}, now))
	rows, err := pool.Query(t.Context(), "SELECT state || ' ' || last_error, applied_at FROM rolecall.deliveries ORDER BY svix_id")
	require.NoError(t, err)
	type end struct {
		State string
		At    *time.Time
	}
	ends, err := pgx.CollectRows(rows, pgx.RowToStructByPos[end])
	require.NoError(t, err)
	require.Equal(t, "applied ", ends[0].State)
	require.True(t, ends[0].At.Equal(now))
	require.Equal(t, end{State: "quarantined unreadable"}, ends[1])

	oldest, err = store.OldestReceived(t.Context(), pool)
	require.NoError(t, err)
	require.True(t, oldest.IsZero(), "nothing waits")
	locked, err := store.LockReceived(t.Context(), pool, []string{"msg_1", "msg_2"})
	require.NoError(t, err)
	require.Empty(t, locked)
}

func TestTryTakeOver_OneTransactionOnly(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	first, err := pool.Begin(t.Context())
	require.NoError(t, err)
	second, err := pool.Begin(t.Context())
	require.NoError(t, err)
	try := func(tx pgx.Tx) bool {
		locked, err := store.TryTakeOver(t.Context(), tx)
		require.NoError(t, err)
		return locked
	}
	require.True(t, try(first))
	require.False(t, try(second))
	require.NoError(t, first.Rollback(t.Context()))
	require.True(t, try(second))
	require.NoError(t, second.Rollback(t.Context()))
}

// TestReplaceQuarantined_LostCopyIsStored: a failover may have lost it after it was found.
func TestReplaceQuarantined_LostCopyIsStored(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := clerksync.NewDelivery("msg_1", []byte(`{"type":"user.updated","timestamp":1790000000000,"data":{"id":"user_1"}}`), time.Now(), time.Now())
	receipts, err := store.ReplaceQuarantined(t.Context(), db, []clerksync.Delivery{d}, store.Jobs{})
	require.NoError(t, err)
	require.Equal(t, map[string]clerksync.Receipt{"msg_1": {Stored: true}}, receipts)
	ids, err := store.LockReceived(t.Context(), db, []string{"msg_1"})
	require.NoError(t, err)
	require.Len(t, ids, 1)
}
