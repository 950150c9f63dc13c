package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

const (
	// drainFor is the delay of a stop, and healthEvery is how often a balancer asks.
	// docs/operate.md says that the delay must be the longer one.
	drainFor    = 1500 * time.Millisecond
	healthEvery = 50 * time.Millisecond
)

// rolling is two instances on one mirror, and callers that no restart may fail.
type rolling struct {
	*servicetest.Bundle

	instances [2]running
	env       [2]map[string]string
	dial      servicetest.Dialer

	workspace, member string
	token             string
	following         string // token of a service that waits for changes
	messages          chan clerksim.Message

	work             sync.WaitGroup
	answered         atomic.Int64
	mu               sync.Mutex
	failures         []failedRequest
	reads, delivered atomic.Int64
}

// failedRequest is a request that failed.
type failedRequest struct {
	at  time.Time
	err error
}

// running is an instance that its supervisor started.
type running interface {
	// restart stops the instance, which must end by itself, and starts it again. It returns once
	// /readyz is green.
	restart(t *testing.T)
}

// asProcesses starts each instance as a process of its own.
func asProcesses(t *testing.T, env [2]map[string]string) (instances [2]running) {
	t.Helper()
	for i := range env {
		instances[i] = &restartable{startProcess(t, env[i], "serve")}
	}
	for _, i := range instances {
		i.(*restartable).untilReady(t)
	}
	return instances
}

// restartable is a process without a supervisor.
type restartable struct{ *process }

func (r *restartable) restart(t *testing.T) {
	t.Helper()
	r.signal(t, syscall.SIGTERM)
	require.Equal(t, exitOK, r.exit(t, 30*time.Second), r.log.String())
	r.process = startProcess(t, r.env, "serve")
	r.untilReady(t)
}

// TestRollingRestart_FailsNoRequest: behind a balancer that only passes connections on, and behind
// the documented proxies, over TLS.
func TestRollingRestart_FailsNoRequest(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	t.Run("a TCP balancer", func(t *testing.T) {
		t.Parallel()
		r := openRolling(t, pgtest.URL(t), asProcesses)
		var instances []*instance
		for _, env := range r.env {
			instances = append(instances, &instance{web: env["ROLECALL_LISTEN_ADDR"], readyz: "http://" + env["ROLECALL_ADMIN_ADDR"] + "/readyz"})
		}
		b := startBalancer(t, healthEvery, instances...)
		r.dial = servicetest.DialTCP(b.listener.Addr().String())
		r.restartBoth(t, func(i int) { require.Eventually(t, instances[i].up.Load, 10*time.Second, time.Millisecond) })
	})
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		r := openRolling(t, pgtest.URL(t), asProcesses)
		r.behindNginx(t)
		r.restartBoth(t, func(int) {})
	})
	t.Run("Caddy", func(t *testing.T) {
		t.Parallel()
		r := openRolling(t, pgtest.URL(t), asProcesses)
		r.behindCaddy(t)
		r.restartBoth(t, func(int) {})
	})
}

// behindNginx puts deploy/proxy/nginx.conf before the instances.
func (r *rolling) behindNginx(t *testing.T) {
	t.Helper()
	r.dial, _ = servicetest.RunNginxOverTLS(t, map[string]string{
		"127.0.0.1:8080": r.env[0]["ROLECALL_LISTEN_ADDR"], "127.0.0.2:8080": r.env[1]["ROLECALL_LISTEN_ADDR"],
	})
}

// behindCaddy puts deploy/proxy/Caddyfile before the instances.
func (r *rolling) behindCaddy(t *testing.T) {
	t.Helper()
	_, adminPort, err := net.SplitHostPort(r.env[0]["ROLECALL_ADMIN_ADDR"])
	require.NoError(t, err)
	r.dial = servicetest.RunCaddyOverTLS(t, adminPort, r.env[0]["ROLECALL_LISTEN_ADDR"], r.env[1]["ROLECALL_LISTEN_ADDR"])
}

// openRolling fills a mirror, and starts two instances on it. Like two machines, they have the same
// ports at two addresses.
func openRolling(t *testing.T, database string, start func(*testing.T, [2]map[string]string) [2]running) *rolling {
	t.Helper()
	r := &rolling{Bundle: servicetest.Start(t, database, nil, config.Parts{Web: true, Workers: true})}
	r.Open(t, database)
	var admin string
	var messages []clerksim.Message
	r.workspace, admin, r.member, messages = servicetest.Team(t, r.Bundle)
	r.Send(t, messages...)
	r.token = r.Bundle.Token(t, admin)
	const enough = 1000
	for n := range enough {
		_, err := r.Clerk.SetRole(r.workspace, r.member, []string{clerksim.RoleAdmin, clerksim.RoleMember}[n%2])
		require.NoError(t, err)
	}
	r.messages = make(chan clerksim.Message, enough)
	for _, m := range r.Clerk.Drain() {
		if m.Type == "organizationMembership.updated" && len(r.messages) < enough {
			r.messages <- m
		}
	}
	cfg := r.Config
	require.NoError(t, r.Service.Stop(t.Context())) // the instances take over
	first := servingEnv(t, database)
	first["CLERK_WEBHOOK_SIGNING_SECRET"], first["CLERK_ISSUER"], first["CLERK_JWKS_URL"] = r.Secret, cfg.Issuer, cfg.JWKSURL
	first["CLERK_INSTANCE_ID"], first["CLERK_AUTHORIZED_PARTIES"] = cfg.InstanceID, cfg.AuthorizedParties[0]
	first["CLERK_SECRET_KEY"], first["CLERK_API_URL"] = r.Clerk.SecretKey(), r.API
	first["ROLECALL_SWEEP_INTERVAL"] = "0" // what wasn't delivered yet is no loss
	first["ROLECALL_STOP_DELAY"] = drainFor.String()
	second := maps.Clone(first)
	for _, setting := range []string{"ROLECALL_LISTEN_ADDR", "ROLECALL_ADMIN_ADDR"} {
		second[setting] = strings.Replace(first[setting], "127.0.0.1", "127.0.0.2", 1)
	}
	following, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("follower", 8)))
	require.NoError(t, err)
	r.following = following
	first["ROLECALL_SERVICE_TOKEN_HASHES"] = "follower:" + hash + "/scopes=read"
	second["ROLECALL_SERVICE_TOKEN_HASHES"] = first["ROLECALL_SERVICE_TOKEN_HASHES"]
	r.env = [2]map[string]string{first, second}
	r.instances = start(t, r.env)
	return r
}

