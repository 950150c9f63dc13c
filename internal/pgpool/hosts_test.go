package pgpool

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// TestHosts_TheOneThatLedIsAskedFirst: a primary that hangs, named first, holds up only the first
// session that finds the new one. Sessions that are being opened to it then are cut.
func TestHosts_TheOneThatLedIsAskedFirst(t *testing.T) {
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	standby := primary.Standby()
	one, other := pgtest.NewSwitch(t, primary.Addr()), pgtest.NewSwitch(t, standby.Addr())
	u, err := url.Parse(one.URL(primary.URL("")))
	require.NoError(t, err)
	u.Host += "," + other.Addr()
	lineage := NewLineage(nil)
	watch := open(t, Config{URL: u.String(), Lineage: lineage, MaxConns: 1, Within: 4 * time.Second, Fresh: time.Millisecond}) // two seconds for each host
	slow := open(t, Config{URL: u.String() + "&connect_timeout=60", Lineage: lineage, MaxConns: 1})
	port := func(pool *pgxpool.Pool) (port string, err error) {
		err = pool.QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&port)
		return port, err
	}
	leads, err := port(watch)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(primary.Addr(), ":"+leads))

	busy := open(t, Config{URL: u.String(), Lineage: lineage, MaxConns: 2})
	var asleep sync.WaitGroup
	for range 2 {
		conn, err := busy.Acquire(t.Context())
		require.NoError(t, err)
		asleep.Go(func() {
			_, _ = conn.Exec(t.Context(), "SELECT pg_sleep(60)") // it is cut
			conn.Release()
		})
	}
	one.Hang()
	standby.Promote()
	opened := make(chan error, 1)
	sessions := func() int {
		lineage.mu.Lock()
		defer lineage.mu.Unlock()
		return len(lineage.sessions)
	}
	before := sessions()
	go func() { _, err := port(slow); opened <- err }()
	require.Eventually(t, func() bool { return sessions() > before }, 20*time.Second, time.Millisecond, "it is being opened")
	require.Eventually(t, func() bool {
		now, err := port(watch)
		return err == nil && strings.HasSuffix(standby.Addr(), ":"+now)
	}, time.Minute, time.Millisecond)
	began := time.Now()
	_, err = port(watch)
	require.NoError(t, err)
	require.Less(t, time.Since(began), 2*time.Second, "the first host isn't asked any more")
	began = time.Now()
	now, err := port(busy)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(standby.Addr(), ":"+now))
	require.Less(t, time.Since(began), 10*time.Second, "the sessions that were cut keep no place in their pool")
	asleep.Wait()
	require.Eventually(t, func() bool {
		_, _ = port(watch) // each look cuts what opens for too long
		select {
		case err := <-opened:
			return err == nil
		default:
			return false
		}
	}, 30*time.Second, 10*time.Millisecond, "the one that was being opened goes on with the next host")
}

// TestLookAtOthers_FindsAPromotionBesideAnOldPrimary that goes on to answer, although it is asked
// first. A standby, as the other host is mostly, is no news.
func TestLookAtOthers_FindsAPromotionBesideAnOldPrimary(t *testing.T) {
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	standby := primary.Standby()
	u, err := url.Parse(primary.URL(""))
	require.NoError(t, err)
	u.Host += "," + standby.Addr()
	var changes []Change
	c := Config{URL: u.String() + "&target_session_attrs=read-write&pool_max_conns=3", Lineage: NewLineage(func(c Change) { changes = append(changes, c) }), MaxConns: 1}
	pool := open(t, c)
	port := func() (port string) {
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&port))
		return ":" + port
	}
	require.True(t, strings.HasSuffix(primary.Addr(), port()))
	LookAtOthers(t.Context(), c)
	require.Empty(t, changes)
	standby.Promote()
	pool.Reset()
	require.True(t, strings.HasSuffix(primary.Addr(), port()), "no session opens to the other one by itself")
	LookAtOthers(t.Context(), c)
	require.Len(t, changes, 1)
	require.Equal(t, changes[0].Before.Timeline+1, changes[0].After.Timeline)
	require.Eventually(t, func() bool { // a session that was cut may be handed out once more
		var port string
		err := pool.QueryRow(t.Context(), "SELECT inet_server_port()::text").Scan(&port)
		return err == nil && strings.HasSuffix(standby.Addr(), ":"+port)
	}, 10*time.Second, time.Millisecond)
	LookAtOthers(t.Context(), c)
	require.Len(t, changes, 1, "the old one is no news")
}

// TestHung_SessionsFreeTheirPlaces: a network that swallows what is sent, and later works for new
// connections only. Neither a session whose statement was given up, nor one that was being opened,
// keeps its place in the pool for long.
func TestHung_SessionsFreeTheirPlaces(t *testing.T) {
	t.Parallel()
	server := pgtest.NewCluster(t, nil)
	way := pgtest.NewSwitch(t, server.Addr())
	lineage := NewLineage(nil)
	pool := func() *pgxpool.Pool {
		return open(t, Config{URL: way.URL(server.URL("")) + "&connect_timeout=60", Lineage: lineage, MaxConns: 1})
	}
	asked, opening, later := pool(), pool(), pool()
	try := func(pool *pgxpool.Pool) error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := pool.Exec(ctx, "SELECT")
		return err
	}
	require.Eventually(t, func() bool { return try(asked) == nil }, 20*time.Second, time.Millisecond)
	way.Hang()
	require.Error(t, try(asked))
	require.Error(t, try(opening))
	way.Turn(server.Addr()) // what hangs goes on hanging
	began := time.Now()
	require.Eventually(t, func() bool { return try(asked) == nil }, 30*time.Second, 10*time.Millisecond)
	require.Less(t, time.Since(began), 10*time.Second, "pgx would wait for 15 s")
	require.Eventually(t, func() bool {
		later.Reset()
		_ = try(later)
		return try(opening) == nil
	}, 30*time.Second, 10*time.Millisecond, "one that was dialed later has opened")
}
