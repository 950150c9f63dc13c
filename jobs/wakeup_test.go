package jobs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/mirrortest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestWorkers_WakeAtEveryCommit has workers that never poll. Before each commit, an insert is
// rolled back, which uses up River's own wake-up.
func TestWorkers_WakeAtEveryCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg := b.workersConfig()
	riverCfg := cfg.river()
	riverCfg.FetchPollInterval = time.Hour
	w, err := newWorkers(cfg, riverCfg)
	require.NoError(t, err)
	start(t, w)
	in := b.inbox(t)
	warm := 0
	mirrortest.Eventually(t, func() bool { // until the workers listen
		warm++
		accept(t, in, mirrortest.UserNamed(t, fmt.Sprintf("msg_warm%d", warm), "user_1", "Kim", 1))
		return b.Ledger(t, "msg_warm1").AppliedAt != nil
	})
	for name, commit := range map[string]func(clerksync.Delivery){
		"accepted": func(d clerksync.Delivery) { accept(t, in, d) },
		"enqueued": func(d clerksync.Delivery) {
			b.Insert(t, d)
			require.NoError(t, pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
				return enqueue(t.Context(), w.client, tx, []clerksync.Delivery{d})
			}))
		},
	} {
		for n := range 5 {
			tx, err := b.Pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = w.client.InsertManyFastTx(t.Context(), tx, []river.InsertManyParams{{Args: ApplyArgs{SvixIDs: []string{"msg_rolled_back"}}}})
			require.NoError(t, err)
			require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context())))
			id := fmt.Sprintf("msg_%s%d", name, n)
			commit(mirrortest.UserNamed(t, id, "user_1", "Kim", int64(n)))
			require.Eventually(t, func() bool { return b.Ledger(t, id).AppliedAt != nil }, takeOverAfter-2*time.Second, 10*time.Millisecond,
				"before it would be taken over")
		}
	}
}

// TestInbox_OneWakeUpForManyCommits accepts deliveries one by one, faster than workers fetch.
func TestInbox_OneWakeUpForManyCommits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listener := listen(t, b)
	in := b.inbox(t)
	began := time.Now()
	const deliveries = 200
	for n := range deliveries {
		accept(t, in, mirrortest.Joined(t, fmt.Sprintf("msg_%d", n), fmt.Sprintf("orgmem_%d", n), "org_1", fmt.Sprintf("user_%d", n)))
	}
	in.Stop() // sends what is owed
	// A slow commit that carries a wake-up may end just after the timer has sent one.
	most := 2 + 2*(1+int(time.Since(began)/(applyCooldown+wakeGrace)))
	require.Equal(t, deliveries, b.Count(t, "SELECT count(*) FROM rolecall.river_job"))
	require.LessOrEqual(t, notifications(t, b, listener), most)
}

// TestInbox_EachCommitIsFollowedByAWakeUp has commits that leave their wake-up to the next one,
// which takes access away, carries a repeat, or never comes.
func TestInbox_EachCommitIsFollowedByAWakeUp(t *testing.T) {
	t.Parallel()
	joined := func(n int) clerksync.Delivery {
		return mirrortest.Joined(t, fmt.Sprintf("msg_%d", n), fmt.Sprintf("orgmem_%d", n), "org_1", fmt.Sprintf("user_%d", n))
	}
	for name, after := range map[string]func(*testing.T, *Inbox){
		"nothing":  func(*testing.T, *Inbox) {},
		"a repeat": func(t *testing.T, in *Inbox) { t.Helper(); accept(t, in, joined(0)) },
		"a revocation": func(t *testing.T, in *Inbox) {
			t.Helper()
			accept(t, in, mirrortest.UserNamed(t, "msg_2", "user_1", "Kim", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			in := b.inbox(t)
			accept(t, in, joined(0))
			listener := listen(t, b)
			in.wakes.committed(true) // so that the next commit leaves its wake-up
			accept(t, in, joined(1))
			after(t, in)
			untilWoken(t, listener, QueueApply)
		})
	}
}

// listen opens a session that hears the wake-ups of workers.
func listen(t *testing.T, b *bundle) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), b.Pool.Config().ConnConfig)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	_, err = conn.Exec(t.Context(), `LISTEN "rolecall.river_insert"`)
	require.NoError(t, err)
	return conn
}

// untilWoken waits for the next wake-up of a queue's workers.
func untilWoken(t *testing.T, listener *pgx.Conn, queue string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mirrortest.Patience)
	defer cancel()
	for heard := ""; !strings.Contains(heard, queue); {
		wakeUp, err := listener.WaitForNotification(ctx)
		require.NoError(t, err, "no wake-up came")
		heard = wakeUp.Payload
	}
}

// notifications counts the wake-ups until one that this function sends.
func notifications(t *testing.T, b *bundle, listener *pgx.Conn) (count int) {
	t.Helper()
	_, err := b.Pool.Exec(t.Context(), "SELECT pg_notify('rolecall.river_insert', 'end')")
	require.NoError(t, err)
	for {
		heard, err := listener.WaitForNotification(t.Context())
		require.NoError(t, err)
		if heard.Payload == "end" {
			return count
		}
		count++
	}
}
