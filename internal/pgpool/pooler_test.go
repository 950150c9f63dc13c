package pgpool

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// besides simulates other clients of a pooler, which ask without a pause until the returned
// function is called.
func besides(t *testing.T, target string, clients int) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range clients {
		conn, err := pgx.Connect(ctx, target)
		require.NoError(t, err)
		asking.Go(func() {
			for ctx.Err() == nil {
				_, _ = conn.Exec(ctx, "SELECT pg_sleep(0.002)") // it ends with the context
			}
			_ = conn.Close(context.WithoutCancel(ctx)) // it has nothing to lose
		})
	}
	return func() { cancel(); asking.Wait() }
}

// warm makes a pooler open a number of servers, all of which it keeps.
func warm(t *testing.T, target string, servers int) {
	t.Helper()
	var held []*pgx.Conn
	for range servers {
		conn, err := pgx.Connect(t.Context(), target)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "BEGIN")
		require.NoError(t, err)
		held = append(held, conn)
	}
	for _, conn := range held {
		_, err := conn.Exec(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}
}

// TestPooler_SharedWithOthers: poolers are told apart also beside other clients, and however they
// choose among their servers.
func TestPooler_SharedWithOthers(t *testing.T) {
	t.Parallel()
	direct := pgtest.URL(t)
	for _, tt := range []struct {
		mode     pgtest.PoolMode
		settings string
		clients  int
		want     Pooler
	}{
		{pgtest.TransactionPooling, "server_round_robin = 1", 0, PoolerTransaction},
		{pgtest.TransactionPooling, "server_round_robin = 1", 3, PoolerTransaction},
		{pgtest.TransactionPooling, "server_round_robin = 0", 6, PoolerTransaction},
		{pgtest.TransactionPooling, "min_pool_size = 8\nserver_round_robin = 1", 0, PoolerTransaction},
		{pgtest.TransactionPooling, "default_pool_size = 1", 0, PoolerTransaction},
		{"statement", "", 0, PoolerTransaction},
		{pgtest.SessionPooling, "server_round_robin = 1", 6, PoolerSession},
		{pgtest.SessionPooling, "default_pool_size = 1", 0, PoolerSession},
	} {
		t.Run(string(tt.mode)+" "+tt.settings, func(t *testing.T) {
			t.Parallel()
			through := pgtest.PgBouncer(t, direct, tt.mode, strings.Split(tt.settings, "\n")...)
			if strings.HasPrefix(tt.settings, "min_pool_size") {
				warm(t, through, 8)
			}
			end := besides(t, through, tt.clients)
			defer end()
			for range 2 {
				began := time.Now()
				r, err := Inspect(t.Context(), Config{URL: through})
				require.NoError(t, err)
				require.Equal(t, tt.want, r.Pooler)
				require.Less(t, time.Since(began), askFor)
			}
		})
	}
}

// TestInspect_TakesOneMoreConnection at most, so that a small limit is enough. The third connection
// is the test's, which may not have ended yet.
func TestInspect_TakesOneMoreConnection(t *testing.T) {
	t.Parallel()
	through := pgtest.PgBouncer(t, pgtest.URL(t), pgtest.SessionPooling, "max_client_conn = 3", "default_pool_size = 2")
	r, err := Inspect(t.Context(), Config{URL: through})
	require.NoError(t, err)
	require.Equal(t, PoolerSession, r.Pooler)
}

// TestInspect_ServerThatFallsSilent ends in time: the server accepts clients, as a pooler without
// servers does, and then says nothing.
func TestInspect_ServerThatFallsSilent(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if _, err := backend.ReceiveStartupMessage(); err != nil {
				return
			}
			backend.Send(&pgproto3.AuthenticationOk{})
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			_ = backend.Flush() // the client may have gone
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	began := time.Now()
	_, err = Inspect(t.Context(), Config{URL: "postgres://u:secret@" + listener.Addr().String() + "/d?sslmode=disable&connect_timeout=1"})
	require.ErrorContains(t, err, "deadline")
	require.NotContains(t, err.Error(), "secret")
	require.Less(t, time.Since(began), 1*time.Second+askFor+3*time.Second)
}

// TestInspect_PrefersThePrimary of several hosts, and reports a standby if there is nothing else.
func TestInspect_PrefersThePrimary(t *testing.T) {
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	standby := primary.Standby()
	both := func(first, second *pgtest.Cluster) string {
		return strings.Replace(primary.URL(""), primary.Addr(), first.Addr()+","+second.Addr(), 1)
	}
	for target, recovery := range map[string]bool{
		both(standby, primary): false, both(primary, standby): false, both(standby, standby): true,
		both(standby, primary) + "&target_session_attrs=read-only": true, // as it is told
	} {
		r, err := Inspect(t.Context(), Config{URL: target})
		require.NoError(t, err)
		require.Equal(t, recovery, r.InRecovery, target)
		require.Equal(t, PoolerNone, r.Pooler)
	}
}

// TestInspect_PrintsNoPartOfAPassword that isn't escaped, and whose second half Postgres takes for
// a parameter.
func TestInspect_PrintsNoPartOfAPassword(t *testing.T) {
	t.Parallel()
	for _, target := range []string{pgtest.URL(t), pgtest.PgBouncer(t, pgtest.URL(t), pgtest.TransactionPooling)} {
		for _, rest := range []string{"&hunter2=x", "&work_mem=hunter2", "&options=-chunter2%3Dx", "&statement_timeout=hunter2"} {
			c := Config{URL: target + rest, Setting: "ROLECALL_READ_DATABASE_URL"}
			_, inspected := Inspect(t.Context(), c)
			_, connected := Connect(t.Context(), c)
			opened := Await(t.Context(), open(t, c))
			p := openPerTransaction(t, c)
			_, transacted := p.Exec(t.Context(), "SELECT 1")
			for _, err := range []error{inspected, connected, opened, transacted} {
				require.ErrorContains(t, err, "Postgres refuses a parameter of ROLECALL_READ_DATABASE_URL (SQLSTATE ")
				require.NotContains(t, err.Error(), "hunter2")
			}
		}
	}
}
