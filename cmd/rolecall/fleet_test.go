package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/client"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

const (
	// enforcedWithin is how long after its acknowledgement a change may take effect, if the process
	// that had it was killed: another one takes a job over that a dead process began ten seconds
	// ago.
	enforcedWithin = 15 * time.Second
	// afterKill is how long after a kill a failure is one of the killed process.
	afterKill = 2 * time.Second
)

// errWrong is of an answer that Rolecall itself gave, and that isn't the one that is due. No kill
// excuses it: a killed process answers nothing any more, so a process that lives gave it.
var errWrong = errors.New("a wrong answer")

// notDue returns the error of an answer that isn't the one that is due.
func notDue(answer servicetest.Reply, want int) error {
	err := fmt.Errorf("status %d, want %d: %s", answer.Status, want, answer.Text)
	if answer.Status < http.StatusInternalServerError || !strings.Contains(answer.Text, "<center>nginx") { // its own page
		err = errors.Join(errWrong, err)
	}
	return err
}

// TestNotDue_OnlyTheProxyIsExcused: what Rolecall says itself is never a matter of a kill.
func TestNotDue_OnlyTheProxyIsExcused(t *testing.T) {
	t.Parallel()
	page := "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>"
	require.NotErrorIs(t, notDue(servicetest.Reply{Status: http.StatusBadGateway, Text: page}, http.StatusOK), errWrong)
	for _, status := range []int{http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable} {
		require.ErrorIs(t, notDue(servicetest.Reply{Status: status, Text: `{"title":"The database can't be reached."}`}, http.StatusForbidden), errWrong)
	}
}

// fleet is three processes on one database behind nginx, and their load.
type fleet struct {
	rolling

	members    [3]*process
	started    []*process // of this version, those included that were killed
	envs       [3]map[string]string
	database   string
	stranger   string // a token
	guest      string // joins and leaves
	guestToken string
	signer     *svix.Webhook
	calls      *callTimes
	followed   followed

	mu       sync.Mutex
	acked    []string
	killedAt []time.Time
	slowest  time.Duration // from an acknowledgement to its effect
	toggled  int
	commands int
}

// callTimes are when calls reached the simulated Clerk.
type callTimes struct {
	mu sync.Mutex
	at []time.Time
}

func (c *callTimes) note(clerksim.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
}

// most returns the most calls after an instant in any ten seconds.
func (c *callTimes) most(since time.Time) (most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.DeleteFunc(slices.Clone(c.at), func(t time.Time) bool { return t.Before(since) })
	for i, first := range at {
		n := slices.IndexFunc(at[i:], func(t time.Time) bool { return t.Sub(first) >= 10*time.Second })
		if n < 0 {
			n = len(at) - i
		}
		most = max(most, n)
	}
	return most
}

// addedWithTheFleet is the first file of the version whose processes share calls to Clerk, publish
// changes and note histories. The fleet is upgraded from the commit before it.
const addedWithTheFleet = "migrations/00052_history.sql"

