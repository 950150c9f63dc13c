package service_test

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestMetrics_ShowThatTheDatabaseIsAway: values are NaN, neither zero nor old, unless the process
// knows them without the database.
func TestMetrics_ShowThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	db, err := pgxpool.New(t.Context(), pgtest.EmptyURL(t))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	registry := prometheus.NewRegistry()
	registry.MustRegister(health.NewCollector(db, time.Hour, func() *auth.Lockout { return &auth.Lockout{Refused: 5} }))
	families, err := registry.Gather()
	require.NoError(t, err)
	seen := map[string]int{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			seen[family.GetName()]++
			value := metric.GetGauge().GetValue()
			if family.GetName() == "rolecall_alarm" && metric.GetLabel()[0].GetValue() == string(health.AlarmLockout) {
				require.InDelta(t, 1, value, 0)
				continue
			}
			require.True(t, math.IsNaN(value), family.GetName())
		}
	}
	require.Equal(t, map[string]int{
		"rolecall_last_delivery_age_seconds": 1, "rolecall_last_clean_sweep_age_seconds": 1, "rolecall_sweep_running": 1,
		"rolecall_alarm": len(health.AlarmNames()), "rolecall_notice": len(health.NoticeNames()),
	}, seen, "and no drift")
}
