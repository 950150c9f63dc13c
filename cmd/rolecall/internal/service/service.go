// Package service is the whole service in one process. It wires the other packages.
//
// It guarantees that [Start] returns when all parts of the process run, or with an error and none
// of them running. [Service.Wait] returns when the process is to end. [Service.Stop] lets requests
// under way end, for a bounded time, and returns when nothing runs any more.
package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/cmd/rolecall/internal/buildinfo"
	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/presence"
	"github.com/callmine/rolecall/internal/changefeed"
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/internal/tracing"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Service is the whole service in one process.
type Service struct {
	cfg      config.Config
	logger   *slog.Logger
	metrics  *metrics
	entries  *auth.Entries
	cleanup  cleanup.Stack
	tracing  *tracing.Tracing // nil if it is off
	logKinds *logKinds
	process  store.Process     // as operators see it
	counted  presence.Counters // what operators see of its work

	pools

	policy   *policy.Keeper   // nil if the process has no web side
	clerk    *clerkapi.Client // nil without a secret key
	instance instanceID
	ownKey   atomic.Bool // the secret key is of the mirror's instance

	feed          *changefeed.Feed
	authenticator *auth.Authenticator // nil if the process has no web side
	asked         chan struct{}       // closed once Clerk was asked for the instance, or needn't be

	started   atomic.Bool // Start is over
	draining  atomic.Bool
	WebAddr   string // as bound; empty if the process has no web side
	AdminAddr string // as bound
	failed    chan error

	failovers    chan change       // to be noted in the database
	history      string            // of the database, as this process knew it last
	acknowledged jobs.Acknowledged // lately
	health       *health.Collector
	extras       Extras
}

// Extras are what a service is given beside its configuration.
type Extras struct {
	// Tracing says where traces are sent. Its zero value sends none.
	Tracing tracing.Settings
	// Web is put around the handler of the public side. Only `rolecall dev` does so. Optional.
	Web func(http.Handler) http.Handler
	// RequestsTimeout is how long a stop waits for the requests of one address. Defaults to what
	// serve needs.
	RequestsTimeout time.Duration

	// The rest is how long the service waits for others. Each defaults to what serve needs. Only
	// tests set them, whose machine may stand still for longer than that.

	LookUpTimeout time.Duration // bounds the look-ups of one request
	LearnTimeout  time.Duration // bounds one question to Clerk for the instance
	LastRequests  time.Duration // bounds a stop's wait for the first request on each new connection
}

// Start runs the service until [Service.Stop]. It fails if the configuration is wrong, the database
// can't be reached, its schema is older than this binary's, or an address is taken. /readyz is red
// until it returns.
func Start(ctx context.Context, cfg config.Config, which config.Parts, logger *slog.Logger) (*Service, error) {
	return StartWith(ctx, cfg, which, logger, Extras{})
}

