package health

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// statusKept is how long a status is reused, so that several scrapers query the database no more
// often than one.
const statusKept = 5 * time.Second

// readTimeout bounds the queries of a scrape.
const readTimeout = time.Second

// Collector shows at /metrics how well the mirror follows Clerk, by the database's state at the
// scrape. While the database doesn't answer, gauges are NaN and there is no drift.
type Collector struct {
	db          *pgxpool.Pool
	sweepsEvery time.Duration
	lockout     func() *auth.Lockout // of this process

	lastDelivery, lastClean, drift, alarm, notice, running *prometheus.Desc

	mu   sync.Mutex // a second scrape waits for the first one's reading
	kept Situation
	at   time.Time // of kept, by this process' clock
}

// NewCollector returns a collector of a database's status. lockout returns the lockout of this
// process; nil for none.
func NewCollector(db *pgxpool.Pool, sweepsEvery time.Duration, lockout func() *auth.Lockout) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &Collector{
		db: db, sweepsEvery: sweepsEvery, lockout: lockout,
		lastDelivery: desc("rolecall_last_delivery_age_seconds", "Age of the newest delivery; +Inf if none ever came, NaN if the database can't tell."),
		lastClean: desc("rolecall_last_clean_sweep_age_seconds",
			"How long ago the newest sweep began that made the mirror equal to Clerk; +Inf if none did, NaN if the database can't tell."),
		drift:   desc("rolecall_drift_total", "Objects that sweeps found to differ from Clerk.", "kind", "difference", "cause"),
		alarm:   desc("rolecall_alarm", "1 if something needs attention (rolecall status says what), 0 if not, NaN if only the database can tell and can't.", "name"),
		notice:  desc("rolecall_notice", "1 if an operator should know something (rolecall status says what), 0 if not, NaN if the database can't tell.", "name"),
		running: desc("rolecall_sweep_running", "1 while any process sweeps, 0 if none does, NaN if the database can't tell."),
	}
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lastDelivery, c.lastClean, c.drift, c.alarm, c.notice, c.running} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	now, err := c.Situation()
	if err != nil {
		for _, d := range []*prometheus.Desc{c.lastDelivery, c.lastClean, c.running} {
			gauge(d, math.NaN())
		}
		for _, name := range AlarmNames() {
			value := math.NaN()
			if name == AlarmLockout { // the process knows it without the database
				value = number(c.lockout() != nil)
			}
			gauge(c.alarm, value, string(name))
		}
		for _, name := range NoticeNames() {
			gauge(c.notice, math.NaN(), string(name))
		}
		return
	}
	gauge(c.lastDelivery, now.secondsSince(now.LastDelivery))
	clean := time.Time{}
	if now.LastClean != nil {
		clean = now.LastClean.StartedAt
	}
	gauge(c.lastClean, now.secondsSince(clean))
	gauge(c.running, number(now.SweepRunning))
	now.Lockout = c.lockout()
	alarms := now.Alarms()
	for _, name := range AlarmNames() {
		gauge(c.alarm, number(HasAlarm(alarms, name)), string(name))
	}
	notices := now.notices()
	for _, name := range NoticeNames() {
		gauge(c.notice, number(HasNotice(notices, name)), string(name))
	}
	c.collectDrift(metrics, now.Drift)
}

// collectDrift shows a counter for each kind, difference and cause, zeros included: a counter that
// appears with its first count hides that count from a rate.
func (c *Collector) collectDrift(metrics chan<- prometheus.Metric, totals []store.DriftTotal) {
	counts := map[store.DriftTotal]int64{}
	for _, kind := range clerksync.Resources() {
		for _, difference := range []clerksync.Difference{clerksync.Missing, clerksync.Stale, clerksync.Extra} {
			for _, cause := range store.DriftCauses() {
				counts[store.DriftTotal{Resource: kind, Difference: difference, Cause: cause}] = 0
			}
		}
		counts[store.DriftTotal{Resource: kind, Difference: clerksync.Behind, Cause: store.CauseLag}] = 0
	}
	for _, t := range totals {
		counts[store.DriftTotal{Resource: t.Resource, Difference: t.Difference, Cause: t.Cause}] = t.Count
	}
	for t, count := range counts {
		metrics <- prometheus.MustNewConstMetric(c.drift, prometheus.CounterValue, float64(count),
			string(t.Resource), string(t.Difference), string(t.Cause))
	}
}

// Situation returns the situation of a few seconds ago, or else reads it.
func (c *Collector) Situation() (Situation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < statusKept {
		return c.kept, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	read, err := store.ReadStatus(ctx, c.db)
	if err != nil {
		return Situation{}, err
	}
	now, err := NewSituation(read, c.sweepsEvery)
	if err == nil {
		c.kept, c.at = now, time.Now()
	}
	return now, err
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
