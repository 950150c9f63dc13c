package service

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/callmine/rolecall/changefeed"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/store"
)

// startFeed begins to publish changes. Each process does, so that none of them must live.
func (s *Service) startFeed(ctx context.Context, which config.Parts) (err error) {
	cfg := changefeed.Config{Pool: s.work, Logger: s.logger, Published: func(p store.Published) {
		s.metrics.published.Add(float64(p.Changes))
		if p.Waited > 0 { // entries that are older than the feed don't tell how fast it is
			s.metrics.publishing.Observe(p.Waited.Seconds())
		}
	}}
	if which.Web {
		cfg.Snapshot = func(ctx context.Context, read func(store.DBTX) error) error {
			return s.read.Snapshot(ctx, func(tx pgx.Tx) error { return read(tx) })
		}
	}
	if s.feed, err = changefeed.Start(ctx, cfg); err != nil {
		return err
	}
	s.cleanup.Add("change feed", func(context.Context) error { s.feed.Stop(); return nil })
	s.metrics.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rolecall_feed_waiting", Help: "Requests that wait for changes.",
	}, func() float64 { return float64(s.feed.Waiting()) }))
	return nil
}

// part tells balancers and consumers that this process stops.
func (s *Service) part() {
	s.draining.Store(true)
	if s.feed != nil {
		s.feed.Drain()
	}
}
