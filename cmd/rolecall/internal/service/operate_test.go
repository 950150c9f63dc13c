package service_test

import (
	"context"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgdev"
	"github.com/callmine/rolecall/internal/svixsim"
)

func TestMetrics_CountEvents(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	workspace, admin, member, messages := servicetest.Team(t, b)
	require.NoError(t, b.Clerk.Emit("starship.launched", "star_1", map[string]any{"id": "star_1"}))
	messages = append(messages, b.Clerk.Drain()...)
	b.Send(t, messages...)
	b.Send(t, messages[0])
	b.May(t, b.Token(t, admin), workspace, "billing:manage")
	b.May(t, b.Token(t, member), workspace, "billing:manage")
	status, text := b.Text(t, "/metrics")
	require.Equal(t, http.StatusOK, status)
	for _, line := range []string{
		`rolecall_webhook_requests_total{outcome="accepted"} ` + strconv.Itoa(len(messages)),
		`rolecall_webhook_requests_total{outcome="repeated"} 1`,
		`rolecall_webhook_accept_seconds_count ` + strconv.Itoa(len(messages)+1),
		`rolecall_deliveries_total{state="ignored"} 1`,
		`rolecall_decisions_total{reason="allowed"} 1`,
		`rolecall_decisions_total{reason="permission_missing"} 1`,
		`rolecall_oldest_unapplied_seconds 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, workspace)
	require.NotContains(t, text, member)
}

func TestReady_TurnsRedOnAnOldSchemaAndWhileStopping(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	status, _ := b.Text(t, "/readyz")
	require.Equal(t, http.StatusOK, status)
	_, err := b.DB.Exec(t.Context(), "UPDATE rolecall.goose_db_version SET is_applied = false WHERE version_id > 0")
	require.NoError(t, err)
	status, _ = b.Text(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	_, err = b.DB.Exec(t.Context(), "UPDATE rolecall.goose_db_version SET is_applied = true")
	require.NoError(t, err)
	require.NoError(t, b.Service.Drain())
	status, _ = b.Text(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _ = b.Text(t, "/healthz")
	require.Equal(t, http.StatusOK, status, "alive all the same")
}

func TestLog_HasNothingSecretOrPersonal(t *testing.T) {
	t.Parallel()
	b := servicetest.Setup(t, nil)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	token := b.Token(t, admin)
	b.May(t, token, workspace, "reports:read")
	b.May(t, token+"x", workspace, "reports:read")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Web("/webhooks/clerk"), nil)
	require.NoError(t, err)
	status, _ := b.Do(t, request, "")
	require.Equal(t, http.StatusBadRequest, status)
	log := b.Log.String()
	require.Contains(t, log, "bad_headers")
	for _, secret := range []string{b.Secret, token, b.ServiceToken, "@callmine.test", b.Config.DatabaseURL} {
		require.NotContains(t, log, secret)
	}
}

// TestService_OutlivesACrashOfPostgres kills the database under a running service and starts it
// again.
func TestService_OutlivesACrashOfPostgres(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	ctx := t.Context()
	data := servicetest.DataFolder(t)
	postgres, err := pgdev.Start(ctx, pgdev.Config{DataDir: data})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Stop(context.WithoutCancel(ctx))) })
	url := postgres.URL("postgres")
	require.NoError(t, database.MigrateURL(ctx, url))
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true})
	workspace, admin, member, messages := servicetest.Team(t, b)
	b.Open(t, url)
	b.Send(t, messages...)
	token := b.Token(t, member)
	require.Equal(t, http.StatusOK, b.May(t, token, workspace, "reports:read"))

	require.NoError(t, syscall.Kill(postgres.PID(), syscall.SIGQUIT))
	<-postgres.Done()
	require.Equal(t, http.StatusServiceUnavailable, b.May(t, token, workspace, "reports:read"))
	require.NoError(t, b.Clerk.RemoveMember(workspace, member))
	removal := b.Clerk.Drain()[0]
	result, err := b.Courier.Send(ctx, removal)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, result.Attempts[0].Status)
	status, _ := b.Text(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)

	require.NoError(t, postgres.Stop(ctx))
	again, err := pgdev.Start(ctx, pgdev.Config{DataDir: data})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Stop(context.WithoutCancel(ctx))) })
	require.Equal(t, url, again.URL("postgres"), "the same place")
	back := time.Now()
	require.Eventually(t, func() bool {
		return b.May(t, b.Token(t, admin), workspace, "reports:read") == http.StatusOK
	}, 20*time.Second, 5*time.Millisecond)
	answered := time.Since(back)
	b.Open(t, url)
	require.Eventually(t, func() bool {
		result, err := b.Courier.Send(ctx, removal)
		return err == nil && result.Outcome == svixsim.Delivered
	}, 20*time.Second, 5*time.Millisecond)
	b.Applied(t)
	require.Equal(t, http.StatusNotFound, b.May(t, token, workspace, "reports:read"))
	t.Logf("answered %s and applied %s after the database was back", answered, time.Since(back))
}
