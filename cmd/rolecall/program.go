package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/jobs"
	"github.com/callmine/rolecall/migrations"
	clerksync "github.com/callmine/rolecall/sync"
	"github.com/callmine/rolecall/webhooks"
)

// Sizes of the pools. Accepting, working and reading have one each, so that a flood of one starves no other.
const (
	acceptConns = 4
	workers     = 8
	workConns   = workers + 10 // and revocations, taking over, upkeep, a sweep, refreshing on miss
	queueConns  = 6            // River's fetching, upkeep and listener
	readConns   = 16
	eventConns  = 4 // services' entries of the audit log
	changeConns = 4 // commands
	adminConns  = 2 // so that a busy API turns nothing red
)

// program is the whole service in one process.
type program struct {
	cfg     config
	logger  *slog.Logger
	metrics *metrics
	cleanup cleanup

	accept, work, queue, read, events, changes, admins *pgxpool.Pool

	policy   *policyKeeper    // nil if the program has no web side
	clerk    *clerkapi.Client // nil without a secret key
	instance instanceID
	ownKey   atomic.Bool // the secret key is of the mirror's instance

	authenticator *api.Authenticator // nil if the program has no web side
	asked         chan struct{}      // closed once Clerk was asked for the instance, or there is no need to

	started  atomic.Bool // everything runs that this process is to run
	draining atomic.Bool
	webAddr  string // as bound; empty if the program has no web side
	admin    string // as bound
	failed   chan error
}

// parts says which sides of the service a process runs.
type parts struct{ web, workers bool }

// start runs the service until stop. It fails if the configuration is wrong, the database can't be reached, its schema is
// older than this binary's, or an address is taken. /readyz is red until it returns.
func start(ctx context.Context, cfg config, which parts, logger *slog.Logger) (_ *program, err error) {
	p := &program{cfg: cfg, logger: logger, failed: make(chan error, 2), asked: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := p.readSettings(ctx, which); err != nil {
		return nil, err
	}
	if err := p.openPools(ctx); err != nil {
		return nil, err
	}
	if err := migrations.Check(ctx, p.admins); err != nil {
		return nil, err
	}
	p.metrics = newMetrics(p.admins)
	if err := p.startAdmin(ctx); err != nil {
		return nil, err
	}
	if err := p.startClerk(ctx); err != nil {
		return nil, err
	}
	if err := p.startSides(ctx, which); err != nil {
		return nil, err
	}
	p.started.Store(true)
	return p, nil
}

// readSettings reports everything that is wrong with the settings and the policy file, at once.
func (p *program) readSettings(ctx context.Context, which parts) error {
	err := p.cfg.requireServing(which)
	if which.web {
		err = errors.Join(err, p.readPolicy(ctx))
	}
	return err
}

// startSides starts what the process is for. The public address is bound first: where it is taken, nothing has worked. It is
// served last, so that HTTP ends before the workers do.
func (p *program) startSides(ctx context.Context, which parts) error {
	var listener net.Listener
	var web http.Handler
	var err error
	if which.web {
		if web, err = p.webHandler(); err != nil {
			return err
		}
		if listener, err = p.listen(ctx, "web", "ROLECALL_LISTEN_ADDR", p.cfg.ListenAddr); err != nil {
			return err
		}
	}
	if which.workers {
		if err := p.startWorkers(ctx); err != nil {
			return err
		}
	}
	if which.web {
		p.serve("web", listener, web)
		p.webAddr = listener.Addr().String()
		p.keepPolicy(ctx) // late: a start that fails has changed nothing that the database's SQL functions answer
		p.awaitKeys(ctx)
	}
	return nil
}

const (
	// stopTimeout bounds stopping, after the delay: requests, then jobs, then connections. README tells it to operators.
	stopTimeout = 20 * time.Second
	// requestsTimeout is the part of it that requests under way may take. The rest is the jobs', which get 5 s to end.
	requestsTimeout = 12 * time.Second
)

// drain turns /readyz red and goes on answering for a while, so that balancers see it and send nothing more. Answers tell
// callers to close their connections. It ends early if a listener dies.
func (p *program) drain() error {
	p.draining.Store(true)
	timer := time.NewTimer(p.cfg.StopDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-p.failed:
		return err
	}
}

// stop ends what start began in reverse: HTTP first, then River, then the pools. /readyz is red from the beginning.
func (p *program) stop(ctx context.Context) error {
	p.draining.Store(true)
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return p.cleanup.run(ctx)
}

// wait returns when ctx ends, or with an error when a listener dies. A hang-up has the policy read anew.
func (p *program) wait(ctx context.Context, hangups <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-p.failed:
			return err
		case <-hangups:
			p.reload(ctx)
		}
	}
}

