package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/jobs/sweep"
	clerksync "github.com/callmine/rolecall/sync"
)

// ready reports whether the service should get traffic.
func ready(t *testing.T, b *servicetest.Bundle) bool {
	t.Helper()
	status, _ := b.Text(t, "/readyz")
	return status == http.StatusOK
}

// situation reads the status, as `rolecall status` does.
func situation(t *testing.T, b *servicetest.Bundle) health.Snapshot {
	t.Helper()
	now, err := health.NewCollector(b.DB, time.Hour, func() health.Own { return health.Own{} }).Situation()
	require.NoError(t, err)
	shown, err := health.SnapshotOf(now)
	require.NoError(t, err)
	return shown
}

// TestRefusedLists_InstanceWithoutDomainsWorks: without verified domains in its plan, a fresh
// installation turns ready, and repairs a removal whose webhook was lost. Report, status, metrics
// and log name the list and Clerk's code.
func TestRefusedLists_InstanceWithoutDomainsWorks(t *testing.T) {
	t.Parallel()
	var workspace, member string
	b := servicetest.StartSweeping(t, func(b *servicetest.Bundle) {
		b.Clerk.SetFeature(clerksim.FeatureDomains, false)
		workspace, _, member, _ = servicetest.Team(t, b)
	})
	servicetest.Eventually(t, func() bool { return ready(t, b) }, "ready")
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, member), workspace, "reports:read"))
	require.NoError(t, b.Clerk.RemoveMember(workspace, member))
	b.Clerk.Drain() // lost
	servicetest.Eventually(t, func() bool { return b.May(t, b.Token(t, member), workspace, "reports:read") == http.StatusNotFound }, "repaired")

	const code = "organization_domains_not_enabled"
	shown := situation(t, b)
	require.True(t, health.HasNotice(shown.Notices, health.NoticeListRefused))
	refused := shown.LastSweep.Report.Refused
	require.Len(t, refused, 1)
	require.Equal(t, clerksync.ResourceDomain, refused[0].Resource)
	require.Equal(t, code, refused[0].Code)
	require.Equal(t, http.StatusForbidden, refused[0].Status)
	var out strings.Builder
	require.NoError(t, printStatus(&out, shown))
	require.Contains(t, out.String(), "NOTICE list_refused")
	require.Contains(t, strings.Join(strings.Fields(out.String()), " "), "the list of domains is refused: status 403, "+code+" (trace "+refused[0].TraceID+")")
	require.NotContains(t, out.String(), "CLERK_SECRET_KEY")
	require.False(t, health.HasAlarm(shown.Alarms, health.AlarmAborted))
	require.Contains(t, b.Log.String(), `"code":"`+code+`"`)
	_, metrics := b.Text(t, "/metrics")
	require.Contains(t, metrics, `rolecall_notice{name="list_refused"} 1`)

	b.Clerk.SetFeature(clerksim.FeatureDomains, true)
	servicetest.Eventually(t, func() bool { return !health.HasNotice(situation(t, b).Notices, health.NoticeListRefused) }, "compared again")
}

// TestRefusedLists_DisabledOrganizationsAreNotBlamedOnTheKey: the sweep can't list members, and
// names the feature to turn on.
func TestRefusedLists_DisabledOrganizationsAreNotBlamedOnTheKey(t *testing.T) {
	t.Parallel()
	b := servicetest.StartSweeping(t, func(b *servicetest.Bundle) {
		servicetest.Team(t, b)
		b.Clerk.SetFeature(clerksim.FeatureOrganizations, false)
	})
	servicetest.Eventually(t, func() bool { return health.HasAlarm(situation(t, b).Alarms, health.AlarmAborted) }, "aborted")
	var out strings.Builder
	require.NoError(t, printStatus(&out, situation(t, b)))
	require.Contains(t, out.String(), "list_refused")
	require.Contains(t, out.String(), "organization_not_enabled_in_instance")
	require.Contains(t, out.String(), "dashboard")
	require.NotContains(t, out.String(), "CLERK_SECRET_KEY")
	require.False(t, ready(t, b))
	b.Clerk.SetFeature(clerksim.FeatureOrganizations, true)
	servicetest.Eventually(t, func() bool { return ready(t, b) }, "ready once they are on")
}

