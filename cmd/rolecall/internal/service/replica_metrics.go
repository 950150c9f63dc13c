package service

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/internal/replica"
)

// replicaCollector shows at /metrics who answered, and why a replica didn't.
type replicaCollector struct {
	replicas                  *replica.Set
	answers, byPrimary, delay *prometheus.Desc
}

func newReplicaCollector(replicas *replica.Set) *replicaCollector {
	return &replicaCollector{
		replicas: replicas,
		answers: prometheus.NewDesc("rolecall_replica_answers_total",
			"Questions that a replica answered, or was to answer and didn't, by outcome.", []string{"replica", "outcome"}, nil),
		byPrimary: prometheus.NewDesc("rolecall_primary_answers_total",
			"Questions that the primary answered, or a part of them, and that replicas could have answered.", nil, nil),
		delay: prometheus.NewDesc("rolecall_replica_delay_seconds",
			"How far a replica is behind the primary; NaN if it doesn't answer, or is more than a minute behind.", []string{"replica"}, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c *replicaCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.answers
	descs <- c.byPrimary
	descs <- c.delay
}

// Collect implements [prometheus.Collector].
func (c *replicaCollector) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.MustNewConstMetric(c.byPrimary, prometheus.CounterValue, float64(c.replicas.ByPrimary()))
	for _, r := range c.replicas.Replicas() {
		for _, o := range replica.Outcomes() {
			metrics <- prometheus.MustNewConstMetric(c.answers, prometheus.CounterValue, float64(r.Counts(o)), r.Name, string(o))
		}
		delay := math.NaN()
		if d := r.Status().Delay; d != nil {
			delay = d.Seconds()
		}
		metrics <- prometheus.MustNewConstMetric(c.delay, prometheus.GaugeValue, delay, r.Name)
	}
}

// ownReplicas returns what the process knows of its replicas, and how many questions the primary
// answered in their place.
func (s *Service) ownReplicas() (known []health.Replica, byPrimary int64) {
	if s.replicas == nil {
		return nil, 0
	}
	for _, r := range s.replicas.Replicas() {
		status := r.Status()
		one := health.Replica{Name: r.Name, State: string(status.State), Cause: status.Cause, Behind: status.Delay}
		if status.State != replica.OutcomeAnswered {
			one.Away = max(time.Since(status.WellAt), time.Millisecond)
		}
		for _, o := range replica.Outcomes() {
			n := r.Counts(o)
			switch {
			case o == replica.OutcomeAnswered:
				one.Answered = n
			case n > 0:
				one.Left = append(one.Left, health.Left{Why: string(o), Questions: n})
			}
		}
		known = append(known, one)
	}
	return known, s.replicas.ByPrimary()
}
