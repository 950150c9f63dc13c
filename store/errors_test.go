package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

func TestUnavailable_ByCode(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"57P01": true,  // admin_shutdown
		"57P03": true,  // cannot_connect_now
		"57014": true,  // query_canceled
		"40P01": true,  // deadlock_detected
		"40001": true,  // serialization_failure
		"53100": true,  // disk_full
		"53300": true,  // too_many_connections
		"55P03": true,  // lock_not_available
		"58030": true,  // io_error
		"08006": true,  // connection_failure
		"25006": true,  // read_only_sql_transaction: a standby, or a disk that is nearly full
		"22P02": false, // invalid_text_representation
		"22021": false, // character_not_in_repertoire
		"23505": false, // unique_violation
		"25001": false, // active_sql_transaction
		"42P01": false, // undefined_table
		"54000": false, // program_limit_exceeded: a key too long for its index
		"P0001": false, // raise_exception
		"":      false,
	} {
		err := fmt.Errorf("apply: %w", &pgconn.PgError{Code: code})
		require.Equal(t, want, store.Unavailable(err), code)
		require.Equal(t, !want, store.Refused(err), code)
		require.Equal(t, want, store.Unavailable(errors.Join(errors.New("first"), err)), code)
	}
}

func TestUnavailable_WithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		nil:                                   false,
		io.EOF:                                true,
		io.ErrUnexpectedEOF:                   true,
		context.DeadlineExceeded:              true,
		context.Canceled:                      false, // the caller gave up; the database may be fine
		pgx.ErrNoRows:                         false,
		store.ErrNotFound:                     false,
		&net.OpError{Op: "read", Err: io.EOF}: true,
	} {
		require.Equal(t, want, store.Unavailable(err), "%v", err)
		require.False(t, store.Refused(err), "%v", err)
	}
}

// TestUnavailable_ForReal uses the errors that Postgres and pgx really make.
func TestUnavailable_ForReal(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	ctx := t.Context()

	_, err := pgx.Connect(ctx, "postgres://postgres@127.0.0.1:1/x?sslmode=disable")
	require.True(t, store.Unavailable(err), "refused: %v", err)

	conn, err := pool.Acquire(ctx)
	require.NoError(t, err)
	_, err = pool.Exec(ctx, "SELECT pg_terminate_backend($1)", conn.Conn().PgConn().PID())
	require.NoError(t, err)
	_, err = conn.Exec(ctx, "SELECT 1")
	require.True(t, store.Unavailable(err), "terminated: %v", err)
	_, err = conn.Exec(ctx, "SELECT 1")
	require.True(t, store.Unavailable(err), "closed: %v", err)
	conn.Release()

	hurried, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = pool.Exec(hurried, "SELECT pg_sleep(60)")
	require.True(t, store.Unavailable(err), "too slow: %v", err)

	readOnly, err := pool.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	require.NoError(t, err)
	_, err = store.AcceptDeliveries(ctx, readOnly, []clerksync.Delivery{delivery("msg_1", "{}", clerksync.StateReceived)}, store.Jobs{})
	require.NoError(t, readOnly.Rollback(ctx))
	require.True(t, store.Unavailable(err), "read only: %v", err)

	_, err = pool.Exec(ctx, "SELECT 'x'::int")
	require.Error(t, err)
	require.False(t, store.Unavailable(err), "a wrong question: %v", err)
	_, err = store.AcceptDeliveries(ctx, pool, nil, store.Jobs{})
	require.NoError(t, err)
}
