package service_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// Policies that differ in what a member may do.
const (
	policyReading = "roles:\n  org:member: [reports:read]\n  org:admin: [members:read, members:manage, workspace:update, audit:read]\n"
	policyRunning = "roles:\n  org:member: [analyses:run]\n  org:admin: [members:read, members:manage, workspace:update, audit:read]\n"
)

// policyBundle is a database with one member, a policy file, and a service's token.
type policyBundle struct {
	db    *pgxpool.Pool
	url   string
	file  string
	token string
	hash  string
}

func setupPolicy(t *testing.T) *policyBundle {
	t.Helper()
	b := &policyBundle{url: pgtest.URL(t), file: filepath.Join(t.TempDir(), "policy.yaml")}
	var err error
	b.db, err = pgxpool.New(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(b.db.Close)
	_, err = b.db.Exec(t.Context(), "INSERT INTO rolecall.memberships (id, organization_id, user_id, role) VALUES ('orgmem_1', 'org_1', 'user_1', 'org:member')")
	require.NoError(t, err)
	b.token, b.hash, err = auth.NewServiceToken(strings.NewReader(strings.Repeat("entropy ", 8)))
	require.NoError(t, err)
	b.write(t, policyReading)
	return b
}

func (b *policyBundle) write(t *testing.T, policy string) {
	t.Helper()
	require.NoError(t, os.WriteFile(b.file, []byte(policy), 0o600))
}

// start serves with the policy file, and returns the program and its log.
func (b *policyBundle) start(t *testing.T, which config.Parts) (*service.Service, *testlog.Lines) {
	t.Helper()
	log := &testlog.Lines{}
	cfg := servicetest.Settings(t, func(c *config.Config) {
		c.DatabaseURL, c.PolicyFile, c.ServiceTokens = b.url, b.file, "reports:"+b.hash
	})
	p, err := service.Start(t.Context(), cfg, which, log.Logger())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.WithoutCancel(t.Context()))) })
	return p, log
}

// ask asks the API at an address for permissions of the member, and returns the raw answer.
func (b *policyBundle) ask(ctx context.Context, client *http.Client, addr string, permissions ...string) (string, error) {
	var checks []string
	for _, p := range permissions {
		checks = append(checks, `{"user_id":"user_1","workspace_id":"org_1","permission":"`+p+`"}`)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/authorize",
		strings.NewReader(`{"checks":[`+strings.Join(checks, ",")+`]}`))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+b.token)
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(text), errors.Join(err, response.Body.Close())
}

// allowed asks the API for one permission of the member.
func (b *policyBundle) allowed(t *testing.T, client *http.Client, addr, permission string) bool {
	t.Helper()
	text, err := b.ask(t.Context(), client, addr, permission)
	require.NoError(t, err, text)
	return strings.Contains(text, `"allowed":true`)
}

// sql asks rolecall.can the same.
func (b *policyBundle) sql(t *testing.T, permission string) (allowed bool) {
	t.Helper()
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT rolecall.can('user_1', 'org_1', $1)", permission).Scan(&allowed))
	return allowed
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestPolicy_IsReloadedOnHangUp: no request fails meanwhile, and an invalid file changes nothing.
func TestPolicy_IsReloadedOnHangUp(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	p := startBuilt(t, servicetest.Settings(t, func(c *config.Config) {
		c.DatabaseURL, c.PolicyFile, c.ServiceTokens = b.url, b.file, "reports:"+b.hash
	}))
	log, addr := p.log, p.web
	logged := func(text string, times int) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Count(log.String(), text) >= times }, 20*time.Second, 2*time.Millisecond, log)
	}
	client := newClient(t)
	require.True(t, b.allowed(t, client, addr, "reports:read"))
	require.True(t, b.sql(t, "reports:read"))

	// One policy decides both permissions of a request, and each policy grants exactly one of them.
	ended, asked := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			text, err := b.ask(t.Context(), client, addr, "reports:read", "analyses:run")
			if err == nil && strings.Count(text, `"allowed":true`) != 1 {
				err = errors.New(text)
			}
			select {
			case <-ended:
				asked <- err
				return
			default:
			}
			if err != nil {
				asked <- err
				return
			}
		}
	}()
	b.write(t, policyRunning)
	require.NoError(t, p.command.Process.Signal(syscall.SIGHUP))
	logged(`"policy saved"`, 2)
	require.False(t, b.allowed(t, newClient(t), addr, "reports:read"))
	require.True(t, b.allowed(t, newClient(t), addr, "analyses:run"))
	require.False(t, b.sql(t, "reports:read"))
	require.True(t, b.sql(t, "analyses:run"))

	b.write(t, "roles:\n  org:member: [reports:read]\n  org:guest: []\n")
	require.NoError(t, p.command.Process.Signal(syscall.SIGHUP))
	logged(b.file+`:3: role \"org:guest\" grants nothing`, 1)
	require.True(t, b.allowed(t, newClient(t), addr, "analyses:run"))
	require.True(t, b.sql(t, "analyses:run"))

	close(ended)
	require.NoError(t, <-asked)
	require.NotContains(t, log.String(), `"WARN","msg":"the database had another policy`, "it was this process's own")
}

