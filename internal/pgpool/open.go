package pgpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says what to open.
type Config struct {
	// URL is a Postgres URL or DSN, with any number of hosts.
	URL string
	// Setting is the name of the setting that holds the URL, for errors, which never print a URL.
	// Defaults to DATABASE_URL.
	Setting string
	// Name is the sessions' application_name.
	Name string
	// Needs says what the sessions are for.
	Needs Needs
	// MaxConns is the size of the pool. Defaults to what the URL says (pool_max_conns).
	MaxConns int32
	// Fresh is how long a session lives. The next one then shows whether the URL leads to another
	// server by now. Defaults to an hour.
	Fresh time.Duration
	// Within bounds opening a session, over all hosts of the URL. Defaults to what the URL says for
	// each host, else to 10 s for a single host, and to 2 s for each of several.
	Within time.Duration
	// Lineage is what the process knows of its database. Defaults to one of its own.
	Lineage *Lineage
	// Follows says that the URL isn't the one for writes. Only sessions of the URL for writes
	// decide which cluster is right.
	Follows bool
	// Copies says that the URL must lead to a standby, and what is known of its primary: the session
	// is refused unless the server is in recovery, of the same cluster, and reached without a pooler.
	// Such a session neither learns from the lineage of the primary nor teaches it. Optional: without
	// it, the URL must lead to a primary.
	Copies *Lineage
	// OnInfo gets what statements tell with RAISE INFO, such as the progress of a migration.
	// Defaults to nothing.
	OnInfo func(message string)
	// Tracer is told of each query. Defaults to none, which costs nothing.
	Tracer pgx.QueryTracer
}

func (c Config) withDefaults() Config {
	if c.Setting == "" {
		c.Setting = "DATABASE_URL"
	}
	if c.Lineage == nil || c.Copies != nil {
		c.Lineage = NewLineage(nil)
	}
	return c
}

// ErrURL says that a URL can't be read. It replaces the parser's own error, which would print the
// password.
var ErrURL = errors.New("is not a Postgres URL")

const (
	// connectTimeout bounds opening a session if the URL sets no time-out: a host that swallows
	// packets must not hold a place in the pool.
	connectTimeout = 10 * time.Second
	// lookAfter is how long a session may have been idle before it is looked at again.
	lookAfter = time.Second
	// lookTimeout bounds a look at an open session: a session whose server is gone never answers.
	lookTimeout = 2 * time.Second
)

// Open returns a pool. No session is opened yet.
func Open(ctx context.Context, c Config) (*pgxpool.Pool, error) {
	c = c.withDefaults()
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%s %w", c.Setting, ErrURL)
	}
	if c.OnInfo != nil {
		cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			if n.SeverityUnlocalized == "INFO" {
				c.OnInfo(n.Message)
			}
		}
	}
	c.hook(cfg, c.install(cfg.ConnConfig))
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool %s: %w", c.Name, err)
	}
	return pool, nil
}

// hook makes a pool look at its sessions before it hands them out.
func (c Config) hook(cfg *pgxpool.Config, s *sessions) {
	c.size(cfg)
	cfg.BeforeConnect = func(_ context.Context, cfg *pgx.ConnConfig) error {
		c.Lineage.leadingFirst(&cfg.Config)
		cfg.DialFunc = c.Lineage.boundCancels(cfg.DialFunc)
		return nil
	}
	cfg.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		if known := s.of(p.Conn.PgConn()); known != nil {
			known.idle = p.IdleDuration // for PrepareConn, which comes next, in the same goroutine
		}
		return false
	}
	cfg.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) { return s.usable(ctx, conn.PgConn()), nil }
}

func (c Config) size(cfg *pgxpool.Config) {
	if c.MaxConns > 0 {
		cfg.MaxConns = c.MaxConns
	}
	cfg.MinConns, cfg.MinIdleConns = min(cfg.MinConns, cfg.MaxConns), min(cfg.MinIdleConns, cfg.MaxConns)
	if c.Fresh > 0 {
		cfg.MaxConnLifetime, cfg.MaxConnLifetimeJitter = c.Fresh, 0
	}
}

// install makes a connection's configuration prepare and check its sessions.
func (c Config) install(cfg *pgx.ConnConfig) *sessions {
	s := &sessions{Config: c, parameters: takeParameters(cfg.RuntimeParams)}
	cfg.Tracer = c.Tracer
	cfg.RuntimeParams["application_name"] = c.Name
	cfg.RuntimeParams["client_encoding"] = utf8
	boundConnect(&cfg.Config, c.Within)
	c.Lineage.rememberAddresses(&cfg.Config)
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.Lineage.dial(ctx, dial, network, addr)
	}
	theirs := cfg.ValidateConnect // of target_session_attrs
	cfg.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if theirs != nil {
			if err := theirs(ctx, conn); err != nil {
				return err
			}
		}
		return s.begin(ctx, conn)
	}
	ours := cfg.OnPgError
	cfg.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return ours(conn, err) && (!c.Needs.Write || err.Code != readOnlyState)
	}
	return s
}

// Connect opens one session.
func Connect(ctx context.Context, c Config) (*pgx.Conn, error) {
	c = c.withDefaults()
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%s %w", c.Setting, ErrURL)
	}
	c.install(cfg)
	c.Lineage.leadingFirst(&cfg.Config)
	var conn *pgx.Conn
	err = patiently(ctx, func() error { conn, err = pgx.ConnectConfig(ctx, cfg); return err })
	if err != nil {
		return nil, Explain(fmt.Errorf("connect to Postgres (%s): %w", c.Setting, err))
	}
	return conn, nil
}

// Explain returns the refusal inside an error of connecting, which is a plain sentence, or else the
// error.
func Explain(err error) error {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused
	}
	return err
}
