package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/jobs"
)

// startSweeping starts a service that compares the mirror with Clerk all the time, once prepared
// has seen to what Clerk is like.
func startSweeping(t *testing.T, prepared func(*bundle), changes ...func(*bundle, *config.Config)) *bundle {
	t.Helper()
	url := pgtest.URL(t)
	sweeps := func(b *bundle, cfg *config.Config) {
		prepared(b)
		cfg.SweepInterval = 100 * time.Millisecond
	}
	b := startBundle(t, url, nil, config.Parts{Web: true, Workers: true}, append([]func(*bundle, *config.Config){asksClerk, sweeps}, changes...)...)
	var err error
	b.db, err = pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(b.db.Close)
	return b
}

// eventually waits until a condition holds that nothing signals.
func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond, what)
}

// ready reports whether the service should get traffic.
func (b *bundle) ready(t *testing.T) bool {
	t.Helper()
	status, _ := b.text(t, "/readyz")
	return status == http.StatusOK
}

// situation reads how things stand, as `rolecall status` does.
func (b *bundle) situation(t *testing.T) health.Snapshot {
	t.Helper()
	now, err := health.NewCollector(b.db, time.Hour, func() *api.Lockout { return nil }).Situation()
	require.NoError(t, err)
	shown, err := health.SnapshotOf(now)
	require.NoError(t, err)
	return shown
}

// TestAnInstallationWithoutDomainsWorks: on a plan without verified domains a fresh installation
// turns ready, a removal that no webhook told is repaired, and report, status, metrics and log name
// the list and Clerk's code.
func TestAnInstallationWithoutDomainsWorks(t *testing.T) {
	t.Parallel()
	var workspace, member string
	b := startSweeping(t, func(b *bundle) {
		b.clerk.SetFeature(clerksim.FeatureDomains, false)
		workspace, _, member, _ = team(t, b)
	})
	eventually(t, func() bool { return b.ready(t) }, "ready")
	require.Equal(t, http.StatusOK, b.may(t, b.token(t, member), workspace, "reports:read"))
	require.NoError(t, b.clerk.RemoveMember(workspace, member))
	b.clerk.Drain() // lost
	eventually(t, func() bool { return b.may(t, b.token(t, member), workspace, "reports:read") == http.StatusNotFound }, "repaired")

	const code = "organization_domains_not_enabled"
	shown := b.situation(t)
	require.True(t, health.HasNotice(shown.Notices, health.NoticeListRefused))
	refused := shown.LastSweep.Report.Refused
	require.Len(t, refused, 1)
	require.Equal(t, []any{"domain", code, http.StatusForbidden}, []any{string(refused[0].Resource), refused[0].Code, refused[0].Status})
	var out strings.Builder
	require.NoError(t, printStatus(&out, shown))
	require.Contains(t, out.String(), "NOTICE list_refused")
	require.Contains(t, out.String(), "the list of domains is refused: status 403, "+code+" (trace "+refused[0].TraceID+")")
	require.NotContains(t, out.String(), "CLERK_SECRET_KEY")
	require.False(t, health.HasAlarm(shown.Alarms, health.AlarmAborted))
	require.Contains(t, b.log.String(), `"code":"`+code+`"`)
	_, metrics := b.text(t, "/metrics")
	require.Contains(t, metrics, `rolecall_notice{name="list_refused"} 1`)

	b.clerk.SetFeature(clerksim.FeatureDomains, true)
	eventually(t, func() bool { return !health.HasNotice(b.situation(t).Notices, health.NoticeListRefused) }, "compared again")
}

// TestOrganizationsThatAreOffAreNoMatterOfTheKey: the sweep can't know who is a member, and says
// what to turn on.
func TestOrganizationsThatAreOffAreNoMatterOfTheKey(t *testing.T) {
	t.Parallel()
	b := startSweeping(t, func(b *bundle) {
		team(t, b)
		b.clerk.SetFeature(clerksim.FeatureOrganizations, false)
	})
	eventually(t, func() bool { return health.HasAlarm(b.situation(t).Alarms, health.AlarmAborted) }, "aborted")
	var out strings.Builder
	require.NoError(t, printStatus(&out, b.situation(t)))
	require.Contains(t, out.String(), "list_refused")
	require.Contains(t, out.String(), "organization_not_enabled_in_instance")
	require.Contains(t, out.String(), "dashboard")
	require.NotContains(t, out.String(), "CLERK_SECRET_KEY")
	require.False(t, b.ready(t))
	b.clerk.SetFeature(clerksim.FeatureOrganizations, true)
	eventually(t, func() bool { return b.ready(t) }, "ready once they are on")
}

