package service

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/callmine/rolecall/internal/clerkapi"
)

// clerkCollector shows at /metrics how much of Clerk's limit this process uses.
type clerkCollector struct {
	usage                             func() clerkapi.Usage
	calls, paused, refused, throttled *prometheus.Desc
}

func newClerkCollector(usage func() clerkapi.Usage) *clerkCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &clerkCollector{
		usage: usage,
		calls: desc("rolecall_clerk_budget_calls",
			"Calls to Clerk's API in the last ten seconds: sent by this process, and the most that Clerk accepts from the instance.", "state"),
		paused:    desc("rolecall_clerk_budget_paused", "1 while sweeps wait because Clerk answered 429, else 0."),
		refused:   desc("rolecall_clerk_budget_refused_total", "Calls that the budget refused, so that they weren't sent, by purpose.", "purpose"),
		throttled: desc("rolecall_clerk_throttled_total", "Calls that Clerk answered with 429."),
	}
}

// Describe implements [prometheus.Collector].
func (c *clerkCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.calls, c.paused, c.refused, c.throttled} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *clerkCollector) Collect(metrics chan<- prometheus.Metric) {
	now := c.usage()
	paused := 0.0
	if now.Paused {
		paused = 1
	}
	metrics <- prometheus.MustNewConstMetric(c.calls, prometheus.GaugeValue, float64(now.Sent), "sent")
	metrics <- prometheus.MustNewConstMetric(c.calls, prometheus.GaugeValue, float64(now.Limit), "limit")
	metrics <- prometheus.MustNewConstMetric(c.paused, prometheus.GaugeValue, paused)
	metrics <- prometheus.MustNewConstMetric(c.throttled, prometheus.CounterValue, float64(now.Throttled))
	for purpose, n := range now.Refused {
		metrics <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(n), purpose.String())
	}
}
