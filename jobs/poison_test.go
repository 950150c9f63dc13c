package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// acceptMembers accepts n memberships, of which msg_042 is the one of orgmem_poison.
func acceptMembers(t *testing.T, b *bundle, n int) {
	t.Helper()
	in := b.inbox(t)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			membership, user := fmt.Sprintf("orgmem_%d", i), fmt.Sprintf("user_%d", i)
			if i == 42 {
				membership, user = "orgmem_poison", "user_poison"
			}
			if _, err := in.Accept(t.Context(), mirrortest.Joined(t, fmt.Sprintf("msg_%03d", i), membership, "org_1", user)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// hurry makes jobs due that wait for another attempt. Another test covers the waits.
func (b *bundle) hurry(t *testing.T) {
	t.Helper()
	b.Exec(t, `UPDATE rolecall.river_job SET state = 'available', scheduled_at = now()
		WHERE state IN ('available', 'retryable', 'scheduled') AND scheduled_at > now()`)
}

// untilQuarantined hurries until the poisoned delivery is quarantined.
func (b *bundle) untilQuarantined(t *testing.T, svixID string) {
	t.Helper()
	mirrortest.Eventually(t, func() bool {
		b.hurry(t)
		return b.Ledger(t, svixID).State == "quarantined"
	})
}

func (b *bundle) untilApplied(t *testing.T, n int) {
	t.Helper()
	mirrortest.Eventually(t, func() bool {
		return b.Count(t, "SELECT count(*) FROM rolecall.deliveries WHERE state = 'applied'") == n
	})
}

func TestApply_PoisonedDeliveryStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, raising("rolecall.memberships", "NEW.id = 'orgmem_poison'"))
	acceptMembers(t, b, 1000)
	b.work(t)
	b.untilApplied(t, 999)
	require.Less(t, b.Ledger(t, "msg_042").Attempts, maxDeliveryAttempts, "the others didn't wait for its end")

	b.untilQuarantined(t, "msg_042")
	poison := b.Ledger(t, "msg_042")
	require.Equal(t, maxDeliveryAttempts, poison.Attempts)
	require.Contains(t, poison.LastError, "poison")
	mirrortest.Eventually(t, func() bool {
		return !slices.ContainsFunc(b.jobs(t), func(j job) bool { return j.State != "completed" })
	}, "every job ends")
	require.Equal(t, 1, strings.Count(b.Logs.String(), `"msg":"delivery quarantined"`))
	require.NotContains(t, b.Mirror(t).Memberships, "orgmem_poison")

	b.Exec(t, "DROP TRIGGER poison ON rolecall.memberships")
	replayed, err := Replay(t.Context(), b.Pool, mirrortest.InstanceID, []string{"msg_042"})
	require.NoError(t, err)
	require.Equal(t, []Replayed{{SvixID: "msg_042", Enqueued: true}}, replayed)
	b.UntilState(t, "msg_042", clerksync.StateApplied)
	require.Contains(t, b.Mirror(t).Memberships, "orgmem_poison")
}

// panicking is a tracer that panics while a transaction reads the mirror for the poisoned
// delivery's user.
type panicking struct{}

func (panicking) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		if strings.Contains(q.SQL, "ReadUsers") && slices.Contains(q.Arguments[0].([]string), "user_poison") {
			panic("out of range")
		}
	}
	return ctx
}

func (panicking) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (panicking) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (panicking) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (panicking) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestApply_PanicStopsNoOtherDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acceptMembers(t, b, 50)
	watch := b.Pool
	b.Pool = mirrortest.OpenPool(t, b.URL, func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = panicking{} })
	b.work(t)
	b.Pool = watch
	b.untilApplied(t, 49)
	b.untilQuarantined(t, "msg_042")
	require.Contains(t, b.Ledger(t, "msg_042").LastError, "panic: out of range")
}

// TestApply_OneByOneQuarantinesAfterLastAttempt counts attempts without River: the delivery waits
// until its last one.
func TestApply_OneByOneQuarantinesAfterLastAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Exec(t, raising("rolecall.users", "NEW.id = 'user_poison'"))
	b.Insert(t, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1), mirrortest.UserNamed(t, "msg_2", "user_poison", "Kim", 1), mirrortest.UserNamed(t, "msg_3", "user_3", "Kim", 1))
	var reported []clerksync.State
	w := &applyWorker{pool: b.Pool, logger: b.Logs.Logger(), ended: func(s clerksync.State, _ time.Duration) { reported = append(reported, s) }}
	oneByOne := func() error {
		singles, err := readSingles(t.Context(), b.Pool, []string{"msg_1", "msg_2", "msg_3"})
		require.NoError(t, err)
		rest := w.oneByOne(t.Context(), singles, nil)
		for len(rest.held) > 0 { // its turn didn't come, on a busy machine
			more := w.oneByOne(t.Context(), rest.held, nil)
			rest.held, rest.err = more.held, errors.Join(rest.err, more.err)
		}
		return rest.err
	}
	for attempt := 1; attempt < maxDeliveryAttempts; attempt++ {
		err := oneByOne()
		require.ErrorContains(t, err, "delivery msg_2")
		require.NotContains(t, err.Error(), "msg_1")
		require.False(t, store.Unavailable(err))
		require.Equal(t, attempt, b.Ledger(t, "msg_2").Attempts)
		require.Equal(t, "received", b.Ledger(t, "msg_2").State)
		require.Equal(t, "applied", b.Ledger(t, "msg_3").State, "beside the poison")
	}
	require.NoError(t, oneByOne())
	require.Equal(t, "quarantined", b.Ledger(t, "msg_2").State)
	require.Equal(t, []clerksync.State{clerksync.StateApplied, clerksync.StateApplied, clerksync.StateQuarantined}, reported)
}