func (p *program) openPools(ctx context.Context) error {
	for _, pool := range []struct {
		name string
		into **pgxpool.Pool
		size int32
	}{
		{"accept", &p.accept, acceptConns},
		{"work", &p.work, workConns},
		{"queue", &p.queue, queueConns},
		{"read", &p.read, readConns},
		{"events", &p.events, eventConns},
		{"changes", &p.changes, changeConns},
		{"admin", &p.admins, adminConns},
	} {
		name, url := "DATABASE_URL", p.cfg.DatabaseURL
		if pool.into == &p.read && p.cfg.ReadDatabaseURL != "" {
			name, url = "ROLECALL_READ_DATABASE_URL", p.cfg.ReadDatabaseURL
		}
		cfg, err := pgxpool.ParseConfig(url)
		if err != nil {
			return fmt.Errorf("%s is not a Postgres URL", name) // the error itself would print the URL
		}
		cfg.MaxConns = pool.size
		cfg.ConnConfig.RuntimeParams["application_name"] = "rolecall " + pool.name
		if pool.into == &p.work || pool.into == &p.events || pool.into == &p.changes {
			// Whoever waits longer for somebody's lock gives up and tries again, or has its caller do so, so that a locked row
			// holds few workers, and the log of one workspace no other one's events.
			cfg.ConnConfig.RuntimeParams["lock_timeout"] = "1s"
		}
		if pool.into == &p.read {
			// Whatever a request makes of a query, it can't change anything.
			cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
		}
		if pool.into == &p.queue {
			// That a job is being worked needn't survive a crash of Postgres: it is then worked again.
			cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
		}
		opened, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return fmt.Errorf("open pool %s: %w", pool.name, err)
		}
		*pool.into = opened
		p.cleanup.add(pool.name+" pool", func(ctx context.Context) error { return closePool(ctx, opened) })
	}
	return p.checkDatabase(ctx)
}

// checkDatabase reports whether the database can be reached, and whether what is read from it is what is written to it: a
// standby would let people in who were removed.
func (p *program) checkDatabase(ctx context.Context) error {
	var read, written string
	for _, db := range []struct {
		pool *pgxpool.Pool
		into *string
	}{{p.read, &read}, {p.work, &written}} {
		err := db.pool.QueryRow(ctx, `SELECT concat(oid, ' of the server of ', extract(epoch FROM pg_postmaster_start_time()))
			FROM pg_database WHERE datname = current_database()`).Scan(db.into)
		if err != nil {
			return fmt.Errorf("reach the database: %w", err)
		}
	}
	if read != written {
		return errors.New("ROLECALL_READ_DATABASE_URL is another database than DATABASE_URL: what it tells would be out of date")
	}
	return p.checkReader(ctx)
}

// checkReader looks whether the role of ROLECALL_READ_DATABASE_URL may read: what was granted to it doesn't hold for a view that a
// later migration added. It only warns of single ones, since the API doesn't need all of them.
func (p *program) checkReader(ctx context.Context) error {
	if p.cfg.ReadDatabaseURL == "" {
		return nil
	}
	var role string
	var usable bool
	var unreadable []string
	err := p.read.QueryRow(ctx, `SELECT current_user::text, coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE')), true),
			array_agg(c.relname::text ORDER BY c.relname) FILTER (WHERE NOT has_table_privilege(c.oid, 'SELECT'))
		FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
		WHERE n.nspname = $1 AND c.relkind IN ('r', 'v') AND c.relname NOT LIKE 'river%' AND c.relname <> 'goose_db_version'`,
		migrations.Schema).Scan(&role, &usable, &unreadable)
	switch {
	case err != nil:
		return fmt.Errorf("look at the rights of ROLECALL_READ_DATABASE_URL: %w", err)
	case !usable:
		return fmt.Errorf("ROLECALL_READ_DATABASE_URL: the role %s may not use the schema %s", role, migrations.Schema)
	case len(unreadable) > 0:
		p.logger.WarnContext(ctx, "the role of ROLECALL_READ_DATABASE_URL may not read all: what the API needs of it, it can't answer",
			"role", role, "tables", unreadable)
	}
	return nil
}

// closePool waits for a pool's connections to come back, but not for ever: a database that hangs never answers.
func closePool(ctx context.Context, pool *pgxpool.Pool) error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *program) startWorkers(ctx context.Context) error {
	sweeper, err := p.sweeper()
	if err != nil {
		return err
	}
	w, err := jobs.NewWorkers(jobs.WorkersConfig{
		Pool: p.work, Queue: p.queue, MaxWorkers: workers, Logger: p.logger, BodyRetention: p.cfg.BodyRetention, Ended: p.countEnded,
		Sweeper: sweeper, SweepInterval: p.cfg.SweepInterval,
	})
	if err != nil {
		return err
	}
	if err := w.Start(ctx); err != nil {
		return err
	}
	p.cleanup.add("workers", w.Stop)
	return nil
}

