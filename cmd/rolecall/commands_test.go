package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
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
		if file := s.FileVariable(); file != "" {
			t.Setenv(file, env[file])
		}
	}
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, streams{out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

//nolint:paralleltest // the environment belongs to the process
func TestCommandLine_HelpAndUsage(t *testing.T) {
	code, version, _ := runCommand(t, nil, "version")
	require.Equal(t, exitOK, code)
	require.Contains(t, version, "rolecall")
	for _, flag := range []string{"--version", "-v"} {
		code, out, errs := runCommand(t, nil, flag)
		require.Equal(t, exitOK, code)
		require.Equal(t, version, out)
		require.Empty(t, errs)
	}
	_, whole, _ := runCommand(t, nil, "--help")
	code, out, _ := runCommand(t, nil, "help")
	require.Equal(t, exitOK, code)
	require.Equal(t, whole, out)
	_, out, _ = runCommand(t, nil, "help", "deliveries", "list")
	require.Contains(t, out, "Usage: rolecall deliveries list")
	code, out, _ = runCommand(t, nil, "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "serve")
	code, out, errs := runCommand(t, nil)
	require.Equal(t, exitUsage, code, "a script that lacks its command fails")
	require.Equal(t, whole, out)
	require.Empty(t, errs)
	code, out, _ = runCommand(t, nil, "deliveries")
	require.Equal(t, exitUsage, code)
	require.Contains(t, out, "replay")
}

//nolint:paralleltest // the environment belongs to the process
func TestCommandLine_SaysWhatToTypeInstead(t *testing.T) {
	for line, want := range map[string]string{
		"nonsense":                    "rolecall: unexpected argument nonsense\n  Try: rolecall --help\n",
		"stauts":                      "rolecall: unexpected argument stauts, did you mean \"status\"?\n  Try: rolecall --help\n",
		"delivery list":               "rolecall: unexpected argument delivery, did you mean \"deliveries\"?\n  Try: rolecall --help\n",
		"deliveries lst":              "rolecall: unexpected argument lst, did you mean \"list\"?\n  Try: rolecall deliveries --help\n",
		"deliveries list --limit abc": "rolecall: --limit: \"abc\" is no number from 1 to 1000\n  Try: rolecall deliveries list --help\n",
		"deliveries list --sincee 7d": "rolecall: unknown flag --sincee, did you mean \"--since\"?\n  Try: rolecall deliveries list --help\n",
	} {
		code, out, errs := runCommand(t, nil, strings.Fields(line)...)
		require.Equal(t, exitUsage, code, line)
		require.Equal(t, want, errs)
		require.Empty(t, out)
	}
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
