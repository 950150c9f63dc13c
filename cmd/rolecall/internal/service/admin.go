package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// checkTimeout bounds what /readyz and a scrape ask the database.
const checkTimeout = time.Second

// startAdmin serves what is for operators, on a listener of its own that faces no customer.
func (s *Service) startAdmin(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	s.metrics.registry.MustRegister(health.NewCollector(s.admins, s.cfg.SweepsEvery(), s.lockout))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{Registry: s.metrics.registry}))
	listener, err := s.listen(ctx, "admin", "ROLECALL_ADMIN_ADDR", s.cfg.AdminAddr)
	if err != nil {
		return err
	}
	s.serve("admin", listener, mux)
	s.AdminAddr = listener.Addr().String()
	return nil
}

// ready answers 200 if this process should get traffic: everything runs that it is to run, it isn't
// stopping, the database answers, can be written to and has a schema that fits, and the mirror was
// compared with Clerk at least once, if this process is to compare it. Before, it may be empty, and
// would refuse everybody. That a later comparison is overdue turns nothing red: answers go on, and
// say how old they are.
func (s *Service) ready(w http.ResponseWriter, r *http.Request) {
	switch { // without the database: a balancer learns it at once
	case s.draining.Load():
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	case !s.started.Load():
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	// A prober that gives up earlier must not cut a connection to the database in the middle of a
	// question.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), checkTimeout)
	defer cancel()
	unfilled, err := health.Unfilled(ctx, s.admins, s.cfg.SweepsEvery())
	readOnly, failed := store.ReadOnly(ctx, s.admins)
	err = errors.Join(err, migrations.Check(ctx, s.admins), failed, s.othersAnswer(ctx))
	switch {
	case err != nil || readOnly:
		s.logger.WarnContext(ctx, "not ready", "error", err, "read_only", readOnly)
		http.Error(w, "the database is away or read-only, or its schema is outdated", http.StatusServiceUnavailable)
	case unfilled:
		http.Error(w, "the first comparison with Clerk hasn't gone through, so that the mirror may lack members: `rolecall status` says why",
			http.StatusServiceUnavailable)
	default:
		_, _ = w.Write([]byte("ok\n")) // the caller has gone: nothing is left to do
	}
}

// othersAnswer reports whether something answers behind the URLs that callers' requests and Clerk's
// deliveries go through, where these are others than the one of the admin pool. A pool whose turn
// didn't come, because callers use all of it, answers.
func (s *Service) othersAnswer(ctx context.Context) (err error) {
	for _, other := range s.otherURLs() {
		before := other.db.Acquired()
		failed := store.Ping(ctx, other.db)
		if failed != nil && (!errors.Is(failed, context.DeadlineExceeded) || other.db.Acquired() == before) {
			err = errors.Join(err, fmt.Errorf("ask through %s: %w", other.setting, pgpool.Explain(failed)))
		}
	}
	return err
}
