package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/migrations"
)

// runCommand runs a command line in an environment of its own, and returns its exit code and
// output.
func runCommand(t *testing.T, env map[string]string, args ...string) (code int, out, errs string) {
	t.Helper()
	for _, s := range (config.Config{}).Settings() {
		t.Setenv(s.Name, env[s.Name])
	}
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, streams{out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

//nolint:paralleltest // the environment belongs to the process
func TestCommandLine_HelpAndUsage(t *testing.T) {
	code, out, _ := runCommand(t, nil, "version")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "rolecall")
	_, whole, _ := runCommand(t, nil, "--help")
	code, out, _ = runCommand(t, nil, "help")
	require.Equal(t, exitOK, code)
	require.Equal(t, whole, out)
	_, out, _ = runCommand(t, nil, "help", "deliveries", "list")
	require.Contains(t, out, "Usage: rolecall deliveries list")
	code, out, _ = runCommand(t, nil, "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "serve")
	code, _, errs := runCommand(t, nil, "nonsense")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "nonsense")
	code, _, errs = runCommand(t, nil)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "expected one of")
}

//nolint:paralleltest // the environment belongs to the process
func TestConfig_IsPrintedRedacted(t *testing.T) {
	code, out, errs := runCommand(t, map[string]string{
		"DATABASE_URL":                  "postgres://user:opensesame@db.test/app?password=opensesame&sslmode=disable",
		"CLERK_WEBHOOK_SIGNING_SECRET":  "whsec_" + strings.Repeat("b3BlbnNlc2FtZTIz", 2) + ",whsec_" + strings.Repeat("b3BlbnNlc2FtZTI0", 2),
		"ROLECALL_SERVICE_TOKEN_HASHES": "reports:" + strings.Repeat("0123456789abcdef", 4),
		"CLERK_AUTHORIZED_PARTIES":      "https://a.test,https://b.test",
		"CLERK_ISSUER":                  "https://clerk.callmine.test",
		"CLERK_JWKS_URL":                "https://user:opensesame@clerk.callmine.test/jwks?key=opensesame",
	}, "config")
	require.Equal(t, exitOK, code, errs)
	require.NotContains(t, out, "opensesame")
	require.NotContains(t, out, "b3BlbnNlc2FtZ")
	require.NotContains(t, out, "0123456789abcdef")
	require.Contains(t, out, "db.test")
	require.Regexp(t, `CLERK_AUTHORIZED_PARTIES +https://a.test,https://b.test`, out)
	require.Regexp(t, `ROLECALL_LISTEN_ADDR +:8080`, out, "an empty setting has its default")
	require.Regexp(t, `ROLECALL_LOG_LEVEL +INFO`, out)
}

//nolint:paralleltest // the environment belongs to the process
func TestServe_NamesMissingSettings(t *testing.T) {
	code, _, errs := runCommand(t, nil, "serve")
	require.Equal(t, exitError, code)
	for _, name := range []string{"DATABASE_URL", "CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_ISSUER"} {
		require.Contains(t, errs, name)
	}
	code, _, errs = runCommand(t, nil, "serve", "--no-web", "--no-workers")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "nothing")
	code, _, errs = runCommand(t, map[string]string{"DATABASE_URL": "postgres://user:opensesame@%zz"}, "migrate")
	require.Equal(t, exitError, code)
	require.NotContains(t, errs, "opensesame")
}

//nolint:paralleltest // the environment belongs to the process
func TestServe_MigrateServeStop(t *testing.T) {
	env := map[string]string{
		"DATABASE_URL": pgtest.EmptyURL(t), "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_" + strings.Repeat("c2VjcmV0", 5),
		"CLERK_ISSUER": "https://clerk.callmine.test", "ROLECALL_LISTEN_ADDR": "127.0.0.1:0", "ROLECALL_ADMIN_ADDR": "127.0.0.1:0",
	}
	code, _, errs := runCommand(t, env, "serve")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, migrations.ErrNoSchema.Error())
	for range 2 {
		code, out, errs := runCommand(t, env, "migrate")
		require.Equal(t, exitOK, code, errs)
		require.Contains(t, out, "current")
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := &testlog.Lines{}
	done := make(chan int)
	go func() { done <- run(ctx, []string{"serve"}, streams{out: io.Discard, err: log}) }()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), `"serving"`) }, 20*time.Second, 5*time.Millisecond, "it logs its address")
	cancel()
	require.Equal(t, exitOK, <-done, log.String())
}