// TestFleet_NoQuestionFails: three processes of the version before are upgraded one after the
// other, then killed at random, under load. A consumer of the feed that begins then gets all.
func TestFleet_NoQuestionFails(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	f := openFleet(t, olderBinary(t, commitBefore(t, addedWithTheFleet)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.ask(ctx)
	f.work.Go(func() { f.change(ctx, t) })
	f.further(t)

	migrate := startProcess(t, map[string]string{"DATABASE_URL": f.database}, "migrate")
	require.Equal(t, exitOK, migrate.exit(t, time.Minute), migrate.log.String())
	f.further(t)
	for i, old := range f.members {
		old.signal(t, syscall.SIGTERM)
		require.Equal(t, exitOK, old.exit(t, 30*time.Second), old.log.String())
		f.start(t, i)
	}
	upgraded := time.Now()
	f.work.Go(func() { f.command(ctx, t) })
	followed := f.follow(t)
	for n := range 3 {
		i := rand.IntN(len(f.members))
		if n == 0 {
			i = f.leader(t)
		}
		f.mu.Lock()
		f.killedAt = append(f.killedAt, time.Now())
		f.mu.Unlock()
		require.NoError(t, f.members[i].cmd.Process.Kill())
		f.members[i].exit(t, 10*time.Second)
		f.further(t)
		f.start(t, i)
	}
	require.Eventually(t, func() bool { // a command that a kill hit may take longer than all kills of a quick machine
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.toggled > 20 && f.commands > 3
	}, time.Minute, 20*time.Millisecond, "changes and commands get through")
	cancel()
	f.work.Wait()
	f.judge(t, upgraded, followed)
}

// follow begins to follow all changes, from the first one on. It returns what tells of the end.
func (f *fleet) follow(t *testing.T) <-chan error {
	t.Helper()
	f.followed = followed{seen: map[string]bool{}, until: make(chan time.Time, 1)}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return f.dial(ctx) }}
	t.Cleanup(transport.CloseIdleConnections)
	rolecall, err := client.New(client.Config{URL: "http://rolecall", ServiceToken: f.following, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- f.followed.follow(t.Context(), rolecall) }()
	return ended
}

// start starts a process of this version, and lets it work for a while.
func (f *fleet) start(t *testing.T, i int) {
	t.Helper()
	f.members[i] = startProcess(t, f.envs[i], "serve")
	f.started = append(f.started, f.members[i])
	f.members[i].untilReady(t)
	f.further(t)
}

// openFleet starts three processes of the older version, on a mirror that it made.
func openFleet(t *testing.T, older string) *fleet {
	t.Helper()
	scratch := pgtest.URL(t)
	f := &fleet{database: pgtest.EmptyURL(t), calls: &callTimes{}}
	f.Bundle = servicetest.Start(t, scratch, nil, config.Parts{Web: true, Workers: true})
	f.Open(t, f.database)
	require.NoError(t, f.Service.Stop(t.Context()))
	f.Faults.BeforeAnswer(f.calls.note, func(clerksim.Call) bool { return true })
	var err error
	f.signer, err = svix.NewWebhook(f.Secret)
	require.NoError(t, err)
	migrate := startBinary(t, older, map[string]string{"DATABASE_URL": f.database}, "migrate")
	require.Equal(t, exitOK, migrate.exit(t, time.Minute), migrate.log.String())

	var admin string
	f.workspace, admin, f.member, _ = servicetest.Team(t, f.Bundle)
	f.token = f.Token(t, admin)
	_, other, _, _ := servicetest.Team(t, f.Bundle)
	f.stranger = f.Token(t, other)
	guest, err := f.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	f.guest, f.guestToken = guest.ID, f.Token(t, guest.ID)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	routes := "routes:\n  - match: GET /w/{workspace}/reports\n    permission: reports:read\n"
	require.NoError(t, os.WriteFile(policy, []byte(servicetest.Text(t, "api/policy/policy.yaml")+routes), 0o600))
	token, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("follower", 8)))
	require.NoError(t, err)
	f.following = token
	first := servingEnv(t, f.database)
	maps.Copy(first, map[string]string{
		"CLERK_WEBHOOK_SIGNING_SECRET": f.Secret, "CLERK_ISSUER": f.Config.Issuer, "CLERK_JWKS_URL": f.Config.JWKSURL,
		"CLERK_SECRET_KEY": f.Clerk.SecretKey(), "CLERK_API_URL": f.API, "CLERK_AUTHORIZED_PARTIES": f.Config.AuthorizedParties[0],
		"ROLECALL_STOP_DELAY": "500ms", "ROLECALL_SWEEP_INTERVAL": "2s", "ROLECALL_POLICY_FILE": policy, "ROLECALL_MAX_CONNECTIONS": "20",
		"ROLECALL_SERVICE_TOKEN_HASHES": "follower:" + hash + "/scopes=read",
	})
	for i := range f.envs {
		f.envs[i] = maps.Clone(first)
		for _, setting := range []string{"ROLECALL_LISTEN_ADDR", "ROLECALL_ADMIN_ADDR"} {
			f.envs[i][setting] = strings.Replace(first[setting], "127.0.0.1", fmt.Sprintf("127.0.0.%d", i+1), 1)
		}
		f.members[i] = startBinary(t, older, f.envs[i], "serve")
	}
	for _, p := range f.members {
		p.untilReady(t)
	}
	var wire servicetest.Wire
	f.dial, _ = servicetest.RunNginxOverTLS(t, map[string]string{
		"127.0.0.1:8080": f.envs[0]["ROLECALL_LISTEN_ADDR"],
		"127.0.0.2:8080": f.envs[1]["ROLECALL_LISTEN_ADDR"] + " max_fails=0;\n        server " + f.envs[2]["ROLECALL_LISTEN_ADDR"],
	})
	wire.Dial = f.dial
	for _, m := range f.Clerk.Drain() {
		f.acknowledge(t.Context(), t, &wire, m)
	}
	f.Applied(t)
	return f
}