// restartBoth restarts one instance after the other while callers ask and Clerk delivers.
func (r *rolling) restartBoth(t *testing.T, seen func(i int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.load(ctx, t)
	r.further(t)
	for i, instance := range r.instances {
		instance.restart(t)
		seen(i)
		r.further(t)
	}
	cancel()
	r.work.Wait()
	require.Empty(t, r.failures)
	r.Applied(t)
	t.Logf("%d reads and %d deliveries, without a failure", r.reads.Load(), r.delivered.Load())
	require.Greater(t, r.reads.Load(), int64(200))
	require.Greater(t, r.delivered.Load(), int64(50))
}

// further waits until some more requests were answered.
func (r *rolling) further(t *testing.T) {
	t.Helper()
	until := r.answered.Load() + 100
	require.Eventually(t, func() bool { return r.answered.Load() >= until }, 20*time.Second, time.Millisecond)
}

// load begins to ask and to deliver, on connections that are kept and on new ones.
func (r *rolling) load(ctx context.Context, t *testing.T) {
	t.Helper()
	signer, err := svix.NewWebhook(r.Secret)
	require.NoError(t, err)
	for _, keep := range []bool{true, true, true, false} {
		r.caller(ctx, keep, func(ctx context.Context, w *servicetest.Wire) error { return r.read(ctx, w) })
	}
	for _, keep := range []bool{true, true, false} {
		r.caller(ctx, keep, func(ctx context.Context, w *servicetest.Wire) error { return r.deliver(ctx, w, signer) })
	}
	for _, keep := range []bool{true, false} {
		r.caller(ctx, keep, func(ctx context.Context, w *servicetest.Wire) error { return r.wait(ctx, w) })
	}
}

// caller repeats one action until ctx ends, and notes each failure. An action that is under way
// then completes.
func (r *rolling) caller(ctx context.Context, keep bool, do func(context.Context, *servicetest.Wire) error) {
	r.work.Go(func() {
		w := &servicetest.Wire{Dial: r.dial, Keep: keep}
		defer w.Close()
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := do(context.WithoutCancel(ctx), w); err != nil {
				r.mu.Lock()
				r.failures = append(r.failures, failedRequest{time.Now(), err})
				r.mu.Unlock()
			}
			r.answered.Add(1)
		}
	})
}

func (r *rolling) read(ctx context.Context, w *servicetest.Wire) error {
	response, err := w.Get(ctx, "/v1/authorize?workspace_id="+r.workspace+"&permission=billing:manage", r.token)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if response.Status != http.StatusOK || !strings.Contains(response.Text, r.workspace) {
		return fmt.Errorf("ask: status %d: %s", response.Status, response.Text)
	}
	r.reads.Add(1)
	return nil
}

// wait waits for a change that doesn't come. An instance that stops ends the wait.
func (r *rolling) wait(ctx context.Context, w *servicetest.Wire) error {
	response, err := w.Get(ctx, "/v1/changes?after=latest&workspace_id=org_quiet&wait=3", r.following)
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	if response.Status != http.StatusOK {
		return fmt.Errorf("wait: status %d: %s", response.Status, response.Text)
	}
	return nil
}

func (r *rolling) deliver(ctx context.Context, w *servicetest.Wire, signer *svix.Webhook) error {
	var message clerksim.Message
	select {
	case message = <-r.messages:
	default:
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://rolecall/webhooks/clerk", bytes.NewReader(message.Body))
	if err != nil {
		return err
	}
	now := time.Now()
	signature, err := signer.Sign(message.ID, now, message.Body)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"svix-id": message.ID, "svix-timestamp": fmt.Sprint(now.Unix()), "svix-signature": signature, "Content-Type": "application/json",
	} {
		request.Header.Set(name, value)
	}
	response, err := w.Do(ctx, request)
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	if response.Status != http.StatusOK {
		return fmt.Errorf("deliver: %w", notDue(response, http.StatusOK))
	}
	r.delivered.Add(1)
	return nil
}
