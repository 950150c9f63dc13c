package pgpool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

func openPerTransaction(t *testing.T, c Config) *PerTransaction {
	t.Helper()
	p, err := OpenPerTransaction(context.WithoutCancel(t.Context()), c)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// TestPerTransaction_TransactionsHaveWhatTheyNeed, whatever the database's defaults are.
func TestPerTransaction_TransactionsHaveWhatTheyNeed(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	direct := c.Migrated("rolecall")
	hostile(t, c, "rolecall")
	c.Exec("", "ALTER DATABASE rolecall RESET idle_session_timeout") // it ends what a pooler keeps
	through := pgtest.PgBouncer(t, direct, pgtest.TransactionPooling)
	const settings = `SELECT concat_ws('|', current_setting('transaction_isolation'), current_setting('synchronous_commit'),
		current_setting('lock_timeout'), current_setting('transaction_read_only'), current_setting('client_encoding'), current_setting('search_path'))`
	writes := openPerTransaction(t, Config{URL: through, Needs: Needs{Write: true, LockTimeout: time.Second}, MaxConns: 3})
	reads := openPerTransaction(t, Config{URL: through, Needs: Needs{ReadOnly: true}, MaxConns: 3})
	for range 10 {
		var got string
		require.NoError(t, writes.QueryRow(t.Context(), settings).Scan(&got))
		require.Equal(t, "read committed|on|1s|off|UTF8|pg_catalog, pg_temp", got)
		require.NoError(t, reads.QueryRow(t.Context(), settings).Scan(&got))
		require.Equal(t, "read committed|on|0|on|UTF8|pg_catalog, pg_temp", got)
		require.NoError(t, pgx.BeginFunc(t.Context(), writes, func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), settings).Scan(&got) }))
		require.Equal(t, "read committed|on|1s|off|UTF8|pg_catalog, pg_temp", got)
		require.NoError(t, reads.Snapshot(t.Context(), func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), settings).Scan(&got) }))
		require.Equal(t, "repeatable read|on|0|on|UTF8|pg_catalog, pg_temp", got)
	}
}

// TestSnapshot_SeesOneMoment: through a pooler, and without one.
func TestSnapshot_SeesOneMoment(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	direct := c.Migrated("rolecall")
	pool, err := Open(t.Context(), Config{URL: direct, Needs: Needs{Write: true}, MaxConns: 3})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	through := openPerTransaction(t, Config{URL: pgtest.PgBouncer(t, direct, pgtest.TransactionPooling), Needs: Needs{Write: true}, MaxConns: 3})
	for _, db := range []DB{Pool{pool}, through} {
		_, err := pool.Exec(t.Context(), "DELETE FROM rolecall.grants")
		require.NoError(t, err)
		require.NoError(t, db.Snapshot(t.Context(), func(tx pgx.Tx) error {
			for range 2 {
				var n int
				if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.grants").Scan(&n); err != nil {
					return err
				}
				require.Zero(t, n)
				if _, err := pool.Exec(t.Context(), "INSERT INTO rolecall.grants VALUES ('org:a', 'p') ON CONFLICT DO NOTHING"); err != nil {
					return err
				}
			}
			var readOnly string
			if err := tx.QueryRow(t.Context(), "SHOW transaction_read_only").Scan(&readOnly); err != nil {
				return err
			}
			require.Equal(t, "on", readOnly)
			return nil
		}))
	}
}

// TestPerTransaction_StatementsArePipelined: rows, errors, commits, and statements after an error.
func TestPerTransaction_StatementsArePipelined(t *testing.T) {
	t.Parallel()
	direct := pgtest.URL(t)
	p := openPerTransaction(t, Config{URL: pgtest.PgBouncer(t, direct, pgtest.TransactionPooling), Needs: Needs{Write: true}, MaxConns: 2})
	ctx := t.Context()
	_, err := p.Exec(ctx, "CREATE TABLE public.x (i int PRIMARY KEY, later int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	require.NoError(t, err)
	for i := range 20 {
		tag, err := p.Exec(ctx, "INSERT INTO public.x VALUES ($1, $1)", i)
		require.NoError(t, err)
		require.EqualValues(t, 1, tag.RowsAffected())
		_, err = p.Exec(ctx, "INSERT INTO public.x VALUES ($1, -1)", i)
		refused, ok := errors.AsType[*pgconn.PgError](err)
		require.True(t, ok)
		require.Equal(t, "23505", refused.Code)
		var none int
		require.ErrorIs(t, p.QueryRow(ctx, "SELECT i FROM public.x WHERE i = $1", -i-1).Scan(&none), pgx.ErrNoRows)
	}
	var back int
	err = p.QueryRow(ctx, "INSERT INTO public.x VALUES (100, 1) RETURNING i").Scan(&back)
	require.ErrorContains(t, err, "23505", "an error at COMMIT is reported")
	rows, err := p.Query(ctx, "SELECT i FROM public.x WHERE i = ANY ($1) ORDER BY i", []int32{3, 5})
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	require.Equal(t, []int{3, 5}, got)
	batch := &pgx.Batch{}
	batch.Queue("INSERT INTO public.x VALUES (200, 200)")
	batch.Queue("INSERT INTO public.x VALUES (201, 201)")
	require.NoError(t, p.SendBatch(ctx, batch).Close())
	require.NoError(t, p.QueryRow(ctx, "SELECT count(*) FROM public.x").Scan(&back))
	require.Equal(t, 22, back)
}

// TestPerTransaction_OnAStandby gives no answer, also if the server behind the pooler changes. With
// the new primary it works again.
func TestPerTransaction_OnAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	standby := primary.Standby()
	name := pgtest.NewSwitch(t, primary.Addr())
	through := pgtest.PgBouncer(t, name.URL(primary.URL("")), pgtest.TransactionPooling)
	changed := make(chan Change, 1)
	p := openPerTransaction(t, Config{URL: through, Needs: Needs{ReadOnly: true}, MaxConns: 2, Lineage: NewLineage(func(c Change) { changed <- c })})
	port := func() (port string, err error) {
		err = p.QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&port)
		return port, err
	}
	got, err := port()
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(primary.Addr(), ":"+got))
	name.Turn(standby.Addr())
	name.Cut()
	require.Eventually(t, func() bool {
		answer, err := port()
		require.False(t, err == nil && strings.HasSuffix(standby.Addr(), ":"+answer), "an answer of a standby")
		refused, ok := errors.AsType[*RefusedError](err)
		return ok && refused.Reason == ReasonInRecovery
	}, 20*time.Second, 50*time.Millisecond)
	standby.Promote()
	require.Eventually(t, func() bool {
		answer, err := port()
		return err == nil && strings.HasSuffix(standby.Addr(), ":"+answer)
	}, 20*time.Second, 50*time.Millisecond)
	c := <-changed
	require.Equal(t, c.Before.Timeline+1, c.After.Timeline)
	name.Turn(primary.Addr())
	name.Cut()
	require.Eventually(t, func() bool {
		answer, err := port()
		require.False(t, err == nil && strings.HasSuffix(primary.Addr(), ":"+answer), "an answer of the old primary")
		refused, ok := errors.AsType[*RefusedError](err)
		return ok && refused.Reason == ReasonOlderTimeline
	}, 20*time.Second, 50*time.Millisecond, fmt.Sprint(c))
}
