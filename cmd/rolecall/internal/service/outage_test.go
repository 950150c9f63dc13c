package service_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/jobs/sweep"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestClerkOutage_AnswersGoOnAndBacklogDrains: for an hour Clerk is down. Answers continue, and say
// how old they are. Afterwards the backlog drains, and no change is lost.
func TestClerkOutage_AnswersGoOnAndBacklogDrains(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Hour)
	var offset atomic.Int64 // of Clerk's clock, which begins an hour ago
	offset.Store(int64(-time.Hour))
	b := servicetest.Start(t, pgtest.URL(t), func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
		config.Parts{Web: true, Workers: true}, servicetest.AsksClerk, servicetest.HurriedLookUps)
	b.Open(t, b.Config.DatabaseURL)
	sweeper, err := b.Service.Sweeper()
	require.NoError(t, err)
	org, admin, invited, invitation := people(t, b)
	_, err = b.Clerk.Accept(invitation, invited)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	offset.Store(0)
	adminToken, memberToken := b.Token(t, admin), b.Token(t, invited)
	require.Equal(t, http.StatusOK, b.May(t, memberToken, org, "reports:read"))

	up := b.Faults.Down()
	for n := range 100 { // changes at Clerk meanwhile are delivered later
		role := clerksim.RoleMember
		if n%2 == 0 {
			role = clerksim.RoleAdmin
		}
		_, err := b.Clerk.SetRole(org, invited, role)
		require.NoError(t, err)
	}
	require.NoError(t, b.Clerk.RemoveMember(org, invited))
	stranger, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	_, err = sweeper.Run(t.Context(), sweep.Options{})
	require.ErrorIs(t, err, clerksync.ErrUnavailable)
	require.Equal(t, http.StatusOK, b.May(t, adminToken, org, "billing:manage"))
	require.Equal(t, http.StatusOK, b.May(t, memberToken, org, "reports:read"))
	require.Equal(t, http.StatusNotFound, b.May(t, b.Token(t, stranger.ID), org, "reports:read"))
	require.WithinDuration(t, began, asOf(t, b, adminToken, org), 5*time.Minute, "an answer an hour old says so")

	up()
	b.Send(t, b.Clerk.Drain()...)
	require.Equal(t, http.StatusNotFound, b.May(t, memberToken, org, "reports:read"))
	require.WithinDuration(t, began, asOf(t, b, adminToken, org), 5*time.Minute, "more events don't prove that none was lost")
	var report sweep.Report
	require.Eventually(t, func() bool { // the circuit breaker takes some seconds to try again
		report, err = sweeper.Run(t.Context(), sweep.Options{})
		return err == nil
	}, 30*time.Second, 200*time.Millisecond)
	require.Zero(t, report.Missing+report.Stale+report.Extra-report.ByKind[clerksync.ResourceRole].Missing-
		report.ByKind[clerksync.ResourcePermission].Missing, "nothing was lost; no webhook reports the roles that were always there: %+v", report)
	require.WithinDuration(t, time.Now(), asOf(t, b, adminToken, org), time.Minute, "a clean sweep does")
}

// asOf returns the freshness that an answer about a workspace states.
func asOf(t testing.TB, b *servicetest.Bundle, token, org string) time.Time {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.Web("/v1/workspaces/"+org+"/me"), nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := b.Client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	at, err := time.Parse(time.RFC3339Nano, response.Header.Get("Rolecall-As-Of"))
	require.NoError(t, err)
	return at
}
