package service_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// consolePaths are pages that read much, and the stream of events.
func consolePaths() []string {
	return []string{"/", "/deliveries", "/workspaces", "/users", "/audit", "/sweeps", "/events"}
}

// openPages asks for each page of the console so many times at once, and never reads the answers'
// bodies. end closes them all.
func openPages(t *testing.T, b *servicetest.Bundle, times int) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: -1}}
	var group sync.WaitGroup
	for _, path := range consolePaths() {
		for range times {
			group.Go(func() {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Admin(path), http.NoBody)
				if err != nil {
					return
				}
				response, err := client.Do(request)
				if err != nil {
					return
				}
				defer func() { _ = response.Body.Close() }()
				<-ctx.Done()
			})
		}
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// TestConsole_SlowPagesHoldNothingElseUp: their queries wait for locks until they are ended, and
// many tabs are open. Questions, webhooks, probes and metrics don't notice.
func TestConsole_SlowPagesHoldNothingElseUp(t *testing.T) {
	t.Parallel()
	b := setupAsking(t)
	org, admin, _, _ := people(t, b)
	b.Send(t, b.Clerk.Drain()...)
	token := b.Token(t, admin)
	lock, err := b.DB.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = lock.Exec(t.Context(), "LOCK TABLE rolecall.sweeps, rolecall.drift, rolecall.domains, rolecall.invitations IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	end := openPages(t, b, 20)
	defer end()
	servicetest.Eventually(t, func() bool {
		var waiting bool
		err := b.DB.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'rolecall %')`).Scan(&waiting)
		return err == nil && waiting
	}, "a page waits for a lock")
	for range 20 {
		require.Equal(t, http.StatusOK, b.May(t, token, org, "members:manage"))
		require.Equal(t, http.StatusOK, status(t, b, b.Admin("/readyz")))
	}
	user, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(org, user.ID, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, user.ID), org, "reports:read"))
	began := time.Now()
	require.Equal(t, http.StatusOK, status(t, b, b.Admin("/metrics")))
	require.Less(t, time.Since(began), 5*time.Second, "a scrape waits for one reading, and not for those of all pages")
}

func status(t *testing.T, b *servicetest.Bundle, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	response, err := b.Client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	return response.StatusCode
}
