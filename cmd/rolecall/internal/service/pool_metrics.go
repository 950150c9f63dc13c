package service

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// poolStats are the statistics of a process' pools, by the pools' names.
type poolStats map[string]func() *pgxpool.Stat

// poolCollector shows at /metrics how well the connections of each pool suffice.
type poolCollector struct {
	stats                                    poolStats
	connections, waitSeconds, waits, givenUp *prometheus.Desc
}

func newPoolCollector(stats poolStats) *poolCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"pool"}, labels...), nil)
	}
	return &poolCollector{
		stats: stats,
		connections: desc("rolecall_pool_connections",
			"Connections to Postgres by pool: in use, idle, and the most that the pool opens.", "state"),
		waitSeconds: desc("rolecall_pool_wait_seconds_total",
			"How long callers together waited until a connection was free or opened, without those who gave up."),
		waits:   desc("rolecall_pool_waits_total", "Callers that waited until a connection was free or opened, without those who gave up."),
		givenUp: desc("rolecall_pool_given_up_total", "Callers that gave up before a connection was free."),
	}
}

// Describe implements [prometheus.Collector].
func (c *poolCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.connections, c.waitSeconds, c.waits, c.givenUp} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *poolCollector) Collect(metrics chan<- prometheus.Metric) {
	for pool, stat := range c.stats {
		now := stat()
		for state, n := range map[string]int32{"used": now.AcquiredConns(), "idle": now.IdleConns(), "max": now.MaxConns()} {
			metrics <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(n), pool, state)
		}
		for d, n := range map[*prometheus.Desc]float64{
			c.waitSeconds: now.EmptyAcquireWaitTime().Seconds(), c.waits: float64(now.EmptyAcquireCount()),
			c.givenUp: float64(now.CanceledAcquireCount()),
		} {
			metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, pool)
		}
	}
}
