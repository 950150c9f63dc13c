package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/internal/pgpool"
)

// Sizes of the pools, those of the sides that a process runs together the default of ROLECALL_MAX_CONNECTIONS. Accepting, working and reading have one each, so that a
// flood of one starves no other.
const (
	acceptConns = 4
	workers     = 8
	workConns   = workers + 14 // and revocations, what is held up, taking over, upkeep, a sweep, refreshing on miss
	queueConns  = 6            // River's fetching and upkeep, and its listener, which leaves the pool
	readConns   = 16
	eventConns  = 4 // services' entries of the audit log
	changeConns = 4 // commands
	adminConns  = 2 // so that a busy API turns nothing red; also what notices a failover

	// workLeast is enough for a worker, a sweep and two jobs that wait for something, and leaves one to what takes access away.
	workLeast = 5

	// spareConns are left to others where the role's own limit is what binds: for rolecall status, and psql.
	spareConns = 2
	// poolerConns is what a process opens through a pooler for sessions, unless it is told: pgbouncer has 20 servers for each
	// role and database, unless that is told otherwise.
	poolerConns = 18
	// commandConns is what a subcommand opens at most: one to work on, and one that holds the lock of a sweep.
	commandConns = 2
)

// shares are how the pools divide the connections of a process.
func shares(which parts) []pgpool.Share {
	all := []pgpool.Share{{Name: "admin", Least: 1, Usual: adminConns}, {Name: "work", Least: workLeast, Usual: workConns}}
	if which.workers {
		all = append(all, pgpool.Share{Name: "queue", Least: 2, Usual: queueConns})
	}
	if which.web {
		all = append(all, pgpool.Share{Name: "accept", Least: 1, Usual: acceptConns}, pgpool.Share{Name: "read", Least: 1, Usual: readConns},
			pgpool.Share{Name: "events", Least: 1, Usual: eventConns}, pgpool.Share{Name: "changes", Least: 1, Usual: changeConns})
	}
	return all
}

// Time-outs of sessions. Callers end their statements by themselves; these are for a process that stands still.
const (
	// lockTimeout makes whoever waits longer for a lock give up and try again, or have its caller do so, so that a locked row holds few
	// workers, and the log of one workspace no other one's events.
	lockTimeout = time.Second
	// requestStatement is above what a request or a webhook may take.
	requestStatement = 30 * time.Second
	// watchEvery is how often it is looked where the URL leads by now.
	watchEvery = 2 * time.Second
	// adminFresh is how long a session of the admin pool lives: less than from one look to the next, so that each has a new one.
	adminFresh = watchEvery / 2
)

// pools are all connections of a process with Postgres.
type pools struct {
	accept, read, events, changes pgpool.DB
	work, queue, admins           *pgxpool.Pool
	lineage                       *pgpool.Lineage
}

// Each session's needs, by the name of its pool.
func needsOf(pool string) pgpool.Needs {
	switch pool {
	case "accept":
		return pgpool.Needs{Write: true, StatementTimeout: requestStatement}
	case "work":
		return pgpool.Needs{Write: true, LockTimeout: lockTimeout}
	case "events", "changes":
		return pgpool.Needs{Write: true, LockTimeout: lockTimeout, StatementTimeout: requestStatement}
	case "queue":
		// That a job is being worked needn't survive a crash of Postgres: it is then worked again.
		return pgpool.Needs{Write: true, AsyncCommit: true}
	case "read":
		// Whatever a request makes of a query, it can't change anything.
		return pgpool.Needs{ReadOnly: true, StatementTimeout: requestStatement}
	default: // admin: it tells whether the database can be written to
		return pgpool.Needs{StatementTimeout: requestStatement}
	}
}

// opener opens the pools of a process, each with its part of the connections.
type opener struct {
	cfg     config
	sizes   map[string]int
	lineage *pgpool.Lineage
	cleanup *cleanup
}

// config is what a pool is opened with.
func (o opener) config(name string) pgpool.Config {
	c := pgpool.Config{
		URL: o.cfg.directURL(), Setting: o.cfg.directSetting(), Name: "rolecall " + name, Needs: needsOf(name),
		MaxConns: int32(max(1, o.sizes[name])), Lineage: o.lineage, //nolint:gosec // a few hundred
	}
	switch {
	case name == "read" && o.cfg.ReadDatabaseURL != "":
		c.URL, c.Setting, c.Follows = o.cfg.ReadDatabaseURL, "ROLECALL_READ_DATABASE_URL", true
	case o.cfg.pooled() && perTransaction(name):
		c.URL, c.Setting, c.Follows = o.cfg.DatabaseURL, "DATABASE_URL", true
	case name == "admin":
		c.Fresh = adminFresh
	case name == "queue":
		c.MaxConns = max(1, c.MaxConns-1) // River's listener takes one out
	}
	return c
}

