package jobs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestInbox_FullRefusesAtOnce has twice as many senders as the inbox holds while the database
// stands still. Exactly the deliveries that aren't refused are stored.
func TestInbox_FullRefusesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	release := b.holdCommits(t)
	const senders = 2 * inboxCapacity
	refused := make(chan string, senders)
	var wg sync.WaitGroup
	var stored atomic.Int64
	for n := range senders {
		wg.Go(func() {
			id := fmt.Sprintf("msg_%04d", n)
			receipt, err := in.Accept(t.Context(), mirrortest.UserNamed(t, id, "user_1", "Kim", 1))
			switch {
			case errors.Is(err, ErrInboxFull):
				refused <- id
			case err != nil || !receipt.Stored:
				t.Errorf("%s: %+v, %v", id, receipt, err)
			default:
				stored.Add(1)
			}
		})
	}
	id := <-refused // without waiting for the database
	release()
	wg.Wait()
	close(refused)
	require.Zero(t, b.Ledger(t, id))
	for id := range refused {
		require.Zero(t, b.Ledger(t, id))
	}
	require.EqualValues(t, b.Count(t, "SELECT count(*) FROM rolecall.deliveries"), stored.Load())
	require.GreaterOrEqual(t, stored.Load(), int64(inboxCapacity))
	require.Equal(t, clerksync.Receipt{Stored: true}, accept(t, in, mirrortest.UserNamed(t, id, "user_1", "Kim", 1)), "there is room again")
}

func TestInbox_StoppedRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	accept(t, in, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	in.Stop()
	in.Stop()
	_, err := in.Accept(t.Context(), mirrortest.UserNamed(t, "msg_2", "user_1", "Kim", 1))
	require.ErrorIs(t, err, ErrInboxStopped)
	require.Zero(t, b.Ledger(t, "msg_2"))
}

func TestInbox_StopCommitsWaitingDeliveries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	release := b.holdCommits(t)
	var wg sync.WaitGroup
	b.occupy(t, in, &wg)
	const senders = 3 * MaxBatch
	for n := range senders {
		wg.Go(func() {
			if _, err := in.Accept(t.Context(), mirrortest.UserNamed(t, fmt.Sprintf("msg_%03d", n), "user_1", "Kim", 1)); err != nil {
				t.Error(err)
			}
		})
	}
	mirrortest.Eventually(t, func() bool { return len(in.waiting) == senders })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		in.Stop()
	}()
	release()
	<-stopped
	require.Equal(t, collectors+senders, b.Count(t, "SELECT count(*) FROM rolecall.deliveries"))
	wg.Wait()
}

// TestInbox_StopAnswersEveryCaller stops inboxes while callers come in. Each caller gets an answer,
// and the answer is true.
func TestInbox_StopAnswersEveryCaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const rounds, callers = 60, 8
	for round := range rounds {
		in := b.inbox(t)
		var accepted [callers]bool
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), mirrortest.Patience)
		for n := range callers {
			wg.Go(func() {
				_, err := in.Accept(ctx, mirrortest.UserNamed(t, fmt.Sprintf("msg_%d_%d", round, n), "user_1", "Kim", 1))
				accepted[n] = err == nil
				if err != nil && !errors.Is(err, ErrInboxStopped) {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		in.Stop()
		wg.Wait()
		cancel()
		for n := range callers {
			require.Equal(t, accepted[n], b.Ledger(t, fmt.Sprintf("msg_%d_%d", round, n)) != mirrortest.Row{}, "round %d", round)
		}
	}
}

func TestInbox_CancelledCallersDeliveryIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	release := b.holdCommits(t)
	ctx, cancel := context.WithCancel(t.Context())
	left, d := make(chan error), mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1)
	go func() {
		_, err := in.Accept(ctx, d)
		left <- err
	}()
	b.UntilBlocked(t, 1)
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	release()
	b.UntilState(t, "msg_1", clerksync.StateReceived)
	receipt := accept(t, in, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	require.False(t, receipt.Stored, "the caller left, but its delivery was committed: a retry is a repeat")
	require.Len(t, b.jobs(t), 1)
}

// wire is a network between a pool and Postgres that can be cut.
type wire struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for _, conn := range w.conns {
			_ = conn.Close()
		}
		w.conns = nil
	}
}

func TestInbox_DatabaseAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := &wire{}
	b.Pool = mirrortest.OpenPool(t, b.URL, func(cfg *pgxpool.Config) { cfg.ConnConfig.DialFunc = w.dial })
	in := b.inbox(t)
	accept(t, in, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	w.set(true)
	for range 3 { // the first finds a broken connection, the others none
		_, err := in.Accept(t.Context(), mirrortest.UserNamed(t, "msg_2", "user_1", "Kim", 1))
		require.Error(t, err)
		require.True(t, store.Unavailable(err), err)
	}
	require.Contains(t, b.Logs.String(), "commit deliveries")
	w.set(false)
	mirrortest.Eventually(t, func() bool {
		_, err := in.Accept(t.Context(), mirrortest.UserNamed(t, "msg_2", "user_1", "Kim", 1))
		return err == nil
	})
	require.Equal(t, "received", b.Ledger(t, "msg_2").State)
}

// TestInbox_HangingDatabaseEndsInTimeout has a database that takes a commit and never answers. Its
// callers get an error before Clerk gives up.
func TestInbox_HangingDatabaseEndsInTimeout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	release := b.holdCommits(t)
	began := time.Now()
	_, err := in.Accept(t.Context(), mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 15*time.Second, "Clerk's limit")
	release()
	accept(t, in, mirrortest.UserNamed(t, "msg_1", "user_1", "Kim", 1)) // the first one may be stored or not
	require.Equal(t, "received", b.Ledger(t, "msg_1").State)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.river_job WHERE args ->> 'svix_ids' LIKE '%msg_1%'"), "it is there once, with its job")
}

// TestInbox_KeepsBatchWholeWhenDatabaseFails: sixty-four commits that fail one after the other
// would keep their callers waiting for sixty-four time-outs.
func TestInbox_KeepsBatchWholeWhenDatabaseFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.inbox(t)
	b.Exec(t, `CREATE SEQUENCE rolecall.tries; GRANT ALL ON SEQUENCE rolecall.tries TO public;
		CREATE FUNCTION rolecall.disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			PERFORM nextval('rolecall.tries'); RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$;
		CREATE TRIGGER disk_full BEFORE INSERT ON rolecall.deliveries FOR EACH ROW WHEN (NEW.svix_id LIKE 'msg_full%')
		EXECUTE FUNCTION rolecall.disk_full()`)
	var deliveries []clerksync.Delivery
	for n := range 8 {
		deliveries = append(deliveries, mirrortest.UserNamed(t, fmt.Sprintf("msg_full%d", n), "user_1", "Kim", 1))
	}
	_, errs := b.batch(t, in, deliveries...)
	for _, err := range errs {
		require.True(t, store.Unavailable(err), err)
	}
	require.Equal(t, 1, b.Count(t, "SELECT last_value FROM rolecall.tries"), "one commit was tried")
}
