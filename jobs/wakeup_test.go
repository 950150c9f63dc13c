package jobs

import (
	"context"
	"fmt"
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
