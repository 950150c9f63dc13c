package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/demo"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestDevKeepsOutOfOthersDatabases: it writes invented people.
func TestDevKeepsOutOfOthersDatabases(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "postgres://u@localhost/app", "postgres://u@127.0.0.1:5433/app", "postgres://u@[::1]/app",
		"postgres:///app?host=/var/run/postgresql", "host=127.0.0.1 dbname=app",
	} {
		require.NoError(t, demo.Options{}.RefuseRemote(url), url)
	}
	for _, url := range []string{
		"postgres://u:opensesame@db.example.com/app", "postgres://u:opensesame@10.0.0.7/app",
		"host=db.example.com user=u password=opensesame", "postgres://u:opensesame@%zz",
		"postgres://u:opensesame@localhost,db.example.com/app", "postgres://u:opensesame@127.0.0.1:1,10.0.0.7:5432/app",
	} {
		err := demo.Options{}.RefuseRemote(url)
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), "opensesame")
	}
	require.NoError(t, demo.Options{Remote: true}.RefuseRemote("postgres://u@db.example.com/app"), "said explicitly")
}

// TestDevKeepsOutOfTheMirrorOfAClerk: its first sweep would take everybody away.
func TestDevKeepsOutOfTheMirrorOfAClerk(t *testing.T) {
	t.Parallel()
	require.NoError(t, demo.RefuseForeign(t.Context(), pgtest.EmptyURL(t)))
	b := setup(t, nil)
	require.NoError(t, demo.RefuseForeign(t.Context(), b.cfg.DatabaseURL), "nothing is in it")
	_, err := b.clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	b.send(t, b.clerk.Drain()...)
	require.ErrorContains(t, demo.RefuseForeign(t.Context(), b.cfg.DatabaseURL), "mirror of the Clerk instance "+b.clerk.InstanceID())
	_, err = b.db.Exec(t.Context(), "UPDATE rolecall.deliveries SET instance_id = $1", demo.InstancePrefix+"0123456789abcdef")
	require.NoError(t, err)
	require.NoError(t, demo.RefuseForeign(t.Context(), b.cfg.DatabaseURL), "an earlier run's")
	for _, id := range []string{demo.InstancePrefix + "0123456789abcdef0123", demo.InstancePrefix + "XYZ"} {
		_, err = b.db.Exec(t.Context(), "UPDATE rolecall.deliveries SET instance_id = $1", id)
		require.NoError(t, err)
		require.ErrorContains(t, demo.RefuseForeign(t.Context(), b.cfg.DatabaseURL), id)
	}
	_, err = b.db.Exec(t.Context(), "UPDATE rolecall.deliveries SET body = NULL")
	require.NoError(t, err)
	require.Error(t, demo.RefuseForeign(t.Context(), b.cfg.DatabaseURL), "nobody's known isn't nobody's")
}

// TestReadyTurnsRedOnAReadOnlyDatabase, such as a standby that a failover left behind.
func TestReadyTurnsRedOnAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	b := startBundle(t, url+separator+"default_transaction_read_only=on", nil, config.Parts{Web: true})
	status, _ := b.text(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = b.text(t, "/healthz")
	require.Equal(t, http.StatusOK, status)
}

// TestAPoolThatHangsIsGivenUp at the deadline of stopping: a connection that never comes back keeps nobody.
func TestAPoolThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	closed := make(chan error, 1)
	go func() { closed <- service.ClosePool(ctx, pool) }()
	select {
	case err := <-closed:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(10 * time.Second):
		t.Error("it waits for ever")
	}
	conn.Release()
	pool.Close() // waits for the goroutine that was left behind
}

// TestStopTurnsReadyRedFirst: whoever sends traffic hears of it before the listeners go.
func TestStopTurnsReadyRedFirst(t *testing.T) {
	t.Parallel()
	b := startBundle(t, pgtest.URL(t), nil, config.Parts{Web: true})
	seen := 0
	b.program.Cleanup.Add("probe", func(context.Context) error { // ends first
		seen, _ = b.text(t, "/readyz")
		return nil
	})
	require.NoError(t, b.program.Stop(t.Context()))
	require.Equal(t, http.StatusServiceUnavailable, seen)
}
