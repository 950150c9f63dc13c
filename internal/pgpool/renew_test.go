package pgpool

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// oldAndNew are a primary and a standby that was promoted beside it, behind a pooler for sessions.
type oldAndNew struct {
	old, new *pgtest.Cluster
	name     *pgtest.Switch
	through  string
}

func newOldAndNew(t *testing.T) oldAndNew {
	t.Helper()
	o := oldAndNew{old: pgtest.NewCluster(t, nil)}
	o.new = o.old.Standby()
	o.name = pgtest.NewSwitch(t, o.old.Addr())
	o.through = pgtest.PgBouncer(t, o.name.URL(o.old.URL("")), pgtest.SessionPooling)
	return o
}

// leadsTo reports whether a pool gets an answer of a cluster.
func leadsTo(ctx context.Context, pool *pgxpool.Pool, c *pgtest.Cluster) bool {
	var port string
	err := Pool{pool}.QueryRow(ctx, "SELECT inet_server_port()::text").Scan(&port)
	return err == nil && strings.HasSuffix(c.Addr(), ":"+port)
}

// TestRenew_ServersThatAPoolerKeeps: an old primary stays up, and the pooler keeps its servers.
// After a look at where the URL leads now, none of these servers answers, and the new primary
// answers in all pools.
func TestRenew_ServersThatAPoolerKeeps(t *testing.T) {
	t.Parallel()
	o := newOldAndNew(t)
	changes := make(chan Change, 10)
	lineage := NewLineage(func(c Change) { changes <- c })
	admin := open(t, Config{URL: o.through, Lineage: lineage, MaxConns: 2, Fresh: time.Second})
	read := open(t, Config{URL: o.through, Needs: Needs{ReadOnly: true}, Lineage: lineage, MaxConns: 4})
	kept := open(t, Config{URL: o.through, MaxConns: 6})
	for _, pool := range []*pgxpool.Pool{kept, read, admin} {
		var all []*pgxpool.Conn
		for range pool.Config().MaxConns {
			conn, err := pool.Acquire(t.Context())
			require.NoError(t, err)
			all = append(all, conn)
		}
		for _, conn := range all {
			conn.Release()
		}
	}
	kept.Close() // its servers stay with the pooler
	require.True(t, leadsTo(t.Context(), read, o.old))
	opened := time.Now() // every server that the pooler keeps is older
	o.new.Promote()
	o.name.Turn(o.new.Addr()) // what is connected stays
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_ = LookWhereItLeads(ctx, admin, time.Since(opened))
		return len(changes) > 0
	}, 30*time.Second, 100*time.Millisecond, "the new one is noticed")
	require.Eventually(t, func() bool { return leadsTo(t.Context(), read, o.new) }, 30*time.Second, time.Millisecond)
	for range 50 {
		require.True(t, leadsTo(t.Context(), read, o.new) && leadsTo(t.Context(), admin, o.new))
	}
}

// TestLook_LeavesNoTraceInTheLog of Postgres: the server of a look isn't ended by force.
func TestLook_LeavesNoTraceInTheLog(t *testing.T) {
	t.Parallel()
	c := pgtest.NewCluster(t, nil)
	pool := open(t, Config{URL: pgtest.PgBouncer(t, c.URL(""), pgtest.SessionPooling), MaxConns: 2})
	seen := map[string]bool{}
	for range 5 {
		require.NoError(t, LookWhereItLeads(t.Context(), pool, time.Hour))
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		pid, err := serverPID(t.Context(), conn.Conn().PgConn(), "")
		require.NoError(t, err)
		conn.Release()
		require.False(t, seen[pid], "the server of a look serves no other session")
		seen[pid] = true
	}
	require.Equal(t, "0", c.Value("", "SELECT coalesce(sum(sessions_killed), 0)::text FROM pg_stat_database"))
}