// perTransaction reports whether a pool needs nothing of a session.
func perTransaction(name string) bool {
	return name == "accept" || name == "read" || name == "events" || name == "changes"
}

// session opens a pool that needs sessions.
func (o opener) session(ctx context.Context, name string) (*pgxpool.Pool, error) {
	pool, err := pgpool.Open(ctx, o.config(name))
	if err == nil {
		o.cleanup.add(name+" pool", func(ctx context.Context) error { return closePool(ctx, pool) })
	}
	return pool, err
}

// statements opens a pool that needs nothing of a session.
func (o opener) statements(ctx context.Context, name string) (db pgpool.DB, err error) {
	if !o.cfg.pooled() {
		pool, err := o.session(ctx, name)
		return pgpool.Pool{Pool: pool}, err
	}
	pool, err := pgpool.OpenPerTransaction(ctx, o.config(name))
	if err == nil {
		o.cleanup.add(name+" pool", func(ctx context.Context) error { return closePool(ctx, pool) })
	}
	return pool, err
}

// openPools opens what the sides of a process need. No session is opened before the first is used.
func (o opener) openPools(ctx context.Context, which parts) (p pools, err error) {
	p.lineage = o.lineage
	for _, pool := range []struct {
		name   string
		into   **pgxpool.Pool
		needed bool
	}{{"work", &p.work, true}, {"queue", &p.queue, which.workers}, {"admin", &p.admins, true}} {
		if !pool.needed {
			continue
		}
		if *pool.into, err = o.session(ctx, pool.name); err != nil {
			return p, err
		}
	}
	if !which.web {
		return p, nil
	}
	for _, pool := range []struct {
		name string
		into *pgpool.DB
	}{{"accept", &p.accept}, {"read", &p.read}, {"events", &p.events}, {"changes", &p.changes}} {
		if *pool.into, err = o.statements(ctx, pool.name); err != nil {
			return p, err
		}
	}
	return p, nil
}

// otherURL is a pool that is opened with another URL than that of the admin pool.
type otherURL struct {
	db      pgpool.DB
	setting string
}

// otherURLs are those pools, one for each URL.
func (p *program) otherURLs() (others []otherURL) {
	if p.read != nil && p.cfg.ReadDatabaseURL != "" {
		others = append(others, otherURL{p.read, "ROLECALL_READ_DATABASE_URL"})
	}
	if p.accept != nil && p.cfg.pooled() {
		others = append(others, otherURL{p.accept, "DATABASE_URL"})
	}
	return others
}

// closePool waits for a pool's connections to come back, but not for ever: a database that hangs never answers.
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

// pooled reports whether DATABASE_URL may lead to a pooler that gives a server to each transaction.
func (c config) pooled() bool { return c.DirectDatabaseURL != "" }

// directURL leads to Postgres itself, or to a pooler that gives a server to each client.
func (c config) directURL() string {
	if c.pooled() {
		return c.DirectDatabaseURL
	}
	return c.DatabaseURL
}

func (c config) directSetting() string {
	if c.pooled() {
		return "ROLECALL_DIRECT_DATABASE_URL"
	}
	return "DATABASE_URL"
}

// direct is what a subcommand opens its sessions with.
func (c config) direct(name string, needs pgpool.Needs) (pgpool.Config, error) {
	if c.directURL() == "" {
		return pgpool.Config{}, errors.New("DATABASE_URL is missing: the Postgres to use")
	}
	return pgpool.Config{URL: c.directURL(), Setting: c.directSetting(), Name: "rolecall " + name, Needs: needs}, nil
}

// limitOf returns how many connections a process may open at most, as it is told: by the setting or, if that is empty, by the URL. 0
// if it isn't.
func (c config) limitOf() (int, string, error) {
	if c.MaxConnections > 0 {
		return c.MaxConnections, "ROLECALL_MAX_CONNECTIONS", nil
	}
	n, err := pgpool.MaxConnsOf(c.directURL())
	if err != nil {
		return 0, "", fmt.Errorf("%s %w", c.directSetting(), err)
	}
	return n, "pool_max_conns in " + c.directSetting(), nil
}
