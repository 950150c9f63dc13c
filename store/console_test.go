package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
)

func TestLimitStatements_LastsForTheTransaction(t *testing.T) {
	t.Parallel()
	conn, err := pgtest.New(t).Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	limits := func() (time, processes string) {
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT current_setting('statement_timeout'), current_setting('max_parallel_workers_per_gather')`).
			Scan(&time, &processes))
		return time, processes
	}
	before, more := limits()
	require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		err := store.LimitStatements(t.Context(), tx, 1234*time.Millisecond)
		bounded, none := limits()
		require.Equal(t, []string{"1234ms", "0"}, []string{bounded, none})
		return err
	}))
	after, again := limits()
	require.Equal(t, []string{before, more}, []string{after, again})
}
