package main

import (
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// servingEnv is the environment of a serve on free addresses.
func servingEnv(t *testing.T, databaseURL string) map[string]string {
	t.Helper()
	return map[string]string{
		"DATABASE_URL": databaseURL, "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_" + strings.Repeat("c2VjcmV0", 5),
		"CLERK_ISSUER": "https://clerk.callmine.test", "ROLECALL_LISTEN_ADDR": servicetest.FreeAddr(t), "ROLECALL_ADMIN_ADDR": servicetest.FreeAddr(t),
		"ROLECALL_STOP_DELAY": "0s",
	}
}

// TestServe_StartsWhileClerkHangs: the public side answers as soon as /readyz is green.
func TestServe_StartsWhileClerkHangs(t *testing.T) {
	t.Parallel()
	clerk, asked := servicetest.HangingClerk(t)
	env := servingEnv(t, pgtest.URL(t))
	servicetest.ComparedOnce(t, env["DATABASE_URL"])
	env["CLERK_SECRET_KEY"], env["CLERK_API_URL"], env["CLERK_JWKS_URL"] = "sk_test_1", clerk+"/v1", clerk+"/jwks"
	p := startProcess(t, env, "serve")
	var alive time.Time
	require.Eventually(t, func() bool {
		if status, _ := servicetest.Fetch(t.Context(), p.client, "http://"+env["ROLECALL_ADMIN_ADDR"]+"/healthz"); alive.IsZero() && status == http.StatusOK {
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
	require.Less(t, took, 3*time.Second, "only requests that need Clerk's answer wait for it")
	require.Positive(t, asked.Load())
	t.Logf("ready %s after /healthz", took)
}

// TestServe_IsNeverReadyOnATakenAddress: the process ends, and names the setting.
func TestServe_IsNeverReadyOnATakenAddress(t *testing.T) {
	t.Parallel()
	for setting, flags := range map[string][]string{
		"ROLECALL_LISTEN_ADDR": nil, "ROLECALL_ADMIN_ADDR": {"--no-web"},
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, taken.Close()) })
			clerk, _ := servicetest.HangingClerk(t)
			env := servingEnv(t, pgtest.URL(t))
			servicetest.ComparedOnce(t, env["DATABASE_URL"])
			env["CLERK_SECRET_KEY"], env["CLERK_API_URL"] = "sk_test_1", clerk+"/v1"
			env[setting] = taken.Addr().String()
			p := startProcess(t, env, append([]string{"serve"}, flags...)...)
			for p.running() {
				if setting == "ROLECALL_LISTEN_ADDR" { // otherwise the listener that took the address would answer
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

// TestServe_SIGTERMTurnsReadinessRedFirst: the process answers during the delay, and tells callers
// to close their connections.
func TestServe_SIGTERMTurnsReadinessRedFirst(t *testing.T) {
	t.Parallel()
	env := servingEnv(t, pgtest.URL(t))
	const delay = 4 * time.Second // all that follows fits into it, also on a busy machine
	env["ROLECALL_STOP_DELAY"] = delay.String()
	p := startProcess(t, env, "serve")
	p.untilReady(t)
	kept := &servicetest.Wire{Dial: servicetest.DialTCP(env["ROLECALL_LISTEN_ADDR"]), Keep: true}
	t.Cleanup(kept.Close)
	response, err := kept.Get(t.Context(), "/v1/me", "")
	require.NoError(t, err)
	require.False(t, response.Closes)

	began := time.Now()
	p.signal(t, syscall.SIGTERM)
	require.Eventually(t, func() bool {
		status, text := p.ready(t.Context())
		return status == http.StatusServiceUnavailable && text == "stopping\n"
	}, delay, time.Millisecond)
	for range 2 { // on the connection from before, and on a new one
		response, err = kept.Get(t.Context(), "/v1/me", "")
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, response.Status)
		require.True(t, response.Closes, "the caller is told to close")
	}
	status, _ := servicetest.Fetch(t.Context(), p.client, "http://"+env["ROLECALL_ADMIN_ADDR"]+"/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, exitOK, p.exit(t, 20*time.Second), p.log.String())
	require.GreaterOrEqual(t, time.Since(began), delay)
}

// TestServe_SecondSignalEndsItAtOnce, in spite of a long delay.
func TestServe_SecondSignalEndsItAtOnce(t *testing.T) {
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
