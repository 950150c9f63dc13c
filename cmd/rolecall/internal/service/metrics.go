package service

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/edge"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/jobs/lookup"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
	"github.com/callmine/rolecall/webhooks"
)

// metrics are the metrics of /metrics. No label names a person or a workspace.
type metrics struct {
	registry   *prometheus.Registry
	deliveries *prometheus.CounterVec
	accept     prometheus.Histogram
	applied    *prometheus.CounterVec
	decisions  *prometheus.CounterVec
	refused    *prometheus.CounterVec
	stale      prometheus.Counter
	cut        *prometheus.CounterVec
	refreshed  *prometheus.CounterVec
	calls      *prometheus.HistogramVec
	pruned     *prometheus.CounterVec
	lost       *prometheus.CounterVec
	requests   *requestTimes
}

func newMetrics(db *pgxpool.Pool) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rolecall_webhook_requests_total", Help: "Webhook requests by outcome.",
		}, []string{"outcome"}),
		accept: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "rolecall_webhook_accept_seconds", Help: "Time from a webhook request to its 200, commit included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15), // 0.5 ms to 8 s; Clerk gives up after 15 s
		}),
		applied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rolecall_deliveries_total", Help: "Deliveries by the state in which they ended.",
		}, []string{"state"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rolecall_decisions_total", Help: "Decisions of the API by reason.",
		}, []string{"reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rolecall_unauthenticated_total", Help: "Requests with credentials that were refused (401), by reason.",
		}, []string{"reason"}),
	}
	m.stale = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rolecall_stale_answers_total", Help: "Requests that were refused with 503 because they demand a fresher mirror (max_staleness).",
	})
	m.refreshed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rolecall_refreshes_total", Help: "Strangers whom Clerk was asked about, by outcome.",
	}, []string{"outcome"})
	m.cut = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rolecall_callers_cut_total", Help: "Callers that were cut to make room for others, by what had run out.",
	}, []string{"cause"})
	for _, cause := range edge.Causes() {
		m.cut.WithLabelValues(string(cause))
	}
	m.calls = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "rolecall_clerk_call_seconds", Help: "Calls to Clerk's API by route and status (0: no answer), waiting for the budget included.",
		Buckets: prometheus.ExponentialBuckets(0.02, 2, 11), // 20 ms to 20 s
	}, []string{"route", "status"})
	m.pruned = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rolecall_pruned_total", Help: "Rows that were forgotten at the end of their life, by kind.",
	}, []string{"kind"})
	for _, kind := range jobs.Prunables() {
		m.pruned.WithLabelValues(string(kind))
	}
	m.lost = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rolecall_acknowledged_lost_total", Help: "What this process acknowledged and a failover lost, by kind.",
	}, []string{"kind"})
	for _, kind := range store.AcknowledgedKinds() {
		m.lost.WithLabelValues(string(kind))
	}
	m.requests = newRequestTimes()
	for _, result := range lookup.Results() {
		m.refreshed.WithLabelValues(string(result))
	}
	// Prometheus' rate misses the count with which a counter first appears.
	for _, outcome := range webhooks.Outcomes() {
		m.deliveries.WithLabelValues(string(outcome))
	}
	for _, reason := range auth.Reasons() {
		m.refused.WithLabelValues(string(reason))
	}
	for _, mistake := range []clerksync.Reason{clerksync.ReasonUnknownPermission, clerksync.ReasonWorkspaceNotListed} {
		m.decisions.WithLabelValues(string(mistake))
	}
	for _, state := range []clerksync.State{
		clerksync.StateApplied, clerksync.StateSuperseded, clerksync.StateIgnored, clerksync.StateQuarantined,
	} {
		m.applied.WithLabelValues(string(state))
	}
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rolecall_oldest_unapplied_seconds",
		Help: "How long the oldest acknowledged delivery has waited to be applied; 0 if there is none, NaN if the database can't tell.",
	}, func() float64 { return waitedSince(db, store.WaitsSince) })
	m.registry.MustRegister(m.deliveries, m.accept, m.applied, m.decisions, m.refused, m.stale, m.cut, m.refreshed, m.calls, m.pruned, m.lost, m.requests, thisBuild(), oldest,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// thisBuild is always 1. Its labels name this binary; one is empty if the build didn't record it.
func thisBuild() prometheus.Gauge {
	build := buildinfo.Read()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rolecall_build_info", Help: "Which binary this process runs; always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.Go},
	})
	g.Set(1)
	return g
}

// called counts a call to Clerk.
func (m *metrics) called(c clerkapi.Call) {
	m.calls.WithLabelValues(c.Route, strconv.Itoa(c.Status)).Observe(c.Took.Seconds())
}

// waitedSince returns how many seconds ago an instant was that the database tells.
func waitedSince(db *pgxpool.Pool, since func(context.Context, store.DBTX) (time.Time, error)) float64 {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	at, err := since(ctx, db)
	switch {
	case err != nil:
		return math.NaN()
	case at.IsZero():
		return 0
	default:
		return time.Since(at).Seconds()
	}
}