// TestRolesThatClerkDoesNotListAreAnAlarm: what members may do isn't compared.
func TestRolesThatClerkDoesNotListAreAnAlarm(t *testing.T) {
	t.Parallel()
	b := startSweeping(t, func(b *bundle) {
		team(t, b)
		b.faults.FailWithCode(http.StatusForbidden, "authorization_invalid", clerksim.OnRoute("GET /organization_roles"))
	})
	eventually(t, func() bool { return b.ready(t) }, "ready")
	shown := b.situation(t)
	require.True(t, health.HasAlarm(shown.Alarms, health.AlarmRolesRefused))
	require.False(t, health.HasNotice(shown.Notices, health.NoticeListRefused))
}

// TestReconcileSaysWhatItDidNotCompare, in words and in its report, also as a dry run and of one
// organization.
//
//nolint:paralleltest // the environment belongs to the process
func TestReconcileSaysWhatItDidNotCompare(t *testing.T) {
	b := sweeping(t, 3)
	b.clerk.SetFeature(clerksim.FeatureDomains, false)
	for _, args := range [][]string{
		{"backfill"},
		{"reconcile", "--dry-run"},
		{"reconcile", "--organization", b.workspace},
		{"reconcile", "--organization", b.workspace, "--dry-run"},
	} {
		report, errs := b.report(t, exitOK, args...)
		require.Len(t, report.Refused, 1, args)
		require.Equal(t, "organization_domains_not_enabled", report.Refused[0].Code)
		require.Contains(t, errs, "organization_domains_not_enabled")
		code, out, errs := runCommand(t, b.env, args...)
		require.Equal(t, exitOK, code, errs)
		require.Contains(t, out, "not compared: the list of domains is refused: status 403, organization_domains_not_enabled (trace ")
	}
	b.clerk.SetFeature(clerksim.FeatureOrganizations, false)
	report, errs := b.report(t, exitGuard, "reconcile")
	require.Equal(t, jobs.ReasonListRefused, report.Reason)
	require.Contains(t, errs, "organization_not_enabled_in_instance")
	require.Equal(t, 3, b.members(t))
}

// TestBillingThatFailsHoldsNothingUp: the question for it is answered as badly as may be, and
// sweeps repair all the same.
func TestBillingThatFailsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	const route = "GET /billing/plans"
	for name, fail := range map[string]func(*clerksim.APIFaults){
		"too many calls": func(f *clerksim.APIFaults) {
			f.FailWithRetryAfter(http.StatusTooManyRequests, "3600", clerksim.OnRoute(route))
		},
		"out of order": func(f *clerksim.APIFaults) { f.Fail(http.StatusInternalServerError, clerksim.OnRoute(route)) },
		"a wrong key":  func(f *clerksim.APIFaults) { f.Fail(http.StatusUnauthorized, clerksim.OnRoute(route)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var workspace, member string
			b := startSweeping(t, func(b *bundle) {
				workspace, _, member, _ = team(t, b)
				fail(b.faults)
			}, func(_ *bundle, cfg *config.Config) { cfg.SweepInterval = time.Hour })
			eventually(t, func() bool { return b.ready(t) }, "ready")
			require.Equal(t, http.StatusOK, b.may(t, b.token(t, member), workspace, "reports:read"))
			require.False(t, health.HasAlarm(b.situation(t).Alarms, health.AlarmAborted))
		})
	}
}

// TestBillingThatIsOnIsNoticed, where roles at Clerk grant permissions that a plan may take away
// there.
func TestBillingThatIsOnIsNoticed(t *testing.T) {
	t.Parallel()
	b := startSweeping(t, func(b *bundle) { team(t, b) })
	billing := func() *jobs.BillingReport {
		if last := b.situation(t).LastSweep; last != nil {
			return last.Report.Billing
		}
		return nil
	}
	eventually(t, func() bool { return billing() != nil && !billing().On }, "off")
	b.clerk.AddPlan("Pro", clerksim.PayerUser)
	b.clerk.SetFeature(clerksim.FeatureBilling, true)
	require.False(t, billing().On, "what users pay for is no matter of permissions")
	b.clerk.AddPlan("Team", clerksim.PayerOrganization)
	eventually(t, func() bool { return billing().On }, "on")
	require.False(t, health.HasNotice(b.situation(t).Notices, health.NoticeBilling), "Clerk's own permissions need no plan")

	_, err := b.clerk.CreatePermission("org:reports:export", "Export")
	require.NoError(t, err)
	role, ok := b.clerk.Role(clerksim.RoleAdmin)
	require.True(t, ok)
	_, err = b.clerk.SetRolePermissions(role.ID, append(role.Permissions, "org:reports:export")...)
	require.NoError(t, err)
	eventually(t, func() bool { return health.HasNotice(b.situation(t).Notices, health.NoticeBilling) }, "a custom permission")
	text, err := json.Marshal(b.situation(t))
	require.NoError(t, err)
	require.Contains(t, string(text), `"name":"billing_unmirrored"`)
	require.Contains(t, b.log.String(), "the mirror knows no plans")
	_, metrics := b.text(t, "/metrics")
	require.Contains(t, metrics, `rolecall_notice{name="billing_unmirrored"} `)
}
