package service

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/jobs/merge"
)

// Time-outs of sessions. docs/operate.md names those of reads.
const (
	// requestStatement is above the time that a request or a webhook may take. Callers cancel their
	// own statements; this ends those of a frozen process.
	requestStatement = 30 * time.Second
	// decideStatement is some hundred times as long as the largest decision takes, and enough for one
	// that reads everything from disk. Requests share these sessions, so none may hold one up.
	decideStatement = 3 * time.Second
	// readStatement is as long as a request takes at most. Later, no caller waits for a page any
	// more; an export reads a page at a time, too.
	readStatement = 5 * time.Second
	// consoleLock is how long a change in the console waits for a lock.
	consoleLock = 2 * time.Second
	// watchEvery is how often the service checks where the URL leads.
	watchEvery = 2 * time.Second
	// adminFresh is how long a session of the admin pool lives: less than watchEvery, so that each
	// check has a new one.
	adminFresh = watchEvery / 2
	// adminWithin bounds opening such a session, over all hosts: the next check must not wait for a
	// server that hangs.
	adminWithin = 1500 * time.Millisecond
)

// pools are all connections of a process to Postgres.
type pools struct {
	accept, decide, read, events, changes pgpool.DB
	work, queue, admins                   *pgxpool.Pool
	pages                                 *pgxpool.Pool // of the console
	replicas                              *replica.Set  // nil without any
	replicaSources                        replica.Config
	lineage                               *pgpool.Lineage
	stats                                 poolStats // of all these
}

// needsOf returns the needs of a pool's sessions.
func needsOf(pool string) pgpool.Needs {
	switch pool {
	case "accept":
		return pgpool.Needs{Write: true, ByKey: true, LockTimeout: merge.LockWait, StatementTimeout: requestStatement}
	case "work":
		return pgpool.Needs{Write: true, ByKey: true, LockTimeout: database.LockTimeout}
	case "events", "changes":
		return pgpool.Needs{Write: true, LockTimeout: database.LockTimeout, StatementTimeout: requestStatement}
	case "queue":
		// The note that a job runs needn't survive a crash of Postgres: the job then runs again.
		return pgpool.Needs{Write: true, AsyncCommit: true}
	case "console":
		// Nothing that is served waits for a page, and no page holds anything up.
		return pgpool.Needs{Write: true, LockTimeout: consoleLock, StatementTimeout: readStatement}
	case "pulses":
		return pgpool.Needs{Write: true, LockTimeout: replicaStatement, StatementTimeout: replicaStatement}
	case "decide":
		return pgpool.Needs{ReadOnly: true, ByKey: true, StatementTimeout: decideStatement}
	case "read":
		// No query of a request can change anything.
		return pgpool.Needs{ReadOnly: true, StatementTimeout: readStatement}
	default: // admin: it shows whether the database is writable
		return pgpool.Needs{StatementTimeout: requestStatement}
	}
}

// opener opens the pools of a process, each with its share of the connections.
type opener struct {
	cfg     config.Config
	sizes   map[string]int
	lineage *pgpool.Lineage
	cleanup *cleanup.Stack
	stats   poolStats
	tracer  pgx.QueryTracer
}

// config returns the configuration of a pool.
func (o opener) config(name string) pgpool.Config {
	c := pgpool.Config{
		URL: o.cfg.DirectURL(), Setting: o.cfg.DirectSetting(), Name: "rolecall " + name, Needs: needsOf(name),
		MaxConns: int32(max(1, o.sizes[name])), Lineage: o.lineage, Tracer: o.tracer, //nolint:gosec // a few hundred
	}
	switch {
	case reads(name) && o.cfg.ReadDatabaseURL != "":
		c.URL, c.Setting, c.Follows = o.cfg.ReadDatabaseURL, "ROLECALL_READ_DATABASE_URL", true
	case o.cfg.Pooled() && perTransaction(name):
		c.URL, c.Setting, c.Follows = o.cfg.DatabaseURL, "DATABASE_URL", true
	case name == "admin":
		c.Fresh, c.Within = adminFresh, adminWithin
	case name == "pulses":
		c.Within = replicaConnect
	case name == "queue":
		c.MaxConns = max(1, c.MaxConns-1) // River's listener takes one out
	}
	return c
}

// reads reports whether a pool only reads, and so is a matter of ROLECALL_READ_DATABASE_URL.
func reads(name string) bool { return name == "decide" || name == "read" }

// perTransaction reports whether a pool may run through a transaction pooler.
func perTransaction(name string) bool {
	return reads(name) || name == "accept" || name == "events" || name == "changes"
}

// session opens a pool that needs sessions.
func (o opener) session(ctx context.Context, name string) (*pgxpool.Pool, error) {
	pool, err := pgpool.Open(ctx, o.config(name))
	if err == nil {
		o.keep(name, pool)
	}
	return pool, err
}

// opened is a pool that was opened.
type opened interface {
	Stat() *pgxpool.Stat
	Close()
}

// keep measures a pool, and closes it at the end.
func (o opener) keep(name string, pool opened) {
	o.stats[name] = pool.Stat
	o.cleanup.Add(name+" pool", func(ctx context.Context) error { return closePool(ctx, pool) })
}

// statements opens a pool that may run through a transaction pooler.
func (o opener) statements(ctx context.Context, name string) (db pgpool.DB, err error) {
	if !o.cfg.Pooled() {
		pool, err := o.session(ctx, name)
		return pgpool.Pool{Pool: pool}, err
	}
	pool, err := pgpool.OpenPerTransaction(ctx, o.config(name))
	if err == nil {
		o.keep(name, pool)
	}
	return pool, err
}

// openPools opens the pools that the sides of a process need. A pool opens its first session when
// it is used.
func (o opener) openPools(ctx context.Context, which config.Parts) (p pools, err error) {
	p.lineage, p.stats = o.lineage, o.stats
	for _, pool := range []struct {
		name   string
		into   **pgxpool.Pool
		needed bool
	}{{"work", &p.work, true}, {"queue", &p.queue, which.Workers}, {"admin", &p.admins, true}, {"console", &p.pages, o.sizes["console"] > 0}} {
		if !pool.needed {
			continue
		}
		if *pool.into, err = o.session(ctx, pool.name); err != nil {
			return p, err
		}
	}
	if p.pages == nil { // no connection is left for it
		p.pages = p.work
	}
	if !which.Web {
		return p, nil
	}
	for _, pool := range []struct {
		name string
		into *pgpool.DB
	}{{"accept", &p.accept}, {"decide", &p.decide}, {"read", &p.read}, {"events", &p.events}, {"changes", &p.changes}} {
		if o.sizes[pool.name] == 0 {
			continue
		}
		if *pool.into, err = o.statements(ctx, pool.name); err != nil {
			return p, err
		}
	}
	if p.decide == nil { // no connection is left for it
		p.decide = p.read
	}
	return p, nil
}

// otherURL is a pool whose URL differs from that of the admin pool.
type otherURL struct {
	db      pgpool.DB
	setting string
}

// otherURLs returns such pools, one for each URL.
func (s *Service) otherURLs() (others []otherURL) {
	if s.read != nil && s.cfg.ReadDatabaseURL != "" {
		others = append(others, otherURL{s.read, "ROLECALL_READ_DATABASE_URL"})
	}
	if s.accept != nil && s.cfg.Pooled() {
		others = append(others, otherURL{s.accept, "DATABASE_URL"})
	}
	return others
}

// closePool waits for a pool's connections to come back, but not for ever: a database that hangs
// never answers.
func closePool(ctx context.Context, pool interface{ Close() }) error {
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
