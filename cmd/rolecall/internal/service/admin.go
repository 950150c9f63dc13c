package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/callmine/rolecall/cmd/rolecall/internal/console"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// checkTimeout bounds the queries of /readyz and of a scrape.
const checkTimeout = time.Second

// startAdmin serves probes, metrics and the console, on a listener of their own that faces no
// customer.
func (s *Service) startAdmin(ctx context.Context) error {
	s.metrics.registry.MustRegister(s.health)
	listener, err := s.listen(ctx, "admin", "ROLECALL_ADMIN_ADDR", s.cfg.AdminAddr)
	if err != nil {
		return err
	}
	pages, err := s.console(listener.Addr())
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{Registry: s.metrics.registry}))
	mux.Handle("/", pages)
	s.serve("admin", listener, mux, func(h http.Handler) http.Handler { return h })
	s.cleanup.Add("console", func(context.Context) error { pages.Close(); return nil }) // before its listener ends
	s.AdminAddr = listener.Addr().String()
	return nil
}

// console wires the operators' console.
func (s *Service) console(addr net.Addr) (*console.Console, error) {
	operators, err := s.cfg.ParsedOperatorTokens()
	if err != nil {
		return nil, err
	}
	tcp, ok := addr.(*net.TCPAddr)
	return console.New(console.Config{
		Pool: s.pages, Operators: operators, Loopback: ok && tcp.IP.IsLoopback(), Situation: s.health.Situation, Own: s.own,
		Instance: s.instance.String,
		Policy: func(ctx context.Context) support.ConfiguredPolicy {
			read, err := s.cfg.Policy(ctx)
			return support.Configured(s.cfg.PolicySource(), read, err)
		},
		Logger: s.logger,
	})
}

// ready answers 200 if this process should get traffic. It must have started and not be stopping.
// The database must answer, be writable, and have a fitting schema. If this process sweeps, a first
// sweep must be over: an empty mirror would refuse all users. An overdue later sweep turns nothing
// red: answers continue, and say how old they are. Nor does something acknowledged that a failover
// lost, for the same reason, and because it would turn all processes red at once; it is named.
func (s *Service) ready(w http.ResponseWriter, r *http.Request) {
	switch { // without the database: a balancer learns it at once
	case s.draining.Load():
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	case !s.started.Load():
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	// A prober that gives up earlier must not cut a database connection in the middle of a query.
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
		_, _ = fmt.Fprint(w, "ok\n", s.lostLine(ctx)) // the caller has gone: nothing is left to do
	}
}

// lostLine names what a failover lost; "" if nothing is known to be missing.
func (s *Service) lostLine(ctx context.Context) string {
	lost, err := store.ReadLost(ctx, s.admins)
	if err != nil || !lost.Any() {
		return "" // a database that doesn't answer turns the next probe red
	}
	return health.TellLost(lost) + " after a failover; until a sweep has gone through, answers show what the database has\n"
}

// othersAnswer returns an error unless the databases behind the other pools' URLs answer. A pool
// that callers use up counts as answering.
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
