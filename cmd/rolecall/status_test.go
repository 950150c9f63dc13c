package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/store"
)

// status runs `rolecall status --json`.
func (b *sweepBundle) status(t *testing.T) (s health.Snapshot) {
	t.Helper()
	code, out, errs := runCommand(t, b.env, "status", "--json")
	require.Equal(t, exitOK, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &s), out)
	return s
}

//nolint:paralleltest // the environment belongs to the process
func TestStatus_PrintsAlarmsAndNumbers(t *testing.T) {
	b := sweeping(t, 25)
	fresh := b.status(t)
	require.Nil(t, fresh.LastDeliveryAt)
	require.Nil(t, fresh.LastClean)
	require.Nil(t, fresh.LastSweep)
	require.Nil(t, fresh.CurrentSweep)
	require.Empty(t, fresh.Drift)
	require.NotNil(t, fresh.Drift, "an empty list")
	require.True(t, health.HasAlarm(fresh.Alarms, health.AlarmNeverSwept))
	code, out, _ := runCommand(t, b.env, "status")
	require.Equal(t, exitOK, code, "an alarm is no failure")
	require.Regexp(t, `last delivery +never\n`, out)
	require.Contains(t, out, "ALARM never_swept")

	b.report(t, exitOK, "backfill")
	filled := b.status(t)
	require.Empty(t, filled.Alarms, "changes older than the webhook endpoint are no silence")
	require.Equal(t, "sweep_1", filled.LastSweep.SweepID)
	require.Equal(t, store.SweepClean, filled.LastSweep.State)
	require.Equal(t, "command", filled.LastSweep.Trigger)
	require.Equal(t, 25, filled.LastSweep.Report.ByKind["membership"].Missing)
	require.Less(t, *filled.LastClean, 60.0)
	require.Contains(t, filled.Drift, health.DriftCount{Kind: "membership", Difference: "missing", Cause: "first_fill", Count: 25})
	_, out, _ = runCommand(t, b.env, "status")
	require.Regexp(t, `alarms +none\n`, out)
	require.Contains(t, out, "25 membership missing (first_fill)")
	require.Contains(t, out, "trigger command: clean\n")
	require.NotRegexp(t, `(?m) $`, out, "no blanks at the end of a line")
	b.report(t, exitOK, "reconcile")
	compared := b.status(t)
	require.Empty(t, compared.Alarms, "nor are they for the sweeps after the first")

	for _, id := range b.users[10:] {
		require.NoError(t, b.clerk.RemoveMember(b.workspace, id))
	}
	b.user(t)
	b.report(t, exitGuard, "reconcile")
	aborted := b.status(t)
	require.Equal(t, store.SweepAborted, aborted.LastSweep.State)
	require.Equal(t, "removal_ratio", aborted.LastSweep.Reason)
	require.Equal(t, compared.LastCleanAt, aborted.LastCleanAt)
	require.True(t, health.HasAlarm(aborted.Alarms, health.AlarmAborted))
	require.True(t, health.HasAlarm(aborted.Alarms, health.AlarmSilent), "a user was created, and no delivery reported it")

	b.env["ROLECALL_SWEEP_INTERVAL"] = "1us"
	require.True(t, health.HasAlarm(b.status(t).Alarms, health.AlarmOverdue))
	b.env["CLERK_SECRET_KEY"] = ""
	require.False(t, health.HasAlarm(b.status(t).Alarms, health.AlarmOverdue))
}

//nolint:paralleltest // the environment belongs to the process
func TestStatus_ShowsASweepsProgress(t *testing.T) {
	b := sweeping(t, 2)
	reached, proceed := make(chan struct{}), make(chan struct{})
	b.spoiled(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/organization_memberships") {
			close(reached)
			<-proceed
		}
		return false
	})
	_, code := b.background(t.Context(), t, "backfill")
	<-reached
	running := b.status(t)
	require.True(t, running.SweepRunning)
	require.Equal(t, "sweep_1", running.CurrentSweep.SweepID)
	require.EqualValues(t, "membership", running.CurrentSweep.Resource)
	require.Positive(t, running.CurrentSweep.Listed)
	require.False(t, running.CurrentSweep.Confirming)
	_, out, _ := runCommand(t, b.env, "status")
	require.Contains(t, out, "sweep_1 is listing memberships, ")
	close(proceed)
	require.Equal(t, exitOK, <-code)
	ended := b.status(t)
	require.False(t, ended.SweepRunning)
	require.Nil(t, ended.CurrentSweep)

	cut := health.Snapshot{CurrentSweep: &health.SweepPlace{SweepID: "sweep_9", Resource: "user", Confirming: true, LookedUp: 3}}
	require.Equal(t, "sweep_9 was interrupted while looking up differences, 3 objects so far", sweepNow(cut))
	require.Equal(t, "about to begin", sweepNow(health.Snapshot{SweepRunning: true}))
}

//nolint:paralleltest // the environment belongs to the process
func TestStatus_NeedsADatabase(t *testing.T) {
	code, _, errs := runCommand(t, nil, "status")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "DATABASE_URL")
}

