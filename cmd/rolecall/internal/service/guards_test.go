package service_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestReady_TurnsRedOnAReadOnlyDatabase, such as a standby that a failover left behind.
func TestReady_TurnsRedOnAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	b := servicetest.Start(t, url+separator+"default_transaction_read_only=on", nil, config.Parts{Web: true})
	status, _ := b.Text(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = b.Text(t, "/healthz")
	require.Equal(t, http.StatusOK, status)
}

// TestStop_GivesUpAHangingPool at its deadline: a connection that never comes back can't hold up
// the stop.
func TestStop_GivesUpAHangingPool(t *testing.T) {
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

// TestStop_TurnsReadinessRedFirst: balancers see it before the listeners close.
func TestStop_TurnsReadinessRedFirst(t *testing.T) {
	t.Parallel()
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true})
	seen := 0
	b.Service.AtStop(func(context.Context) error { // ends first
		seen, _ = b.Text(t, "/readyz")
		return nil
	})
	require.NoError(t, b.Service.Stop(t.Context()))
	require.Equal(t, http.StatusServiceUnavailable, seen)
}