// TestDev_RunsWithoutSettings runs the README's first command, and interrupts it.
func TestDev_RunsWithoutSettings(t *testing.T) {
	for _, s := range (config.Config{}).Settings() {
		t.Setenv(s.Name, "")
	}
	t.Chdir(t.TempDir()) // no .env
	data := servicetest.DataFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	out, errs := &testlog.Lines{}, &testlog.Lines{}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"dev", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--data", data}, streams{out: out, err: errs})
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Ctrl-C") || len(done) > 0 }, time.Minute, 10*time.Millisecond)
	text := out.String()
	require.Contains(t, text, "Then Clerk removed the member: 404", errs.String())

	tokens := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  ([A-Z]+)=(\S+)$`).FindAllStringSubmatch(text, -1) {
		tokens[m[1]] = m[2]
	}
	lines := regexp.MustCompile(`(?m)^  curl .*$`).FindAllString(text, -1)
	wanted := []int{
		http.StatusOK, http.StatusForbidden, http.StatusNotFound, // the admin, the member, the stranger
		http.StatusOK, http.StatusOK, http.StatusOK, http.StatusOK, http.StatusOK, // the last of these removes the member
	}
	require.Greater(t, len(lines), len(wanted))
	for i, status := range wanted {
		require.Equal(t, status, curl(t, lines[i], tokens), lines[i])
	}
	require.Equal(t, http.StatusNotFound, afterRemoval(t, text, tokens))
	database := regexp.MustCompile(`(?m)^  export DATABASE_URL='(\S+)'   # then: rolecall status`).FindStringSubmatch(text)
	require.NotNil(t, database, text)
	code, status, complaint := runCommand(t, map[string]string{"DATABASE_URL": database[1]}, "status")
	require.Equal(t, exitOK, code, complaint)
	require.Regexp(t, `last delivery +2`, status)
	cancel()
	require.Equal(t, exitOK, <-done, errs.String())
	pid := regexp.MustCompile(`process (\d+)`).FindStringSubmatch(text)
	require.NotNil(t, pid, text)
	require.Error(t, syscall.Kill(servicetest.Atoi(t, pid[1]), 0), "Postgres has ended")
	_, err := os.Stat(filepath.Join(data, "postmaster.pid"))
	require.Error(t, err)
}

// TestDev_NamesTakenAddresses: dev refuses an unsuitable policy and a taken address at once, in
// terms of its own flags.
func TestDev_NamesTakenAddresses(t *testing.T) {
	t.Chdir(t.TempDir()) // no .env
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte("roles:\n  org:admin: [a]\n"), 0o600))
	code, out, errs := runCommand(t, map[string]string{"ROLECALL_POLICY_FILE": policy}, "dev", "--data", filepath.Join(dir, "none"))
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "ROLECALL_POLICY_FILE: dev has nothing to show by this policy")
	require.Empty(t, out, "nothing was started")

	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	code, _, errs = runCommand(t, map[string]string{"DATABASE_URL": pgtest.EmptyURL(t)}, "dev", "--listen=127.0.0.1:0", "--admin", taken.Addr().String())
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "address already in use: choose other addresses with --listen and --admin")
	require.NotContains(t, errs, "ROLECALL_")
}

// afterRemoval repeats the last printed command until the mirror has followed.
func afterRemoval(t *testing.T, text string, tokens map[string]string) (status int) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^  curl .*$`).FindAllString(text, -1)
	require.Eventually(t, func() bool {
		status = curl(t, lines[len(lines)-1], tokens)
		return status != http.StatusOK
	}, 20*time.Second, 5*time.Millisecond)
	return status
}

// curl does the same as a printed command line, and returns the status.
func curl(t *testing.T, line string, tokens map[string]string) int {
	t.Helper()
	method, body := http.MethodGet, ""
	if m := regexp.MustCompile(`-X (\S+)`).FindStringSubmatch(line); m != nil {
		method = m[1]
	}
	if m := regexp.MustCompile(`-d '([^']*)'`).FindStringSubmatch(line); m != nil {
		method, body = http.MethodPost, m[1]
	}
	header := regexp.MustCompile(`Authorization: (Bearer [^"]+)"`).FindStringSubmatch(line)
	url := regexp.MustCompile(`'(http[^']*)'`).FindStringSubmatch(line)
	request, err := http.NewRequestWithContext(t.Context(), method, url[1], strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", os.Expand(header[1], func(name string) string { return tokens[name] }))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	return response.StatusCode
}
