package service_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestMetrics_ShowThatTheDatabaseIsAway: values are NaN, neither zero nor old, unless the process
// knows them without the database.
func TestMetrics_ShowThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	db, err := pgxpool.New(t.Context(), pgtest.EmptyURL(t))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	registry := prometheus.NewRegistry()
	registry.MustRegister(health.NewCollector(db, time.Hour, func() health.Own {
		return health.Own{Lockout: &auth.Lockout{Refused: 5}, PolicyRefused: errors.New("no such file"), Replicas: []health.Replica{{Away: time.Hour}}}
	}))
	families, err := registry.Gather()
	require.NoError(t, err)
	seen := map[string]int{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			seen[family.GetName()]++
			value := metric.GetGauge().GetValue()
			if family.GetName() == "rolecall_alarm" && slices.Contains([]health.AlarmName{health.AlarmLockout, health.AlarmPolicy, health.AlarmReplicas}, health.AlarmName(metric.GetLabel()[0].GetValue())) {
				require.InDelta(t, 1, value, 0)
				continue
			}
			require.True(t, math.IsNaN(value), family.GetName())
		}
	}
	require.Equal(t, map[string]int{
		"rolecall_last_delivery_age_seconds": 1, "rolecall_last_clean_sweep_age_seconds": 1, "rolecall_sweep_running": 1, "rolecall_clerk_calls": 1,
		"rolecall_alarm": len(health.AlarmNames()), "rolecall_notice": len(health.NoticeNames()),
		"rolecall_workspaces_needing_attention": len(clerksync.Needs()),
	}, seen, "and no drift")
}

// TestMetrics_ShowWhatIsUsedUp: each pool shows its connections and who waited for one, and the
// budget shows Clerk's limit.
func TestMetrics_ShowWhatIsUsedUp(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, servicetest.AsksClerk)
	b.Open(t, url)
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, admin), workspace, "reports:read"))

	status, text := b.Text(t, "/metrics")
	require.Equal(t, http.StatusOK, status)
	for _, share := range config.Shares(config.Parts{Web: true, Workers: true}) {
		most := share.Usual
		if share.Name == "queue" {
			most-- // of River's listener
		}
		require.Contains(t, text, fmt.Sprintf("rolecall_pool_connections{pool=%q,state=\"max\"} %d\n", share.Name, most))
		for _, series := range []string{"connections{pool=%q,state=\"used\"}", "connections{pool=%q,state=\"idle\"}", "given_up_total{pool=%q}"} {
			require.Contains(t, text, "\nrolecall_pool_"+fmt.Sprintf(series, share.Name)+" ")
		}
	}
	require.Regexp(t, `rolecall_pool_waits_total{pool="decide"} [1-9]`, text, "the first decision waited until the connection was open")
	require.Regexp(t, `rolecall_pool_wait_seconds_total{pool="decide"} (0\.\d*[1-9]|[1-9]|\d+e-)`, text)
	for _, line := range []string{
		`rolecall_clerk_budget_calls{state="limit"} 50000`, `rolecall_clerk_budget_paused 0`, `rolecall_clerk_throttled_total 0`,
		`rolecall_clerk_budget_refused_total{purpose="removal"} 0`, `rolecall_clerk_budget_refused_total{purpose="background"} 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
}
