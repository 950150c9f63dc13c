package service_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// staff makes a workspace with an admin and so many members. No webhook is sent.
func staff(t *testing.T, b *servicetest.Bundle, members int) (workspace, admin string, others []string) {
	t.Helper()
	a, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	o, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{CreatedBy: a.ID})
	require.NoError(t, err)
	for range members {
		u, err := b.Clerk.CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		_, err = b.Clerk.AddMember(o.ID, u.ID, clerksim.RoleMember)
		require.NoError(t, err)
		others = append(others, u.ID)
	}
	return o.ID, a.ID, others
}

// TestClerkLimits_StrangersPauseStopsNoCommand: a stranger's look-up is answered 429 with a long
// Retry-After, in each form. A role change and a removal succeed all the same.
func TestClerkLimits_StrangersPauseStopsNoCommand(t *testing.T) {
	t.Parallel()
	for name, retryAfter := range map[string]string{
		"an hour": "3600", "a year": "31536000", "a date": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "too much": "99999999999999999999",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAsking(t, servicetest.HurriedLookUps)
			workspace, admin, others := staff(t, b, 2)
			b.Send(t, b.Clerk.Drain()...)
			stranger, err := b.Clerk.CreateUser(clerksim.NewUser{})
			require.NoError(t, err)
			b.Faults.FailWithRetryAfter(http.StatusTooManyRequests, retryAfter, clerksim.Times(1, clerksim.OnRoute(lookUpRoute)))
			require.Equal(t, http.StatusNotFound, b.May(t, b.Token(t, stranger.ID), workspace, "reports:read"))
			require.Equal(t, 1, b.Faults.Calls()[lookUpRoute])

			token := b.Token(t, admin)
			status, body := b.Say(t, token, http.MethodPatch, at(workspace, "members", others[0]), `{"role":"admin"}`)
			require.Equal(t, http.StatusOK, status, "%v", body)
			status, body = b.Say(t, token, http.MethodDelete, at(workspace, "members", others[1]), "")
			require.Equal(t, http.StatusNoContent, status, "%v", body)
		})
	}
}

// TestClerkLimits_CommandsPauseIsShort: Clerk asks a command to wait for an hour. Its next try
// succeeds after some seconds, and a removal doesn't wait.
func TestClerkLimits_CommandsPauseIsShort(t *testing.T) {
	t.Parallel()
	b := setupAsking(t, servicetest.HurriedLookUps)
	workspace, admin, others := staff(t, b, 2)
	b.Send(t, b.Clerk.Drain()...)
	b.Faults.FailWithRetryAfter(http.StatusTooManyRequests, "3600", clerksim.Times(1, clerksim.OnRoute(lookUpRoute)))
	token := b.Token(t, admin)
	promote := func() int {
		status, _ := b.Say(t, token, http.MethodPatch, at(workspace, "members", others[0]), `{"role":"admin"}`)
		return status
	}
	require.Equal(t, http.StatusServiceUnavailable, promote())
	status, body := b.Say(t, token, http.MethodDelete, at(workspace, "members", others[1]), "")
	require.Equal(t, http.StatusNoContent, status, "%v", body)
	servicetest.Eventually(t, func() bool { return promote() == http.StatusOK }, "after some seconds")
}

// TestClerkLimits_DevelopmentInstanceTakesThirtyCommands of several people, beside a sweep, within
// Clerk's limit. Later ones are told when to try again, and Clerk itself never has to refuse.
func TestClerkLimits_DevelopmentInstanceTakesThirtyCommands(t *testing.T) {
	t.Parallel()
	b := servicetest.StartSweeping(t, func(b *servicetest.Bundle) { b.Faults.LimitRate(b.Clerk.RateLimit(), nil) }, func(_ *servicetest.Bundle, cfg *config.Config) { cfg.ClerkRate = 0 })
	type team struct {
		workspace, token string
		others           []string
	}
	var teams []team
	for range 3 {
		workspace, admin, others := staff(t, b, 4)
		teams = append(teams, team{workspace, b.Token(t, admin), others})
	}
	b.Send(t, b.Clerk.Drain()...)
	for n := range 10 {
		for i, team := range teams {
			method, path, body := http.MethodPatch, at(team.workspace), fmt.Sprintf(`{"name":"North %d"}`, n)
			switch n % 5 {
			case 1:
				method, path, body = http.MethodPost, at(team.workspace, "invitations"), fmt.Sprintf(`{"email":"kim%d@callmine.test","role":"member"}`, n)
			case 2:
				path, body = at(team.workspace, "members", team.others[n/5]), `{"role":"admin"}`
			case 3:
				method, path, body = http.MethodDelete, at(team.workspace, "members", team.others[2+n/5]), ""
			case 4:
				method, path, body = http.MethodPost, "/v1/workspaces", `{"name":"South"}`
			}
			status, answer := b.Say(t, team.token, method, path, body)
			require.Less(t, status, 300, "command %d of team %d: %s %s: %v", n, i, method, path, answer)
		}
	}
	named := map[string]string{}
	for _, team := range teams {
		named[team.workspace] = team.token
	}
	refused := untilRefused(t, b, named) //nolint:bodyclose // untilRefused does
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	wait, err := strconv.Atoi(refused.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, wait)
	require.LessOrEqual(t, wait, 10)
	_, metrics := b.Text(t, "/metrics")
	require.NotContains(t, metrics, `status="429"`)
}

// untilRefused renames workspaces with their admins' tokens until a command is refused, and returns
// that answer. It renames all of them at once, because a slow machine would stay within the limit.
func untilRefused(t *testing.T, b *servicetest.Bundle, tokens map[string]string) *http.Response {
	t.Helper()
	refused := make(chan *http.Response, len(tokens))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var renaming sync.WaitGroup
	for workspace, token := range tokens {
		renaming.Go(func() {
			for n := 0; n < 100 && ctx.Err() == nil; n++ {
				request := b.Request(t, http.MethodPatch, at(workspace), fmt.Sprintf(`{"name":"East %d"}`, n))
				request.Header.Set("Authorization", "Bearer "+token)
				response, err := b.Client.Do(request)
				if err == nil {
					err = response.Body.Close()
				}
				if err != nil {
					t.Error(err)
					return
				}
				if response.StatusCode != http.StatusOK {
					refused <- response
					stop()
				}
			}
		})
	}
	renaming.Wait()
	require.NotEmpty(t, refused, "no command is refused")
	return <-refused
}
