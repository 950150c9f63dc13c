package service

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/changefeed"
	"github.com/callmine/rolecall/store"
)

// startFeed begins to publish changes. Each process does, so that none of them must live.
func (s *Service) startFeed(ctx context.Context, which config.Parts) (err error) {
	m := newFeedMetrics()
	cfg := changefeed.Config{Pool: s.work, Logger: s.logger, Published: m.noted}
	if which.Web {
		cfg.Snapshot = func(ctx context.Context, read func(store.DBTX) error) error {
			return s.read.Snapshot(ctx, func(tx pgx.Tx) error { return read(tx) })
		}
	}
	if s.feed, err = changefeed.Start(ctx, cfg); err != nil {
		return err
	}
	s.cleanup.Add("change feed", func(context.Context) error { s.feed.Stop(); return nil })
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rolecall_feed_waiting", Help: "Requests that wait for changes.",
	}, func() float64 { return float64(s.feed.Waiting()) })
	unpublished := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rolecall_feed_unpublished_seconds",
		Help: "How long the oldest recorded change has waited for its place in the change feed; 0 if there is none, NaN if the database can't tell.",
	}, func() float64 { return waitedSince(s.admins, store.UnpublishedSince) })
	s.metrics.registry.MustRegister(m.published, m.took, waiting, unpublished)
	return nil
}

// feedMetrics measure how this process publishes.
type feedMetrics struct {
	published prometheus.Counter
	took      prometheus.Histogram
}

func newFeedMetrics() feedMetrics {
	return feedMetrics{
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rolecall_feed_published_total", Help: "Changes that this process published in the change feed.",
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "rolecall_feed_publish_seconds",
			Help:    "From the recording of a change to its place in the change feed, of the oldest change of each transaction that publishes.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15), // 1 ms to 16 s
		}),
	}
}

func (m feedMetrics) noted(p store.Published) {
	m.published.Add(float64(p.Changes))
	if p.Waited > 0 { // entries that are older than the feed don't tell how fast it is
		m.took.Observe(p.Waited.Seconds())
	}
}