func (p *program) countEnded(state clerksync.State) {
	p.metrics.applied.WithLabelValues(string(state)).Inc()
}

// webHandler wires the two public sides: webhooks in, answers out.
func (p *program) webHandler() (http.Handler, error) {
	verifier, err := p.cfg.verifier()
	if err != nil {
		return nil, err
	}
	inbox, err := jobs.NewInbox(jobs.InboxConfig{Pool: p.accept, InstanceID: p.instance.String, Logger: p.logger, Ended: p.countEnded})
	if err != nil {
		return nil, err
	}
	p.cleanup.add("inbox", func(context.Context) error { inbox.Stop(); return nil })
	receive, err := webhooks.NewHandler(webhooks.Config{
		Verifier: verifier, Inbox: inbox, Logger: p.logger,
		Observe: func(o webhooks.Outcome, took time.Duration) {
			p.metrics.deliveries.WithLabelValues(string(o)).Inc()
			if o.Committed() {
				p.metrics.accept.Observe(took.Seconds())
			}
		},
	})
	if err != nil {
		return nil, err
	}
	answer, err := p.apiHandler()
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/webhooks/clerk" {
			p.awaitInstance(r.Context())
			receive.ServeHTTP(w, r)
			return
		}
		answer.ServeHTTP(w, r)
	}), nil
}

func (p *program) apiHandler() (http.Handler, error) {
	services, err := p.cfg.serviceTokens()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	authenticator, err := api.NewAuthenticator(api.AuthenticatorConfig{
		Issuer: p.cfg.Issuer, JWKSURL: p.cfg.JWKSURL, AuthorizedParties: p.cfg.AuthorizedParties, ServiceTokens: services,
		HTTPClient: &http.Client{Transport: transport}, Logger: p.logger,
	})
	if err != nil {
		return nil, fmt.Errorf("CLERK_ISSUER, CLERK_JWKS_URL: %w", err)
	}
	p.authenticator = authenticator
	p.cleanup.add("authenticator", func(context.Context) error {
		authenticator.Close()
		transport.CloseIdleConnections()
		return nil
	})
	cfg := api.Config{
		DB: p.read, EventDB: p.events, Authenticator: authenticator, Grants: p.policy.grants, Logger: p.logger,
		Decided:   func(r clerksync.Reason) { p.metrics.decisions.WithLabelValues(string(r)).Inc() },
		Refused:   func(r api.AuthReason) { p.metrics.refused.WithLabelValues(string(r)).Inc() },
		Refreshed: func(o api.RefreshOutcome) { p.metrics.refreshed.WithLabelValues(string(o)).Inc() },
	}
	if p.clerk != nil {
		if cfg.Refresher, err = p.refresher(); err != nil {
			return nil, err
		}
		if cfg.Commander, err = p.commander(); err != nil {
			return nil, err
		}
	}
	return api.NewHandler(cfg)
}

// Limits of the listeners: above what Clerk and the API need, and low enough that a slow caller holds nothing for long.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // Clerk's own limit for a delivery
	writeTimeout      = 20 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// listen binds an address. A connection that comes before [program.serve] waits.
func (p *program) listen(ctx context.Context, name, setting, addr string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %s: %w: end the process that listens there, or choose another address", name, setting, err)
	}
	p.cleanup.add(name+" address", func(context.Context) error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) { // by its server
			return err
		}
		return nil
	})
	return listener, nil
}

// serve answers in the background.
func (p *program) serve(name string, listener net.Listener, handler http.Handler) {
	traffic := newTraffic()
	server := &http.Server{
		Handler: p.parting(handler), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ConnState: traffic.note,
		ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelWarn),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			p.failed <- fmt.Errorf("serve %s: %w", name, err)
		}
	}()
	p.cleanup.add(name+" listener", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestsTimeout)
		defer cancel()
		_ = listener.Close() // a refused connection is tried elsewhere
		traffic.settle(ctx)
		err := server.Shutdown(ctx)
		if errors.Is(err, net.ErrClosed) { // by us
			err = nil
		}
		if err != nil {
			err = errors.Join(err, server.Close()) // requests that outlive the deadline are cut
		}
		<-done
		return err
	})
}

// parting has each answer of a process that is about to stop close its connection: the caller's next one finds another
// process. A server's own SetKeepAlivesEnabled would cut idle connections on which a request may be on its way.
func (p *program) parting(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}
