package service_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// TestReady_WithoutAWebSide: a process with workers only turns ready.
func TestReady_WithoutAWebSide(t *testing.T) {
	t.Parallel()
	p, err := service.Start(t.Context(), servicetest.Settings(t, func(c *config.Config) { c.Issuer, c.SigningSecrets = "", nil }), config.Parts{Workers: true}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Empty(t, p.WebAddr)
	status, text := servicetest.Fetch(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+p.AdminAddr+"/readyz")
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, p.Stop(t.Context()))
}

// TestStop_AnswersARequestOnItsWay on a connection that was accepted before the listener closed.
func TestStop_AnswersARequestOnItsWay(t *testing.T) {
	t.Parallel()
	p, err := service.StartWith(t.Context(), servicetest.Settings(t, func(*config.Config) {}), config.Parts{Web: true}, slog.New(slog.DiscardHandler),
		service.Extras{LastRequests: servicetest.Patience})
	require.NoError(t, err)
	late := &servicetest.Wire{Dial: servicetest.DialTCP(p.WebAddr), Keep: true}
	t.Cleanup(late.Close)
	late.Conn, err = late.Dial(t.Context())
	require.NoError(t, err)
	late.Reader = bufio.NewReader(late.Conn)
	warm := &servicetest.Wire{Dial: late.Dial} // its answer shows that the earlier connection was accepted
	_, err = warm.Get(t.Context(), "/v1/me", "")
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(context.WithoutCancel(t.Context())) }()
	require.Eventually(t, func() bool { // the listener is closed
		conn, err := late.Dial(t.Context())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	response, err := late.Get(t.Context(), "/v1/me", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, response.Status)
	require.True(t, response.Closes)
	require.NoError(t, <-stopped)
}

// TestReady_IsRedUntilTheStartIsOver, for each reason to wait.
func TestReady_IsRedUntilTheStartIsOver(t *testing.T) {
	t.Parallel()
	t.Run("the policy isn't saved", func(t *testing.T) {
		t.Parallel()
		requireRedUntil(t, database.LockTimeout, func(cfg *config.Config) (waits, release func()) {
			conn, err := pgx.Connect(t.Context(), cfg.DatabaseURL)
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE rolecall.grants IN EXCLUSIVE MODE") // it can be read
			require.NoError(t, err)
			return func() {}, func() { require.NoError(t, conn.Close(t.Context())) }
		})
	})
	t.Run("no signing key is here", func(t *testing.T) {
		t.Parallel()
		world, err := clerksim.New(clerksim.Config{})
		require.NoError(t, err)
		requireRedUntil(t, service.KeysPatience, func(cfg *config.Config) (waits, release func()) {
			asked, released := make(chan struct{}, 1), make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case asked <- struct{}{}:
				default: // asked again
				}
				<-released
				world.Handler().ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			cfg.JWKSURL = server.URL + "/.well-known/jwks.json"
			waits = func() {
				select {
				case <-asked:
				case <-time.After(10 * time.Second):
					require.Fail(t, "the keys weren't asked for")
				}
			}
			return waits, func() { close(released) }
		})
	})
}

// TestInstance_CallersWaitUntilItIsKnown: only requests that need Clerk's answer wait for it, just
// after the start.
func TestInstance_CallersWaitUntilItIsKnown(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	h.deliverWebhooks()
	foreign, err := clerksim.New(clerksim.Config{Seed: 7})
	require.NoError(t, err)
	_, err = foreign.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	message := foreign.Drain()[0]
	_, err = h.DB.Exec(t.Context(), "DELETE FROM rolecall.sweeps")
	require.NoError(t, err)
	_, err = h.DB.Exec(t.Context(), "UPDATE rolecall.deliveries SET instance_id = ''")
	require.NoError(t, err)

	release, asked := make(chan struct{}), make(chan struct{}, 10)
	h.Faults.AfterAnswer(func(clerksim.Call) { asked <- struct{}{}; <-release }, clerksim.OnRoute("GET /instance"))
	cfg := h.Config
	cfg.InstanceID, cfg.SweepInterval = "", 0
	h.Extras.LearnTimeout, h.Extras.LookUpTimeout = servicetest.Patience, 0 // somebody without a workspace is looked up, and not for long
	h.restart(cfg)
	<-asked
	answers := make(chan int, 2)
	go func() {
		result, err := h.Courier.Send(context.WithoutCancel(t.Context()), message)
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
	status, _ := h.Get(t, h.Web("/v1/me"), alex.token)
	require.Equal(t, http.StatusOK, status, "it doesn't need the instance")
	require.Empty(t, answers)
	require.Empty(t, command)
	close(release)
	require.Equal(t, http.StatusOK, <-answers)
	require.Equal(t, http.StatusCreated, (<-command).status)
	h.Applied(t)
	require.Equal(t, "quarantined", h.State(t, message.ID), "a delivery of another instance that came before Clerk had named ours")
}

// requireRedUntil starts a service that has to wait. /readyz must be red although the public side
// answers, and turn green after release. A start goes on without what it waits for after its
// patience: if the machine took that long, the test starts another one.
func requireRedUntil(t *testing.T, patience time.Duration, hinder func(*config.Config) (waits, release func())) {
	t.Helper()
	for range 20 {
		if cfg := startingConfig(t); redUntil(t, cfg, patience, hinder) {
			return
		}
	}
	require.Fail(t, "each start was over before it was looked at")
}

// redUntil is one try of [requireRedUntil]. It returns false if the start was over too early to
// tell.
func redUntil(t *testing.T, cfg config.Config, patience time.Duration, hinder func(*config.Config) (waits, release func())) bool {
	t.Helper()
	waits, release := hinder(&cfg)
	started := make(chan error, 1)
	var p *service.Service
	go func() {
		var err error
		p, err = service.Start(context.WithoutCancel(t.Context()), cfg, config.Parts{Web: true, Workers: true}, slog.New(slog.DiscardHandler))
		started <- err
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	began := time.Now() // the public side didn't answer yet, after which the start waits
	require.Eventually(t, func() bool {
		asked := time.Now()
		status, _ := servicetest.Fetch(t.Context(), client, "http://"+cfg.ListenAddr+"/v1/me")
		if status != http.StatusUnauthorized {
			began = asked
		}
		return status == http.StatusUnauthorized
	}, 20*time.Second, time.Millisecond)
	waits()
	status, text := servicetest.Fetch(t.Context(), client, "http://"+cfg.AdminAddr+"/readyz")
	tells := status != http.StatusOK || time.Since(began) < patience
	if tells {
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, "starting\n", text)
	}
	status, _ = servicetest.Fetch(t.Context(), client, "http://"+cfg.AdminAddr+"/healthz")
	require.Equal(t, http.StatusOK, status)
	release()
	require.NoError(t, <-started)
	status, text = servicetest.Fetch(t.Context(), client, "http://"+cfg.AdminAddr+"/readyz")
	require.Equal(t, http.StatusOK, status, text)
	require.NoError(t, p.Stop(t.Context()))
	return tells
}

func startingConfig(t *testing.T) config.Config {
	t.Helper()
	return servicetest.Settings(t, func(c *config.Config) { c.ListenAddr, c.AdminAddr = servicetest.FreeAddr(t), servicetest.FreeAddr(t) })
}
