package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/client"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
)

// TestFollow_ThroughKillsAndRestarts: two processes behind a balancer are killed and restarted
// while Clerk delivers. A follower gets every change of the audit log once, in its order.
func TestFollow_ThroughKillsAndRestarts(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	token, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("follower", 8)))
	require.NoError(t, err)
	var processes [2]*restartable
	r := openRolling(t, pgtest.URL(t), func(t *testing.T, env [2]map[string]string) [2]running {
		t.Helper()
		for i := range env {
			env[i]["ROLECALL_SERVICE_TOKEN_HASHES"] = "follower:" + hash + "/scopes=read"
			env[i]["ROLECALL_STOP_DELAY"] = "200ms"
		}
		instances := asProcesses(t, env)
		for i := range instances {
			processes[i] = instances[i].(*restartable)
		}
		return instances
	})
	var instances []*instance
	for _, env := range r.env {
		instances = append(instances, &instance{web: env["ROLECALL_LISTEN_ADDR"], readyz: "http://" + env["ROLECALL_ADMIN_ADDR"] + "/readyz"})
	}
	url := "http://" + startBalancer(t, healthEvery, instances...).listener.Addr().String()
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{{URL: url + "/webhooks/clerk", Secrets: []string{r.Secret}}}, Speed: 1e3})
	require.NoError(t, err)
	t.Cleanup(courier.Close)

	rolecall, caughtUp := newFollower(t, url, token)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	f := &followed{seen: map[string]bool{}, until: make(chan time.Time, 1)}
	ended := make(chan error, 1)
	go func() { ended <- f.follow(ctx, rolecall) }()
	<-caughtUp

	messages := r.comeAndGo(t)
	rounds := slices.Collect(slices.Chunk(messages, len(messages)/4))
	for round, messages := range rounds[:4] {
		delivered := make(chan error, 1)
		go func() {
			for _, m := range messages {
				if _, err := courier.Send(ctx, m); err != nil {
					delivered <- err
					return
				}
			}
			delivered <- nil
		}()
		p := processes[round%2]
		if round < 2 {
			p.signal(t, syscall.SIGKILL)
			p.exit(t, time.Minute)
			p.process = startProcess(t, p.env, "serve")
			p.untilReady(t)
		} else {
			p.restart(t)
		}
		require.NoError(t, <-delivered)
	}
	r.Applied(t)
	f.until <- time.Now()
	require.NoError(t, <-ended)
	f.compare(t, r)
	t.Logf("%d changes in %d batches through %d failures", len(f.seen), f.batches, f.failures)
	require.Greater(t, len(f.seen), len(messages)/2, "a join and a removal that are applied together may be no change")
}

// comeAndGo returns the messages about members who join, and about every second one who leaves.
func (r *rolling) comeAndGo(t *testing.T) (messages []clerksim.Message) {
	t.Helper()
	for n := range 120 {
		user, err := r.Clerk.CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		_, err = r.Clerk.AddMember(r.workspace, user.ID, clerksim.RoleMember)
		require.NoError(t, err)
		if n%2 == 0 {
			require.NoError(t, r.Clerk.RemoveMember(r.workspace, user.ID))
		}
	}
	for _, m := range r.Clerk.Drain() {
		if strings.HasPrefix(m.Type, "organizationMembership.") {
			messages = append(messages, m)
		}
	}
	return messages
}

// followed is what a follower received.
type followed struct {
	until    chan time.Time // the last change was committed by then
	seen     map[string]bool
	repeated []string
	told     map[string][]string // by workspace
	members  client.Members
	batches  int
	failures int
}

// follow follows until the feed is complete up to the instant that f.until gives.
func (f *followed) follow(ctx context.Context, rolecall *client.Client) error {
	f.told = map[string][]string{}
	var until time.Time
	for batch, err := range rolecall.Follow(ctx, client.FollowOptions{Limit: 7, Wait: time.Second, Failed: func(error) { f.failures++ }}) {
		if err != nil {
			return err
		}
		f.batches++
		f.members.Apply(batch)
		for _, c := range batch.Changes {
			if f.seen[c.Cursor] {
				f.repeated = append(f.repeated, c.Cursor)
			}
			f.seen[c.Cursor] = true
			f.told[c.WorkspaceID] = append(f.told[c.WorkspaceID], fmt.Sprint(c.Kind, " ", c.Target, " ", c.Role, " ", c.Cause))
		}
		select {
		case until = <-f.until:
		default:
		}
		if !until.IsZero() && !batch.More && batch.CompleteUntil.After(until) {
			return nil
		}
	}
	return nil
}

// compare compares what was received with the audit log, chain by chain, and with the mirror.
func (f *followed) compare(t *testing.T, r *rolling) {
	t.Helper()
	require.Empty(t, f.repeated)
	rows, err := r.DB.Query(t.Context(), `SELECT organization_id, action || ' ' || target || ' ' || coalesce(after->>'role', before->>'role', after->>'key', before->>'key', '') || ' ' || cause
		FROM rolecall.audit_log WHERE action NOT LIKE 'operator.%' AND action NOT LIKE '%.restated' ORDER BY organization_id, seq`)
	require.NoError(t, err)
	recorded := map[string][]string{}
	var workspace, entry string
	for rows.Next() {
		require.NoError(t, rows.Scan(&workspace, &entry))
		recorded[workspace] = append(recorded[workspace], entry)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, recorded, maps.Clone(f.told))

	var members []string
	require.NoError(t, r.DB.QueryRow(t.Context(), "SELECT array_agg(user_id) FROM rolecall.current_memberships WHERE organization_id = $1", r.workspace).Scan(&members))
	of := f.members.Of(r.workspace)
	require.Len(t, of, len(members))
	for _, user := range members {
		require.Contains(t, of, user)
	}
}
