package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestSimulate_RunsAClerkForAnotherService: the variables lead to API, keys and control API, and
// webhooks are signed with the given secret.
func TestSimulate_RunsAClerkForAnotherService(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	verifier, err := svix.NewWebhook(secret)
	require.NoError(t, err)
	arrived := make(chan error, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		arrived <- verifier.Verify(body, req.Header)
	}))
	defer receiver.Close()

	env := filepath.Join(t.TempDir(), "clerk.env")
	p := startProcess(t, nil, "simulate", "--listen", "127.0.0.1:0", "--webhooks-to", receiver.URL, "--webhook-secret", secret,
		"--issuer", "https://clerk.northwind.test", "--env-file", env)
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), "Variables") || !p.running() }, 30*time.Second, 5*time.Millisecond)
	require.True(t, p.running(), p.log.String())
	lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
	require.LessOrEqual(t, len(lines), 12)
	variables, err := godotenv.Read(env)
	require.NoError(t, err)
	require.Contains(t, lines[0], variables["CLERK_API_URL"])
	require.Equal(t, secret, variables["CLERK_WEBHOOK_SIGNING_SECRET"])
	require.Equal(t, "https://clerk.northwind.test", variables["CLERK_ISSUER"])
	require.NotContains(t, p.out.String(), secret, "it may be a real one")
	require.NoError(t, <-arrived)

	for address, want := range map[string]int{
		variables["CLERK_API_URL"] + "/v1/users/" + variables["DEMO_ADMIN_ID"]: http.StatusOK,
		variables["CLERK_JWKS_URL"]:           http.StatusOK,
		variables["SIMULATOR_URL"] + "/state": http.StatusOK,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+variables["CLERK_SECRET_KEY"])
		response, err := p.client.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, want, response.StatusCode, address)
	}
	p.signal(t, syscall.SIGINT)
	require.Equal(t, exitOK, p.exit(t, 10*time.Second))
}

// TestSimulate_BeginsWithAnEmptyWorld, and says that webhooks go nowhere.
func TestSimulate_BeginsWithAnEmptyWorld(t *testing.T) {
	t.Parallel()
	p := startProcess(t, nil, "simulate", "--listen", "127.0.0.1:0", "--world", "empty")
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), "People") || !p.running() }, 30*time.Second, 5*time.Millisecond)
	require.Contains(t, p.out.String(), "to nowhere yet: --webhooks-to URL")
	require.Contains(t, p.out.String(), "none (--world empty)")
	p.signal(t, syscall.SIGTERM)
	require.Equal(t, exitOK, p.exit(t, 10*time.Second))
}

// TestSimulate_NamesWhatIsWrong: flags with exit code 2, circumstances with 1.
func TestSimulate_NamesWhatIsWrong(t *testing.T) { //nolint:paralleltest // runCommand sets the environment
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--webhooks-to", "receiver:3000"}, exitUsage, "--webhooks-to"},
		{[]string{"--issuer", "clerk.example.test"}, exitUsage, "--issuer"},
		{[]string{"--world", "real"}, exitUsage, "--world"},
		{[]string{"--seed", "-1"}, exitUsage, "--seed"},
		{[]string{"--listen", taken.Addr().String()}, exitError, "address already in use: choose another address with --listen"},
		{[]string{"--listen", "127.0.0.1:0", "--webhook-secret", "whsec_", "--webhooks-to", "http://127.0.0.1:1"}, exitError, "signing secret"},
		{[]string{"--listen", "127.0.0.1:0", "--env-file", filepath.Join(t.TempDir(), "none", "clerk.env")}, exitError, "no such file"},
	} {
		code, _, errs := runCommand(t, nil, slices.Concat([]string{"simulate"}, c.args)...)
		require.Equal(t, c.code, code, "%v: %s", c.args, errs)
		require.Contains(t, errs, c.says)
	}
}

// TestSimulate_DocumentedCommandsWork: those of docs/simulator.md, one after the other, as a reader
// pastes them.
func TestSimulate_DocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	pgtest.NeedsProgram(t, "curl")
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	env := filepath.Join(t.TempDir(), "clerk.env")
	p := startProcess(t, nil, "simulate", "--listen", "127.0.0.1:0", "--webhooks-to", receiver.URL, "--env-file", env)
	require.Eventually(t, func() bool { return strings.Contains(p.out.String(), "Variables") || !p.running() }, 30*time.Second, 5*time.Millisecond)
	text, err := os.ReadFile(servicetest.InRepository(t, "docs/simulator.md"))
	require.NoError(t, err)
	answers := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)\n## ([^\n]*)\n\n```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(block[2], "curl") {
			continue
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "set -eua; . '"+env+"'\n"+block[2]).CombinedOutput()
		require.NoError(t, err, "%s: %s", block[1], out)
		require.NotContains(t, string(out), "error", block[1])
		answers[block[1]] = string(out)
	}
	require.Len(t, answers, 5)
	require.Equal(t, 3, strings.Count(answers["Sign a user in"], `{"token":"eyJ`))
	require.Contains(t, answers["Change something, and wait for its webhooks"], `{"settled":true,"waiting":0}`)
	require.Contains(t, answers["Change something, and wait for its webhooks"], `"outcome":"delivered"`)
	require.Contains(t, answers["Break webhooks, or Clerk"], `"delay_ms":2000`)
	require.Contains(t, answers["Accept an invitation"], `"role":"org:member"`)
}
