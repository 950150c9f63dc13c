package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

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

// rolling is two processes on one mirror, and callers that no restart may fail.
type rolling struct {
	*servicetest.Bundle

	processes [2]*process
	dial      servicetest.Dialer

	workspace, member string
	token             string
	messages          chan clerksim.Message

	work             sync.WaitGroup
	answered         atomic.Int64
	mu               sync.Mutex
	failures         []string
	reads, delivered atomic.Int64
}

// TestRollingRestart_FailsNoRequest: behind a balancer that only passes connections on, and behind
// nginx.
func TestRollingRestart_FailsNoRequest(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	t.Run("a TCP balancer", func(t *testing.T) {
		t.Parallel()
		r := openRolling(t)
		var instances []*instance
		for _, p := range r.processes {
			instances = append(instances, &instance{web: p.env["ROLECALL_LISTEN_ADDR"], readyz: "http://" + p.env["ROLECALL_ADMIN_ADDR"] + "/readyz"})
		}
		b := startBalancer(t, healthEvery, instances...)
		r.dial = servicetest.DialTCP(b.listener.Addr().String())
		r.restartBoth(t, func(i int) { require.Eventually(t, instances[i].up.Load, 10*time.Second, time.Millisecond) })
	})
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		r := openRolling(t)
		r.dial = servicetest.RunNginx(t, servicetest.Text(t, "deploy/nginx_rolling.conf"), map[string]string{
			"127.0.0.1:8080": r.processes[0].env["ROLECALL_LISTEN_ADDR"], "127.0.0.1:8081": r.processes[1].env["ROLECALL_LISTEN_ADDR"],
		})
		r.restartBoth(t, func(int) {})
	})
}

func openRolling(t *testing.T) *rolling {
	t.Helper()
	database := pgtest.URL(t)
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
	require.NoError(t, r.Service.Stop(t.Context())) // the processes take over
	for i := range r.processes {
		env := servingEnv(t, database)
		env["CLERK_WEBHOOK_SIGNING_SECRET"], env["CLERK_ISSUER"], env["CLERK_JWKS_URL"] = r.Secret, cfg.Issuer, cfg.JWKSURL
		env["CLERK_INSTANCE_ID"], env["CLERK_AUTHORIZED_PARTIES"] = cfg.InstanceID, cfg.AuthorizedParties[0]
		env["ROLECALL_STOP_DELAY"] = drainFor.String()
		r.processes[i] = startProcess(t, env, "serve")
	}
	for _, p := range r.processes {
		p.untilReady(t)
	}
	return r
}

// restartBoth restarts one process after the other while callers ask and Clerk delivers.
func (r *rolling) restartBoth(t *testing.T, seen func(i int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.load(ctx, t)
	r.further(t)
	for i, old := range r.processes {
		old.signal(t, syscall.SIGTERM)
		require.Equal(t, exitOK, old.exit(t, 30*time.Second), old.log.String())
		r.processes[i] = startProcess(t, old.env, "serve")
		r.processes[i].untilReady(t)
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
				r.failures = append(r.failures, time.Now().Format(time.StampMilli)+" "+err.Error())
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
	if response.Status != http.StatusOK {
		return fmt.Errorf("ask: status %d: %s", response.Status, response.Text)
	}
	r.reads.Add(1)
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
		return fmt.Errorf("deliver: status %d: %s", response.Status, response.Text)
	}
	r.delivered.Add(1)
	return nil
}