// TestPolicy_LastProcessToStartDecidesForSQL, and logs it. Each process answers by its own policy.
func TestPolicy_LastProcessToStartDecidesForSQL(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	first, log := b.start(t, config.Parts{Web: true})
	require.NotContains(t, log.String(), "another policy", "the database had none")
	_, log = b.start(t, config.Parts{Web: true})
	require.NotContains(t, log.String(), "another policy")
	require.NotContains(t, log.String(), "policy saved", "nothing to write")

	b.write(t, policyRunning)
	_, log = b.start(t, config.Parts{Workers: true})
	require.NotContains(t, log.String(), "policy", "a process without a web side has none")
	require.True(t, b.sql(t, "reports:read"))

	second, log := b.start(t, config.Parts{Web: true})
	require.Contains(t, log.String(), `"level":"WARN","msg":"the database had another policy`)
	require.True(t, b.sql(t, "analyses:run"))
	require.False(t, b.sql(t, "reports:read"))
	client := newClient(t)
	require.True(t, b.allowed(t, client, first.WebAddr, "reports:read"))
	require.True(t, b.allowed(t, client, second.WebAddr, "analyses:run"))

	first.Reload(t.Context())
	require.Eventually(t, func() bool { return b.allowed(t, client, first.WebAddr, "analyses:run") }, 20*time.Second, 2*time.Millisecond)
}

// TestPolicy_FailedStartLeavesItInForce: the SQL functions answer as before.
func TestPolicy_FailedStartLeavesItInForce(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	running, _ := b.start(t, config.Parts{Web: true})
	b.write(t, policyRunning)
	good := servicetest.Settings(t, func(c *config.Config) { c.DatabaseURL, c.PolicyFile = b.url, b.file })
	for name, change := range map[string]func(*config.Config){
		"service tokens":  func(c *config.Config) { c.ServiceTokens = "reports:nohash" },
		"signing secrets": func(c *config.Config) { c.SigningSecrets = []string{"whsec_c2hvcnQ="} },
		"issuer":          func(c *config.Config) { c.Issuer = "clerk" },
		"address":         func(c *config.Config) { c.ListenAddr = running.WebAddr },
	} {
		cfg := good
		change(&cfg)
		_, err := service.Start(t.Context(), cfg, config.Parts{Web: true, Workers: true}, slog.New(slog.DiscardHandler))
		require.Error(t, err, name)
		require.True(t, b.sql(t, "reports:read"), name)
		require.False(t, b.sql(t, "analyses:run"), name)
	}
}

func TestPolicy_ReloadWithoutOne(t *testing.T) {
	t.Parallel()
	p, log := setupPolicy(t).start(t, config.Parts{Workers: true})
	p.Reload(t.Context())
	require.Contains(t, log.String(), "nothing to reload")
}

// TestPolicy_WarnsThatNoRoleManagesMembers, with the line, at the start and at a reload.
func TestPolicy_WarnsThatNoRoleManagesMembers(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	b.write(t, "# ours\nroles:\n  org:member: [reports:read]\n")
	p, log := b.start(t, config.Parts{Web: true})
	warning := `"level":"WARN","msg":"policy: ` + b.file + `:2: no role grants members:manage`
	require.Equal(t, 1, strings.Count(log.String(), warning), log)
	b.write(t, "roles:\n  org:member: [analyses:run]\n")
	p.Reload(t.Context())
	require.Eventually(t, func() bool { return b.allowed(t, newClient(t), p.WebAddr, "analyses:run") }, 20*time.Second, 2*time.Millisecond)
	require.Equal(t, 1, strings.Count(log.String(), strings.Replace(warning, ":2:", ":1:", 1)), log)
}