// StartWith is [Start] with extras.
func StartWith(ctx context.Context, cfg config.Config, which config.Parts, logger *slog.Logger, extras Extras) (_ *Service, err error) {
	handler := request.Log(logger.Handler())
	if extras.Tracing.On() {
		handler = tracing.LogHandler(handler)
	}
	handler, kinds := limitLog(handler)
	logger = slog.New(handler)
	s := &Service{
		logKinds: kinds,
		cfg:      cfg, logger: logger, entries: auth.NewEntries(nil), failed: make(chan error, 2),
		failovers: make(chan change, 4), asked: make(chan struct{}), extras: extras,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.readSettings(ctx, which); err != nil {
		return nil, err
	}
	if err := s.startTracing(ctx); err != nil {
		return nil, err
	}
	if err := s.openDatabases(ctx, which); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(s.admins)
	s.health = health.NewCollector(s.admins, s.cfg.SweepsEvery(), s.own)
	s.watchDatabase(ctx)
	s.metrics.registry.MustRegister(newPoolCollector(s.stats))
	if err := s.startReplicas(ctx); err != nil {
		return nil, err
	}
	if err := s.startAdmin(ctx); err != nil {
		return nil, err
	}
	if err := s.startClerk(ctx); err != nil {
		return nil, err
	}
	if err := s.startPresence(ctx, which); err != nil {
		return nil, err
	}
	if err := s.startFeed(ctx, which); err != nil {
		return nil, err
	}
	if err := s.startSides(ctx, which); err != nil {
		return nil, err
	}
	s.started.Store(true)
	return s, nil
}

// startTracing begins to send traces, if a collector is set. It ends after all that it traces.
func (s *Service) startTracing(ctx context.Context) (err error) {
	s.tracing, err = tracing.Start(ctx, tracing.Config{Settings: s.extras.Tracing, Version: buildinfo.Read().Version, Logger: s.logger})
	if err == nil && s.tracing != nil {
		s.cleanup.Add("tracing", func(ctx context.Context) error { s.tracing.Stop(ctx); return nil })
	}
	return err
}

// readSettings reads the policy. Its error names every fault of the settings and the policy file.
func (s *Service) readSettings(ctx context.Context, which config.Parts) error {
	err := s.cfg.RequireServing(which)
	if which.Web {
		err = errors.Join(err, s.readPolicy(ctx))
	}
	return err
}

// startSides starts the web side and the workers. It binds the public address first: if that is
// taken, no worker has started. It serves that address last, so that HTTP ends before the workers.
func (s *Service) startSides(ctx context.Context, which config.Parts) error {
	var listener net.Listener
	var web http.Handler
	var err error
	if which.Web {
		if err := s.policy.Resume(ctx); err != nil {
			return err
		}
		if web, err = s.webHandler(); err != nil {
			return err
		}
		if s.extras.Web != nil {
			web = s.extras.Web(web)
		}
		if listener, err = s.listen(ctx, "web", "ROLECALL_LISTEN_ADDR", s.cfg.ListenAddr); err != nil {
			return err
		}
	}
	if which.Workers {
		if err := s.startWorkers(ctx); err != nil {
			return err
		}
	}
	if which.Web {
		s.serve("web", listener, web, s.watched)
		s.WebAddr = listener.Addr().String()
		s.keepPolicy(ctx) // late: a failed start must not change the answers of the database's SQL functions
		s.awaitKeys(ctx)
	}
	return nil
}

const (
	// StopTimeout bounds a stop after its delay: first requests end, then jobs, then connections.
	// docs/operate.md names it. Together with the default delay, it is below the 30 s after which
	// Kubernetes kills a process.
	StopTimeout = 24 * time.Second
	// requestsTimeout is the part of StopTimeout for requests under way: a command may take 15 s.
	// The rest is for jobs, which get 5 s to end.
	requestsTimeout = 16 * time.Second
)

// part tells balancers and consumers that this process stops.
func (s *Service) part() {
	s.draining.Store(true)
	if s.feed != nil {
		s.feed.Drain()
	}
}

// Drain turns /readyz red and keeps answering for a while, so that balancers notice and send no
// more requests. Answers tell callers to close their connections, and those who wait for changes
// are answered. Drain ends early if a listener dies.
func (s *Service) Drain() error {
	s.part()
	timer := time.NewTimer(s.cfg.StopDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-s.failed:
		return err
	}
}

// Stop ends, in reverse, everything that Start began: HTTP first, then River, then the pools.
// /readyz is red from the beginning.
func (s *Service) Stop(ctx context.Context) error {
	s.part()
	ctx, cancel := context.WithTimeout(ctx, StopTimeout)
	defer cancel()
	return s.cleanup.Run(ctx)
}

// Wait returns when ctx ends, or with an error when a listener dies. A hang-up reloads the policy.
func (s *Service) Wait(ctx context.Context, hangups <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-hangups:
			s.Reload(ctx)
		}
	}
}

func (s *Service) startWorkers(ctx context.Context) error {
	sweeper, err := s.sweeper()
	if err != nil {
		return err
	}
	w, err := jobs.NewWorkers(jobs.WorkersConfig{
		Pool: s.work, Queue: s.queue, Logger: s.logger, Retention: retention(s.cfg), Ended: s.countApplied, Pruned: s.countPruned,
		ID: s.process.ID, Sweeper: sweeper, SweepInterval: s.cfg.SweepInterval, Tracers: s.tracing.Provider(),
	})
	if err != nil {
		return err
	}
	if err := w.Start(ctx); err != nil {
		return err
	}
	s.cleanup.Add("workers", w.Stop)
	return nil
}

// retention says how long records are kept.
func retention(c config.Config) jobs.Retention {
	return jobs.Retention{
		Bodies: c.BodyRetention, Ledger: c.LedgerRetention, Sessions: c.SessionRetention, Commands: c.CommandRetention, Jobs: c.JobRetention,
		DoneJobs: c.DoneJobRetention, Audit: c.AuditRetention,
	}
}

// countApplied counts a delivery that a worker ended.
func (s *Service) countApplied(state clerksync.State, waited time.Duration) {
	s.countEnded(state)
	if state != clerksync.StateQuarantined {
		s.counted.Applied(waited)
	}
	if state == clerksync.StateApplied {
		s.feed.Nudge()
	}
}

func (s *Service) countPruned(kind jobs.Prunable, rows int) {
	s.metrics.pruned.WithLabelValues(string(kind)).Add(float64(rows))
}

func (s *Service) countEnded(state clerksync.State) {
	s.metrics.applied.WithLabelValues(string(state)).Inc()
}