// TestRefusedLists_UnlistedRolesRaiseAnAlarm: members' permissions aren't compared.
func TestRefusedLists_UnlistedRolesRaiseAnAlarm(t *testing.T) {
	t.Parallel()
	b := servicetest.StartSweeping(t, func(b *servicetest.Bundle) {
		servicetest.Team(t, b)
		b.Faults.FailWithCode(http.StatusForbidden, "authorization_invalid", clerksim.OnRoute("GET /organization_roles"))
	})
	servicetest.Eventually(t, func() bool { return ready(t, b) }, "ready")
	shown := situation(t, b)
	require.True(t, health.HasAlarm(shown.Alarms, health.AlarmRolesRefused))
	require.False(t, health.HasNotice(shown.Notices, health.NoticeListRefused))
}

// TestReconcile_NamesKindsThatItDidNotCompare, in words and in JSON, also for a dry run or one
// organization.
//
//nolint:paralleltest // the environment belongs to the process
func TestReconcile_NamesKindsThatItDidNotCompare(t *testing.T) {
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
	require.Equal(t, sweep.ReasonListRefused, report.Reason)
	require.Contains(t, errs, "organization_not_enabled_in_instance")
	require.Equal(t, 3, b.members(t))
}

// TestBilling_FailureHoldsNothingUp: sweeps repair the mirror although Clerk's billing route fails.
func TestBilling_FailureHoldsNothingUp(t *testing.T) {
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
			b := servicetest.StartSweeping(t, func(b *servicetest.Bundle) {
				workspace, _, member, _ = servicetest.Team(t, b)
				fail(b.Faults)
			}, func(_ *servicetest.Bundle, cfg *config.Config) { cfg.SweepInterval = time.Hour })
			servicetest.Eventually(t, func() bool { return ready(t, b) }, "ready")
			require.Equal(t, http.StatusOK, b.May(t, b.Token(t, member), workspace, "reports:read"))
			require.False(t, health.HasAlarm(situation(t, b).Alarms, health.AlarmAborted))
		})
	}
}

// TestBilling_EnabledIsNoticed if roles at Clerk grant custom permissions, which a plan may take
// away there.
func TestBilling_EnabledIsNoticed(t *testing.T) {
	t.Parallel()
	b := servicetest.StartSweeping(t, func(b *servicetest.Bundle) { servicetest.Team(t, b) })
	billing := func() *sweep.BillingReport {
		if last := situation(t, b).LastSweep; last != nil {
			return last.Report.Billing
		}
		return nil
	}
	servicetest.Eventually(t, func() bool { return billing() != nil && !billing().On }, "off")
	b.Clerk.AddPlan("Pro", clerksim.PayerUser)
	b.Clerk.SetFeature(clerksim.FeatureBilling, true)
	require.False(t, billing().On, "plans of users don't decide permissions")
	b.Clerk.AddPlan("Team", clerksim.PayerOrganization)
	servicetest.Eventually(t, func() bool { return billing().On }, "on")
	require.False(t, health.HasNotice(situation(t, b).Notices, health.NoticeBilling), "Clerk's own permissions need no plan")

	_, err := b.Clerk.CreatePermission("org:reports:export", "Export")
	require.NoError(t, err)
	role, ok := b.Clerk.Role(clerksim.RoleAdmin)
	require.True(t, ok)
	_, err = b.Clerk.SetRolePermissions(role.ID, append(role.Permissions, "org:reports:export")...)
	require.NoError(t, err)
	servicetest.Eventually(t, func() bool { return health.HasNotice(situation(t, b).Notices, health.NoticeBilling) }, "a custom permission")
	text, err := json.Marshal(situation(t, b))
	require.NoError(t, err)
	require.Contains(t, string(text), `"name":"billing_unmirrored"`)
	require.Contains(t, b.Log.String(), "the mirror knows no plans")
	_, metrics := b.Text(t, "/metrics")
	require.Contains(t, metrics, `rolecall_notice{name="billing_unmirrored"} `)
}
