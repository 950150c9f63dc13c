package main

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
)

// hangingClerk takes requests and answers none until it is released.
func hangingClerk(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	release := make(chan struct{})
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		close(release)
		server.Close()
	})
	return server.URL, asked
}

// comparedOnce has a database's mirror count as compared with Clerk already.
func comparedOnce(t *testing.T, databaseURL string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, progress, report)
		VALUES ('command', '', false, 'ins_1', now(), now(), now(), 'clean', '{}', '{}')`)
	require.NoError(t, err)
}

// servingEnv is the environment of a serve at addresses of its own.
func servingEnv(t *testing.T, databaseURL string) map[string]string {
	t.Helper()
	return map[string]string{
		"DATABASE_URL": databaseURL, "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_" + strings.Repeat("c2VjcmV0", 5),
		"CLERK_ISSUER": "https://clerk.callmine.test", "ROLECALL_LISTEN_ADDR": freeAddr(t), "ROLECALL_ADMIN_ADDR": freeAddr(t),
		"ROLECALL_STOP_DELAY": "0s",
	}
}

// TestAHangingClerkHoldsUpNoStart: the public side answers at once, and whoever finds /readyz green
// finds it answering.
func TestAHangingClerkHoldsUpNoStart(t *testing.T) {
	t.Parallel()
	clerk, asked := hangingClerk(t)
	env := servingEnv(t, pgtest.URL(t))
	comparedOnce(t, env["DATABASE_URL"])
	env["CLERK_SECRET_KEY"], env["CLERK_API_URL"], env["CLERK_JWKS_URL"] = "sk_test_1", clerk+"/v1", clerk+"/jwks"
	p := startProcess(t, env, "serve")
	var alive time.Time
	require.Eventually(t, func() bool {
		if status, _ := fetch(t.Context(), p.client, "http://"+env["ROLECALL_ADMIN_ADDR"]+"/healthz"); alive.IsZero() && status == http.StatusOK {
			alive = time.Now()
		}
		status, _ := p.ready(t.Context())
		if status == http.StatusOK {
			status, text := p.web(t.Context(), "/v1/me")
			require.Equal(t, http.StatusUnauthorized, status, text)
		}
		return status == http.StatusOK || !p.running()
	}, 20*time.Second, time.Millisecond)
	require.True(t, p.running(), p.log.String())
	took := time.Since(alive)
	require.Less(t, took, service.LearnTimeout, "for which Clerk is waited for where its answer is needed")
	require.Positive(t, asked.Load())
	t.Logf("ready %s after /healthz", took)
}

// TestReadyIsRedUntilTheStartIsOver, whatever it waits for.
func TestReadyIsRedUntilTheStartIsOver(t *testing.T) {
	t.Parallel()
	t.Run("the policy isn't saved", func(t *testing.T) {
		t.Parallel()
		cfg := startingConfig(t)
		conn, err := pgx.Connect(t.Context(), cfg.DatabaseURL)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE rolecall.grants")
		require.NoError(t, err)
		requireRedUntil(t, cfg, func() {}, func() { require.NoError(t, conn.Close(t.Context())) })
	})
	t.Run("no signing key is here", func(t *testing.T) {
		t.Parallel()
		world, err := clerksim.New(clerksim.Config{})
		require.NoError(t, err)
		asked, release := make(chan struct{}, 1), make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-release
			world.Handler().ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		cfg := startingConfig(t)
		cfg.JWKSURL = server.URL + "/.well-known/jwks.json"
		requireRedUntil(t, cfg, func() {
			select {
			case <-asked:
			case <-time.After(10 * time.Second):
				require.Fail(t, "nobody asked for the keys")
			}
		}, func() { close(release) })
	})
}

func startingConfig(t *testing.T) config.Config {
	t.Helper()
	return serving(t, func(c *config.Config) { c.ListenAddr, c.AdminAddr = freeAddr(t), freeAddr(t) })
}

// requireRedUntil starts a program that waits for something, requires that /readyz is red although
// the public side answers, and then that it turns green once that is over.
func requireRedUntil(t *testing.T, cfg config.Config, waits, release func()) {
	t.Helper()
	started := make(chan error, 1)
	var p *service.Service
	go func() {
		var err error
		p, err = service.Start(context.WithoutCancel(t.Context()), cfg, config.Parts{Web: true, Workers: true}, slog.New(slog.DiscardHandler))
		started <- err
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		status, _ := fetch(t.Context(), client, "http://"+cfg.ListenAddr+"/v1/me")
		return status == http.StatusUnauthorized
	}, 20*time.Second, time.Millisecond)
	waits()
	status, text := fetch(t.Context(), client, "http://"+cfg.AdminAddr+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "starting\n", text)
	status, _ = fetch(t.Context(), client, "http://"+cfg.AdminAddr+"/healthz")
	require.Equal(t, http.StatusOK, status)
	release()
	require.NoError(t, <-started)
	status, text = fetch(t.Context(), client, "http://"+cfg.AdminAddr+"/readyz")
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, p.Stop(t.Context()))
}

// TestATakenAddressIsNeverReady: the process ends, and names the setting.
func TestATakenAddressIsNeverReady(t *testing.T) {
	t.Parallel()
	for setting, flags := range map[string][]string{
		"ROLECALL_LISTEN_ADDR": nil, "ROLECALL_ADMIN_ADDR": {"--no-web"},
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, taken.Close()) })
			clerk, _ := hangingClerk(t)
			env := servingEnv(t, pgtest.URL(t))
			comparedOnce(t, env["DATABASE_URL"])
			env["CLERK_SECRET_KEY"], env["CLERK_API_URL"] = "sk_test_1", clerk+"/v1"
			env[setting] = taken.Addr().String()
			p := startProcess(t, env, append([]string{"serve"}, flags...)...)
			for p.running() {
				if setting == "ROLECALL_LISTEN_ADDR" { // what has the other address would answer here
					status, _ := p.ready(t.Context())
					require.NotEqual(t, http.StatusOK, status)
				}
				select {
				case <-p.ended:
				case <-time.After(5 * time.Millisecond):
				}
			}
			require.Equal(t, exitError, p.exit(t, 5*time.Second))
			require.Contains(t, p.log.String(), setting)
			require.Contains(t, p.log.String(), "address already in use")
		})
	}
}

// TestAProcessWithoutAWebSideIsReady once it works.
func TestAProcessWithoutAWebSideIsReady(t *testing.T) {
	t.Parallel()
	p, err := service.Start(t.Context(), serving(t, func(c *config.Config) { c.Issuer, c.SigningSecrets = "", nil }), config.Parts{Workers: true}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Empty(t, p.WebAddr)
	status, text := fetch(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+p.AdminAddr+"/readyz")
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, p.Stop(t.Context()))
}

// TestWhatNeedsClerksAnswerWaitsForIt: just after the start, in which Clerk isn't waited for any
// more.
func TestWhatNeedsClerksAnswerWaitsForIt(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	h.told()
	foreign, err := clerksim.New(clerksim.Config{Seed: 7})
	require.NoError(t, err)
	_, err = foreign.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	message := foreign.Drain()[0]
	_, err = h.db.Exec(t.Context(), "DELETE FROM rolecall.sweeps")
	require.NoError(t, err)
	_, err = h.db.Exec(t.Context(), "UPDATE rolecall.deliveries SET instance_id = ''")
	require.NoError(t, err)

	release, asked := make(chan struct{}), make(chan struct{}, 10)
	h.faults.AfterAnswer(func(clerksim.Call) { asked <- struct{}{}; <-release }, clerksim.OnRoute("GET /instance"))
	cfg := h.cfg
	cfg.InstanceID, cfg.SweepInterval = "", 0
	h.restart(cfg)
	<-asked
	answers := make(chan int, 2)
	go func() {
		result, err := h.courier.Send(context.WithoutCancel(t.Context()), message)
		if err != nil || len(result.Attempts) == 0 {
			answers <- 0
			return
		}
		answers <- result.Attempts[0].Status
	}()
	command := make(chan answer, 1)
	go func() {
		command <- h.ask(alex.token, http.MethodPost, "/v1/workspaces", `{"name":"North"}`)
	}()
	status, _ := h.get(t, h.web("/v1/me"), alex.token)
	require.Equal(t, http.StatusOK, status, "what doesn't need it is answered")
	require.Empty(t, answers)
	require.Empty(t, command)
	close(release)
	require.Equal(t, http.StatusOK, <-answers)
	require.Equal(t, http.StatusCreated, (<-command).status)
	h.applied(t)
	require.Equal(t, "quarantined", h.state(t, message.ID), "a delivery of another instance that came before Clerk had told ours")
}

// TestSIGTERMTurnsRedFirst: the process goes on answering for the delay, and has callers close
// their connections.
func TestSIGTERMTurnsRedFirst(t *testing.T) {
	t.Parallel()
	env := servingEnv(t, pgtest.URL(t))
	env["ROLECALL_STOP_DELAY"] = "1500ms"
	p := startProcess(t, env, "serve")
	p.untilReady(t)
	kept := &wire{dial: dialTCP(env["ROLECALL_LISTEN_ADDR"]), keep: true}
	t.Cleanup(kept.close)
	response, err := kept.get(t.Context(), "/v1/me", "")
	require.NoError(t, err)
	require.False(t, response.closes)

	began := time.Now()
	p.signal(t, syscall.SIGTERM)
	require.Eventually(t, func() bool {
		status, text := p.ready(t.Context())
		return status == http.StatusServiceUnavailable && text == "stopping\n"
	}, time.Second, time.Millisecond)
	for range 2 { // on the connection from before, and on a new one
		response, err = kept.get(t.Context(), "/v1/me", "")
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, response.status)
		require.True(t, response.closes, "the caller is told to close")
	}
	status, _ := fetch(t.Context(), p.client, "http://"+env["ROLECALL_ADMIN_ADDR"]+"/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, exitOK, p.exit(t, 10*time.Second), p.log.String())
	require.GreaterOrEqual(t, time.Since(began), 1500*time.Millisecond)
}

// TestASecondSignalEndsItAtOnce, whatever the delay is.
func TestASecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		env := servingEnv(t, pgtest.URL(t))
		env["ROLECALL_STOP_DELAY"] = "1h"
		p := startProcess(t, env, "serve")
		p.untilReady(t)
		p.signal(t, syscall.SIGTERM)
		require.Eventually(t, func() bool {
			status, _ := p.ready(t.Context())
			return status == http.StatusServiceUnavailable
		}, 5*time.Second, time.Millisecond)
		p.signal(t, s)
		p.exit(t, 2*time.Second)
	}
}

// TestARequestOnItsWayIsAnsweredAtTheEnd: its connection was accepted before the listener closed,
// and nothing was read of it.
func TestARequestOnItsWayIsAnsweredAtTheEnd(t *testing.T) {
	t.Parallel()
	p, err := service.Start(t.Context(), serving(t, func(*config.Config) {}), config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	late := &wire{dial: dialTCP(p.WebAddr), keep: true}
	t.Cleanup(late.close)
	late.conn, err = late.dial(t.Context())
	require.NoError(t, err)
	late.reader = bufio.NewReader(late.conn)
	warm := &wire{dial: late.dial} // whose answer shows that the connection before it was accepted
	_, err = warm.get(t.Context(), "/v1/me", "")
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(context.WithoutCancel(t.Context())) }()
	require.Eventually(t, func() bool { // the listener is closed
		conn, err := late.dial(t.Context())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	response, err := late.get(t.Context(), "/v1/me", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, response.status)
	require.True(t, response.closes)
	require.NoError(t, <-stopped)
}