// served starts a service on the bundle's database, which compares it with the bundle's Clerk at
// intervals.
func (b *sweepBundle) served(t *testing.T, interval time.Duration, which config.Parts) *servicetest.Bundle {
	t.Helper()
	p, err := service.Start(t.Context(), config.Config{
		DatabaseURL: b.env["DATABASE_URL"], SigningSecrets: []string{"whsec_" + strings.Repeat("c2VjcmV0", 5)}, Issuer: b.clerk.Issuer(),
		SecretKey: b.clerk.SecretKey(), APIURL: b.env["CLERK_API_URL"], ClerkRate: 10000, InstanceID: b.clerk.InstanceID(),
		SweepInterval: interval, MaxRemovalRatio: 0.05, ListenAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
	}, which, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.WithoutCancel(t.Context()))) })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &servicetest.Bundle{Service: p, DB: b.db, Client: &http.Client{Transport: transport}}
}

// TestReady_WaitsForTheFirstSweep: /readyz is red until the first sweep is over, and doesn't wait
// for later ones.
func TestReady_WaitsForTheFirstSweep(t *testing.T) {
	t.Parallel()
	b := sweeping(t, 2)
	proceed := make(chan struct{})
	b.spoiled(func(http.ResponseWriter, *http.Request) bool {
		<-proceed
		return false
	})
	s := b.served(t, time.Hour, config.Parts{Web: true, Workers: true})
	status, text := s.Text(t, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "the first comparison with Clerk hasn't gone through")
	close(proceed)
	require.Eventually(t, func() bool {
		status, _ = s.Text(t, "/readyz")
		return status == http.StatusOK
	}, 20*time.Second, 5*time.Millisecond)
	require.Equal(t, 2, b.members(t))
	_, err := b.db.Exec(t.Context(), "UPDATE rolecall.sweeps SET started_at = now() - interval '90 days'")
	require.NoError(t, err)
	status, _ = s.Text(t, "/readyz")
	require.Equal(t, http.StatusOK, status, "answers continue, and say how old they are")
	_, err = b.db.Exec(t.Context(), "DELETE FROM rolecall.sweeps")
	require.NoError(t, err)
	status, _ = b.served(t, 0, config.Parts{Web: true}).Text(t, "/readyz")
	require.Equal(t, http.StatusOK, status, "sweeps are off: none is awaited")
}

func TestMetrics_CoverSweepsAndAlarms(t *testing.T) {
	t.Parallel()
	b := sweeping(t, 2)
	s := b.served(t, time.Hour, config.Parts{Web: true})
	read := time.Now()
	_, fresh := s.Text(t, "/metrics")
	for _, line := range []string{
		`rolecall_last_delivery_age_seconds +Inf`, `rolecall_last_clean_sweep_age_seconds +Inf`, `rolecall_sweep_running 0`,
		`rolecall_alarm{name="never_swept"} 1`, `rolecall_alarm{name="sweep_overdue"} 0`, `rolecall_alarm{name="sweep_aborted"} 0`,
		`rolecall_alarm{name="endpoint_silent"} 0`, `rolecall_alarm{name="deliveries_stuck"} 0`, `rolecall_alarm{name="deliveries_quarantined"} 0`,
		`rolecall_drift_total{cause="undelivered",difference="missing",kind="membership"} 0`,
		`rolecall_unauthenticated_total{reason="issuer"} 0`, `rolecall_unauthenticated_total{reason="missing"} 0`,
	} {
		require.Contains(t, fresh, line+"\n")
	}
	_, err := b.db.Exec(t.Context(), `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id,
			occurred_at, received_at, body_sha256, state) VALUES
			('msg_1', 'user.created', 'user_1', 'org_1', '', now(), now() - interval '50 seconds', '', 'received'),
			('msg_2', 'user.created', 'user_1', 'org_1', '', now(), now() - interval '40 seconds', '', 'quarantined')`)
	require.NoError(t, err)
	_, err = b.db.Exec(t.Context(), `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at,
			finished_at, state, progress, report) VALUES ('command', '', false, 'ins_1', now() - interval '3 hours', now(), now(), 'clean', '{}', '{}')`)
	require.NoError(t, err)
	_, err = b.db.Exec(t.Context(), "INSERT INTO rolecall.drift VALUES ('membership', 'missing', 'undelivered', 7)")
	require.NoError(t, err)
	conn, err := b.db.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	locked, err := store.TryLockSweeps(t.Context(), conn)
	require.NoError(t, err)
	require.True(t, locked)

	_, kept := s.Text(t, "/metrics")
	if time.Since(read) < 4*time.Second { // it is reused for five
		require.Contains(t, kept, `rolecall_alarm{name="never_swept"} 1`+"\n", "the last status is reused")
	}
	s = b.served(t, time.Hour, config.Parts{Web: true})
	_, text := s.Text(t, "/metrics")
	for _, line := range []string{
		`rolecall_sweep_running 1`, `rolecall_alarm{name="never_swept"} 0`, `rolecall_alarm{name="sweep_overdue"} 1`,
		`rolecall_alarm{name="deliveries_stuck"} 1`, `rolecall_alarm{name="deliveries_quarantined"} 1`,
		`rolecall_drift_total{cause="undelivered",difference="missing",kind="membership"} 7`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.InDelta(t, 3*60*60, gauge(t, text, "rolecall_last_clean_sweep_age_seconds"), 60)
	require.InDelta(t, 40, gauge(t, text, "rolecall_last_delivery_age_seconds"), 30)
	require.NotContains(t, text, b.workspace)
	require.NotContains(t, text, "org_1")
	require.NoError(t, store.UnlockSweeps(t.Context(), conn))
}

// gauge returns a value on a page of metrics.
func gauge(t *testing.T, page, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(page)
	require.NotNil(t, m, name)
	value, err := strconv.ParseFloat(m[1], 64)
	require.NoError(t, err)
	return value
}
