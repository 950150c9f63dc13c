package pgpool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Report is what [Inspect] finds. It has no secret.
type Report struct {
	Version    int    // such as 15_00_18
	Database   string // its name
	User       string // the role of the session
	Superuser  bool
	InRecovery bool // a standby
	ReadOnly   bool // sessions begin read-only
	Encoding   string
	Isolation  string // by default
	Commits    string // synchronous_commit, by default
	Fsync      bool
	FullPages  bool // full_page_writes
	Identity   Identity
	Pooler     Pooler

	// Limit is how many connections this role may open to this database, and Limiter what sets the
	// limit: the role, the database or max_connections. 0 means that only the server limits them,
	// and doesn't tell its limit.
	Limit   int
	Limiter string
	// InUse is how many connections count against Limit now, this one included.
	InUse int

	SchemaExists    bool // rolecall
	CanCreateSchema bool // CREATE on the database
	CanUse          bool // USAGE on the schema
	CanCreate       bool // CREATE on the schema, as migrate needs to change anything
	CanMakeRoles    bool // rolecall_reader
}

// VersionName is the version as people write it.
func (r Report) VersionName() string { return versionName(r.Version) }

// Lasting returns the reason why Rolecall can't use the database until it is changed; nil if there
// is none.
func (r Report) Lasting() error {
	return seen{version: r.Version, serverEncoding: r.Encoding, database: r.Database}.judgeDatabase()
}

// askFor bounds the queries of [Inspect] on a connection: a pooler may accept a connection for a
// server that doesn't answer.
const askFor = 5 * time.Second

// Inspect connects to the database of a configuration, changes nothing, and reports what it found.
// Of several hosts it takes the first that isn't in recovery, if there is one. Its errors are only
// those of connecting and asking. It ends within the time that the URL gives for each host (10 s by
// default) and 5 s more.
func Inspect(ctx context.Context, c Config) (Report, error) {
	c = c.withDefaults()
	cfg, err := pgconn.ParseConfig(c.URL)
	if err != nil {
		return Report{}, fmt.Errorf("%s %w", c.Setting, ErrURL)
	}
	boundConnect(cfg, 0)
	parameters := takeParameters(cfg.RuntimeParams)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+len(cfg.Fallbacks))*cfg.ConnectTimeout+askFor)
	defer cancel()
	var conn *pgconn.PgConn
	var led *pgconn.Config
	err = patiently(ctx, func() error { conn, led, err = connectPrimary(ctx, cfg); return err })
	if err != nil {
		return Report{}, fmt.Errorf("connect to Postgres (%s): %w", c.Setting, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it has nothing to lose
	if err := tryParameters(ctx, conn, c.Setting, parameters, "false"); err != nil {
		return Report{}, err
	}
	return inspect(ctx, led, conn)
}

// inspect runs all queries of a report.
func inspect(ctx context.Context, cfg *pgconn.Config, conn *pgconn.PgConn) (Report, error) {
	before := setSQL([]setting{{"statement_timeout", "'0'"}}, "false") + "; " // the context bounds it
	now, _, err := lookAsTold(ctx, conn, before, tellsAll)
	if err != nil {
		return Report{}, err
	}
	r := Report{
		Version: now.version, Database: now.database, User: now.user, InRecovery: now.inRecovery, ReadOnly: now.readOnly,
		Encoding: now.serverEncoding, Isolation: now.isolation, Commits: now.commits, Identity: now.identity,
	}
	if err := readRights(ctx, conn, &r); err != nil {
		return Report{}, err
	}
	r.Pooler, err = guessPooler(ctx, cfg, conn)
	return r, err
}

// errInRecovery makes pgx try the next host.
var errInRecovery = errors.New("the server is in recovery")

// connectPrimary connects to the first host that isn't in recovery, or else to the first that can
// be reached. It returns the configuration of that host.
func connectPrimary(ctx context.Context, cfg *pgconn.Config) (*pgconn.PgConn, *pgconn.Config, error) {
	if len(cfg.Fallbacks) == 0 {
		conn, err := pgconn.ConnectConfig(ctx, cfg)
		return conn, cfg, err
	}
	primary := cfg.Copy()
	primary.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if cfg.ValidateConnect != nil { // of target_session_attrs
			if err := cfg.ValidateConnect(ctx, conn); err != nil {
				return err
			}
		}
		return refuseRecovery(ctx, conn)
	}
	conn, err := pgconn.ConnectConfig(ctx, primary)
	if !errors.Is(err, errInRecovery) {
		return conn, primary, err
	}
	conn, err = pgconn.ConnectConfig(ctx, cfg)
	return conn, cfg, err
}

func refuseRecovery(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, "SELECT pg_is_in_recovery()").ReadAll()
	if err != nil {
		return fmt.Errorf("ask whether the server is in recovery: %w", err)
	}
	if string(results[0].Rows[0][0]) == "t" {
		return errInRecovery
	}
	return nil
}

// rightsSQL asks for the role's rights and its limit of connections. A superuser has no limit of
// its own.
const rightsSQL = `SELECT r.rolsuper, current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on',
	r.rolconnlimit, d.datconnlimit,
	current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
		- coalesce(current_setting('reserved_connections', true), '0')::int,
	(SELECT count(*) FROM pg_stat_activity a WHERE a.datid IS NOT NULL AND a.usesysid = r.oid),
	(SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid),
	(SELECT count(*) FROM pg_stat_activity a WHERE a.datid IS NOT NULL),
	n.oid IS NOT NULL, has_database_privilege(d.oid, 'CREATE'),
	coalesce(has_schema_privilege(n.oid, 'USAGE'), false), coalesce(has_schema_privilege(n.oid, 'CREATE'), false),
	r.rolsuper OR r.rolcreaterole
	FROM pg_roles r JOIN pg_database d ON d.datname = current_database() LEFT JOIN pg_namespace n ON n.nspname = 'rolecall'
	WHERE r.rolname = current_user`

func readRights(ctx context.Context, conn *pgconn.PgConn, r *Report) error {
	results, err := conn.Exec(ctx, rightsSQL).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		return fmt.Errorf("ask what the role may do: %w", err)
	}
	row := results[0].Rows[0]
	is := func(i int) bool { return string(row[i]) == "t" }
	number := func(i int) int { n, _ := strconv.Atoi(string(row[i])); return n } // an integer by the query
	r.Superuser, r.Fsync, r.FullPages = is(0), is(1), is(2)
	r.SchemaExists, r.CanCreateSchema, r.CanUse, r.CanCreate, r.CanMakeRoles = is(9), is(10), is(11), is(12), is(13)
	for _, l := range []struct {
		limit, used int
		limiter     string
		held        bool
	}{
		{number(5), number(8), "max_connections", true},
		{number(4), number(7), "the database " + r.Database, !r.Superuser},
		{number(3), number(6), "the role " + r.User, !r.Superuser},
	} {
		if l.held && l.limit >= 0 && (r.Limiter == "" || l.limit <= r.Limit) {
			r.Limit, r.InUse, r.Limiter = l.limit, l.used, l.limiter
		}
	}
	return nil
}
