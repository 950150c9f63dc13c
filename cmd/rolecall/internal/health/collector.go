package health

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// statusKept is how long a status is reused, so that several scrapers query the database no more
// often than one.
const statusKept = 5 * time.Second

// failureKept is how long the failure to read a status is reused. While the database hangs, a
// scrape waits for one reading, and not for those of all open pages of the console.
const failureKept = time.Second

// readTimeout bounds the queries of a scrape.
const readTimeout = time.Second

// Collector shows at /metrics how well the mirror follows Clerk, by the database's state at the
// scrape. While the database doesn't answer, gauges are NaN and there is no drift.
type Collector struct {
	db          *pgxpool.Pool
	sweepsEvery time.Duration
	own         func() Own

	lastDelivery, lastClean, drift, alarm, notice, running, needing, calls *prometheus.Desc

	mu     sync.Mutex // a second scrape waits for the first one's reading
	kept   Situation
	failed error     // of the last reading
	until  time.Time // how long kept or failed is reused, by this process' clock
}

// NewCollector returns a collector of a database's status. own returns what this process
// knows of itself.
func NewCollector(db *pgxpool.Pool, sweepsEvery time.Duration, own func() Own) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &Collector{
		db: db, sweepsEvery: sweepsEvery, own: own,
		lastDelivery: desc("rolecall_last_delivery_age_seconds", "Age of the newest delivery; +Inf if none ever came, NaN if the database can't tell."),
		lastClean: desc("rolecall_last_clean_sweep_age_seconds",
			"How long ago the newest sweep began that made the mirror equal to Clerk; +Inf if none did, NaN if the database can't tell."),
		drift:  desc("rolecall_drift_total", "Objects that sweeps found to differ from Clerk.", "kind", "difference", "cause"),
		alarm:  desc("rolecall_alarm", "1 if something needs attention (rolecall status says what), 0 if not, NaN if that depends on the database and it doesn't answer.", "name"),
		notice: desc("rolecall_notice", "1 if an operator should know something (rolecall status says what), 0 if not, NaN if the database can't tell.", "name"),
		needing: desc("rolecall_workspaces_needing_attention",
			"Workspaces that need attention, by what they need, as the last round found them; NaN while nothing can be said.", "kind"),
		calls: desc("rolecall_clerk_calls",
			"Calls to Clerk's API of all processes in the last ten seconds, those included that are leased for the next two; NaN if the database can't tell."),
		running: desc("rolecall_sweep_running", "1 while any process sweeps, 0 if none does, NaN if the database can't tell."),
	}
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lastDelivery, c.lastClean, c.drift, c.alarm, c.notice, c.running, c.needing, c.calls} {
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
		for _, d := range []*prometheus.Desc{c.lastDelivery, c.lastClean, c.running, c.calls} {
			gauge(d, math.NaN())
		}
		for _, name := range AlarmNames() {
			value := math.NaN()
			if slices.Contains(ownAlarmNames(), name) {
				value = number(HasAlarm(Situation{Own: c.own()}.ownAlarms(), name))
			}
			gauge(c.alarm, value, string(name))
		}
		for _, name := range NoticeNames() {
			gauge(c.notice, math.NaN(), string(name))
		}
		c.collectNeeding(gauge, nil)
		return
	}
	gauge(c.lastDelivery, now.secondsSince(now.LastDelivery))
	clean := time.Time{}
	if now.LastClean != nil {
		clean = now.LastClean.StartedAt
	}
	gauge(c.lastClean, now.secondsSince(clean))
	gauge(c.running, number(now.SweepRunning))
	gauge(c.calls, float64(now.ClerkCalls))
	now.Own = c.own()
	alarms := now.Alarms()
	for _, name := range AlarmNames() {
		gauge(c.alarm, number(HasAlarm(alarms, name)), string(name))
	}
	notices := now.notices()
	for _, name := range NoticeNames() {
		gauge(c.notice, number(HasNotice(notices, name)), string(name))
	}
	c.collectNeeding(gauge, now.needing())
	c.collectDrift(metrics, now.Drift)
}

// collectDrift shows a counter for each kind, difference and cause, zeros included. Prometheus'
// rate misses the count with which a counter first appears.
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

// Situation returns the situation of a few seconds ago, or else reads it. A failure is that of the
// last second.
func (c *Collector) Situation() (Situation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.kept, c.failed
	}
	c.kept, c.failed = c.read()
	c.until = time.Now().Add(statusKept)
	if c.failed != nil {
		c.until = time.Now().Add(failureKept)
	}
	return c.kept, c.failed
}

// Forget makes the next question read the situation anew: something has happened that must be shown
// at once.
func (c *Collector) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Time{}
}

func (c *Collector) read() (Situation, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	read, err := store.ReadStatus(ctx, c.db)
	if err != nil {
		return Situation{}, err
	}
	return NewSituation(read, c.sweepsEvery)
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