// ask begins to ask questions whose answers never change.
func (f *fleet) ask(ctx context.Context) {
	questions := []struct {
		path, token string
		want        int
		headers     map[string]string
	}{
		{"/v1/authorize?workspace_id=" + f.workspace + "&permission=billing:manage", f.token, http.StatusOK, nil},
		{"/v1/authorize?workspace_id=" + f.workspace + "&permission=reports:read", f.stranger, http.StatusNotFound, nil},
		{"/v1/workspaces/" + f.workspace + "/members", f.token, http.StatusOK, nil},
		{"/v1/me", f.token, http.StatusOK, nil},
		{"/v1/forward-auth", f.token, http.StatusOK, map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/w/" + f.workspace + "/reports"}},
		{"/v1/forward-auth", f.stranger, http.StatusNotFound, map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/w/" + f.workspace + "/reports"}},
	}
	for i, q := range questions {
		f.caller(ctx, i%2 == 0, func(ctx context.Context, w *servicetest.Wire) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rolecall"+q.path, nil)
			if err != nil {
				return err
			}
			request.Header.Set("Authorization", "Bearer "+q.token)
			for name, value := range q.headers {
				request.Header.Set(name, value)
			}
			answer, err := w.Do(ctx, request)
			if err == nil && answer.Status != q.want {
				err = notDue(answer, q.want)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", q.path, err)
			}
			f.reads.Add(1)
			return nil
		})
	}
}

// acknowledge delivers a message until it is acknowledged, as Clerk would.
func (f *fleet) acknowledge(ctx context.Context, t *testing.T, w *servicetest.Wire, m clerksim.Message) {
	t.Helper()
	for began := time.Now(); ; {
		f.messages = make(chan clerksim.Message, 1)
		f.messages <- m
		err := f.deliver(ctx, w, f.signer)
		if err == nil {
			break
		}
		f.note(err)
		if time.Since(began) > 20*time.Second {
			t.Errorf("%s isn't acknowledged: %v", m.Type, err)
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acked = append(f.acked, m.ID)
}

// note notes the failure of one request.
func (f *fleet) note(err error) {
	f.rolling.mu.Lock()
	defer f.rolling.mu.Unlock()
	f.failures = append(f.failures, failedRequest{time.Now(), err})
}

// change lets people join and leave, and waits for each change to take effect. From then on, every
// process goes by it.
func (f *fleet) change(ctx context.Context, t *testing.T) {
	t.Helper()
	background := context.WithoutCancel(ctx)
	w := &servicetest.Wire{Dial: f.dial}
	defer w.Close()
	for member := false; ctx.Err() == nil; {
		var err error
		want := http.StatusOK
		if member {
			err, want = f.Clerk.RemoveMember(f.workspace, f.guest), http.StatusNotFound
		} else {
			_, err = f.Clerk.AddMember(f.workspace, f.guest, clerksim.RoleMember)
		}
		if err != nil {
			t.Error(err)
			return
		}
		member = !member
		for _, m := range f.Clerk.Drain() {
			f.acknowledge(background, t, w, m)
		}
		if !f.takesEffect(background, t, w, f.guestToken, want) {
			return
		}
	}
}

// takesEffect waits until the answer about a user is as wanted, and sees that it stays so.
func (f *fleet) takesEffect(ctx context.Context, t *testing.T, w *servicetest.Wire, token string, want int) bool {
	t.Helper()
	const stays = 4
	acknowledged := time.Now()
	for seen := 0; seen < stays; {
		answer, err := w.Get(ctx, "/v1/authorize?workspace_id="+f.workspace+"&permission=reports:read", token)
		switch took := time.Since(acknowledged); {
		case err == nil && answer.Status == want:
			if seen == 0 {
				f.mu.Lock()
				f.toggled++
				f.slowest = max(f.slowest, took)
				f.mu.Unlock()
			}
			seen++
		case err != nil:
			f.note(fmt.Errorf("authorize: %w", err))
		case answer.Status >= http.StatusInternalServerError:
			f.note(fmt.Errorf("authorize: %w", notDue(answer, want)))
		case seen > 0:
			t.Errorf("a process goes back to status %d, after %d was answered: %s", answer.Status, want, answer.Text)
			return false
		case took > enforcedWithin:
			t.Errorf("status %d instead of %d, %s after the acknowledgement", answer.Status, want, took)
			return false
		default:
			<-time.After(time.Millisecond)
		}
	}
	return true
}

// command changes a member's role, each time with a key by which it is repeated until it is done.
func (f *fleet) command(ctx context.Context, t *testing.T) {
	t.Helper()
	background := context.WithoutCancel(ctx)
	w := &servicetest.Wire{Dial: f.dial}
	defer w.Close()
	for n := 0; ctx.Err() == nil; n++ {
		role := []string{"admin", "member"}[n%2]
		for began := time.Now(); ; <-time.After(100 * time.Millisecond) {
			request, err := http.NewRequestWithContext(background, http.MethodPatch, "http://rolecall/v1/workspaces/"+f.workspace+"/members/"+f.member,
				strings.NewReader(`{"role":"`+role+`"}`))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+f.token)
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Idempotency-Key", fmt.Sprintf("fleet-%d", n))
			answer, err := w.Do(background, request)
			if err == nil && answer.Status == http.StatusOK {
				break
			}
			if time.Since(began) > 40*time.Second {
				t.Errorf("command %d isn't done: %v, %d %s", n, err, answer.Status, answer.Text)
				return
			}
		}
		for _, m := range f.Clerk.Directory().Memberships() {
			if m.UserID == f.member && m.OrganizationID == f.workspace && m.Role != "org:"+role {
				t.Errorf("command %d was answered, and Clerk has %s instead of %s", n, m.Role, role)
			}
		}
		f.mu.Lock()
		f.commands++
		f.mu.Unlock()
	}
}

// leader returns the process that does River's upkeep.
func (f *fleet) leader(t *testing.T) (i int) {
	t.Helper()
	require.Eventually(t, func() bool {
		for i = range f.members {
			var leads bool
			err := f.DB.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM rolecall.river_leader l JOIN rolecall.processes p ON p.id = l.leader_id
				WHERE p.pid = $1 AND l.expires_at > clock_timestamp())`, f.members[i].cmd.Process.Pid).Scan(&leads)
			if err == nil && leads {
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond, "one of the processes leads")
	return i
}

// judge looks at what was answered, and at what is left.
func (f *fleet) judge(t *testing.T, upgraded time.Time, followed <-chan error) {
	t.Helper()
	for _, failed := range f.failures {
		require.NotErrorIs(t, failed.err, errWrong)
		byKill := slices.ContainsFunc(f.killedAt, func(at time.Time) bool { return failed.at.After(at) && failed.at.Sub(at) < afterKill })
		require.True(t, byKill, "%s %v", failed.at.Format(time.StampMilli), failed.err)
	}
	wire := &servicetest.Wire{Dial: f.dial}
	for _, m := range f.Clerk.Drain() {
		f.acknowledge(t.Context(), t, wire, m)
	}
	f.Applied(t)
	f.leader(t)
	f.followed.until <- time.Now()
	require.NoError(t, <-followed)
	f.followed.compare(t, &f.rolling)
	t.Logf("%d questions, %d deliveries, %d changes of access, %d commands; %d requests failed with the processes that were killed; the slowest change took %s",
		f.reads.Load(), len(f.acked), f.toggled, f.commands, len(f.failures), f.slowest)
	t.Logf("%d changes followed in %d batches through %d failures", len(f.followed.seen), f.followed.batches, f.followed.failures)
	for _, p := range f.started { // however busy the others are
		require.NotContains(t, p.log.String(), "Clerk doesn't name the instance")
	}
	count := func(query string, args ...any) (n int) {
		t.Helper()
		require.NoError(t, f.DB.QueryRow(t.Context(), query, args...).Scan(&n), query)
		return n
	}
	require.Equal(t, len(f.acked), count("SELECT count(*) FROM rolecall.deliveries WHERE svix_id = ANY ($1) AND state IN ('applied', 'superseded', 'ignored')", f.acked))
	require.Zero(t, count("SELECT count(*) FROM rolecall.deliveries WHERE state NOT IN ('applied', 'superseded', 'ignored')"))
	require.Zero(t, count(`SELECT count(*) FROM (SELECT FROM rolecall.audit_log WHERE cause LIKE 'msg_%' AND action <> 'member.restated' GROUP BY cause, organization_id, action, target HAVING count(*) > 1) twice`))
	require.Zero(t, count(`SELECT count(*) FROM rolecall.sweeps a JOIN rolecall.sweeps b
		ON a.id < b.id AND NOT a.dry_run AND NOT b.dry_run AND a.finished_at > b.started_at AND b.finished_at > a.started_at`), "sweeps one at a time")
	require.Zero(t, count(`SELECT count(*) FROM rolecall.river_job a JOIN rolecall.river_job b ON a.id < b.id AND a.kind = b.kind
		WHERE a.metadata @> '{"periodic": true}' AND b.metadata @> '{"periodic": true}' AND a.state = 'completed' AND b.state = 'completed'
		AND a.finalized_at > b.attempted_at AND b.finalized_at > a.attempted_at`), "periodic jobs once")
	require.LessOrEqual(t, f.calls.most(upgraded.Add(12*time.Second)), f.Clerk.RateLimit())

	verify := startProcess(t, map[string]string{"DATABASE_URL": f.database}, "audit", "verify")
	require.Equal(t, exitOK, verify.exit(t, time.Minute), "%s", &verify.out)
	compare := startProcess(t, map[string]string{
		"DATABASE_URL": f.database, "CLERK_SECRET_KEY": f.Clerk.SecretKey(), "CLERK_API_URL": f.API,
	}, "reconcile", "--dry-run", "--json")
	require.Equal(t, exitOK, compare.exit(t, time.Minute), compare.log.String())
	var report struct {
		Missing int `json:"missing"`
		Stale   int `json:"stale"`
		Extra   int `json:"extra"`
		Listed  int `json:"listed"`
	}
	require.NoError(t, json.Unmarshal([]byte(compare.out.String()), &report), compare.out.String())
	require.Zero(t, report.Missing+report.Stale+report.Extra, "the mirror equals Clerk: %s", &compare.out)
	require.Positive(t, report.Listed)
}
