package service_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestPolicyFile_EndlessFileDoesNotBlockReloadOrStop: at SIGHUP the policy in force stays, and the
// service still stops. At the start, the error names the fault.
func TestPolicyFile_EndlessFileDoesNotBlockReloadOrStop(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	p, log := b.start(t, config.Parts{Web: true})
	require.NoError(t, os.Remove(b.file))
	require.NoError(t, syscall.Mkfifo(b.file, 0o600))
	p.Reload(t.Context())
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "is not a regular file") }, 20*time.Second, 2*time.Millisecond, log)
	require.True(t, b.allowed(t, newClient(t), p.WebAddr, "reports:read"))
	require.NoError(t, p.Stop(context.WithoutCancel(t.Context())))

	cfg := servicetest.Settings(t, func(c *config.Config) { c.DatabaseURL, c.PolicyFile = b.url, b.file })
	_, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "ROLECALL_POLICY_FILE: read "+b.file+": it is not a regular file")
}

// TestPolicyFile_DeeplyNestedIsRefusedUnparsed: the policy in force stays, and no parser keeps
// running in the background.
func TestPolicyFile_DeeplyNestedIsRefusedUnparsed(t *testing.T) {
	t.Parallel()
	b := setupPolicy(t)
	p, log := b.start(t, config.Parts{Web: true})
	require.NoError(t, os.WriteFile(b.file, []byte("roles: "+strings.Repeat("[", 250_000)), 0o600))
	p.Reload(t.Context())
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "policy not read: the one in force stays") }, 20*time.Second, 2*time.Millisecond, log)
	require.Contains(t, log.String(), "nested deeper than 8 levels")
	require.True(t, b.allowed(t, newClient(t), p.WebAddr, "reports:read"))
}
