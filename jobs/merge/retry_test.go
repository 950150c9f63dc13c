package merge_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
)

// TestRetry_TriesAgainWhatMayHelp: Run makes another attempt if it may help, and as often as
// [Retry] says.
func TestRetry_TriesAgainWhatMayHelp(t *testing.T) {
	t.Parallel()
	raced := fmt.Errorf("save: %w", store.ErrRaced)
	deadlock, locked := &pgconn.PgError{Code: "40P01"}, &pgconn.PgError{Code: merge.LockNotAvailable}
	for name, c := range map[string]struct {
		retry    merge.Retry
		err      error
		attempts int
	}{
		"a lost race":                 {merge.Retry{}, raced, 5},
		"a deadlock, left to a queue": {merge.Retry{}, deadlock, 1},
		"a lock, left to a queue":     {merge.Retry{}, locked, 1},
		"a deadlock":                  {merge.Thorough(), deadlock, 5},
		"a fault of the data":         {merge.Thorough(), &pgconn.PgError{Code: "22P02"}, 1},
		"a database that is away":     {merge.Thorough(), io.ErrUnexpectedEOF, 1},
	} {
		attempts := 0
		require.ErrorIs(t, c.retry.Run(t.Context(), func() error { attempts++; return c.err }), c.err, name)
		require.Equal(t, c.attempts, attempts, name)
	}
}

// TestRetry_WaitsForLock for a while, in more attempts than a race may take.
func TestRetry_WaitsForLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		locked := &pgconn.PgError{Code: merge.LockNotAvailable}
		attempts, began := 0, time.Now()
		retry := merge.Retry{Locks: merge.LockPatience}
		require.ErrorIs(t, retry.Run(t.Context(), func() error { attempts++; return locked }), locked)
		require.Equal(t, merge.LockPatience, time.Since(began))
		require.Greater(t, attempts, 10)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		attempts = 0
		require.ErrorIs(t, retry.Run(ctx, func() error { attempts++; return locked }), locked)
		require.Equal(t, 1, attempts)
	})
}
