package main

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestServe_ProcessesShareClerksLimit: three processes with sweeps, commands and look-ups of
// strangers at once send no more than Clerk accepts, whichever of them is stopped for seconds, or
// killed. They use what there is, and a killed process's share comes back.
func TestServe_ProcessesShareClerksLimit(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	database := pgtest.URL(t)
	b := servicetest.Start(t, database, nil, config.Parts{Web: true, Workers: true})
	b.Open(t, database)
	workspace, admin, member, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	require.NoError(t, b.Service.Stop(t.Context()))
	calls := &callTimes{}
	b.Faults.BeforeAnswer(calls.note, func(clerksim.Call) bool { return true })
	stranger, err := b.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	tokens := map[string]string{"admin": b.Token(t, admin), "stranger": b.Token(t, stranger.ID)}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var working sync.WaitGroup
	var processes [3]*process
	var done [3]atomic.Int64
	for i := range processes {
		env := servingEnv(t, database)
		maps.Copy(env, map[string]string{
			"CLERK_WEBHOOK_SIGNING_SECRET": b.Secret, "CLERK_ISSUER": b.Config.Issuer, "CLERK_JWKS_URL": b.Config.JWKSURL,
			"CLERK_SECRET_KEY": b.Clerk.SecretKey(), "CLERK_API_URL": b.API, "ROLECALL_SWEEP_INTERVAL": "1s", "ROLECALL_MAX_CONNECTIONS": "20",
		})
		processes[i] = startProcess(t, env, "serve")
	}
	for i, p := range processes {
		p.untilReady(t)
		for _, role := range []string{"admin", "member"} { // two people who never stop
			working.Go(func() {
				for ctx.Err() == nil {
					if say(ctx, p, http.MethodPatch, "/v1/workspaces/"+workspace+"/members/"+member, tokens["admin"], `{"role":"`+role+`"}`) == http.StatusOK {
						done[i].Add(1)
					}
					say(ctx, p, http.MethodGet, "/v1/authorize?workspace_id="+workspace+"&permission=reports:read", tokens["stranger"], "")
				}
			})
		}
	}
	during := func(d time.Duration) { // what is counted are ten seconds of real time
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	during(8 * time.Second)
	processes[0].signal(t, syscall.SIGSTOP)
	during(4 * time.Second)
	processes[0].signal(t, syscall.SIGCONT)
	during(2 * time.Second)
	require.NoError(t, processes[1].cmd.Process.Kill())
	during(2 * time.Second)
	before := [3]int64{done[0].Load(), 0, done[2].Load()}
	during(12 * time.Second)
	for _, i := range []int{0, 2} {
		require.Greater(t, done[i].Load(), before[i], "process %d gets calls", i)
	}
	cancel()
	working.Wait()
	most := calls.most(time.Time{})
	t.Logf("at most %d calls in ten seconds; commands done: %d, %d, %d", most, done[0].Load(), done[1].Load(), done[2].Load())
	require.LessOrEqual(t, most, b.Clerk.RateLimit())
	require.Greater(t, most, b.Clerk.RateLimit()*3/4, "they use the limit")
}

// say sends a request to a process, and returns the status of the answer; 0 for none.
func say(ctx context.Context, p *process, method, path, token, body string) int {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+p.env["ROLECALL_LISTEN_ADDR"]+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}
