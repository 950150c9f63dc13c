package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// database examines the database for writes: the server, the role, and the schema.
func (d *doctor) database(ctx context.Context) []Finding {
	setting := d.cfg.DirectSetting()
	if d.cfg.DirectURL() == "" || config.CheckDatabaseURL(setting, d.cfg.DirectURL()) != nil {
		return nil // the findings about settings say so
	}
	found := timed(ctx, func(ctx context.Context) []Finding {
		return d.server(ctx, setting, d.cfg.DirectURL(), pgpool.Needs{Write: true})
	})
	if found[0].State == VerdictWrong {
		return found
	}
	open, err := d.cfg.Direct("doctor", pgpool.Needs{})
	if err != nil {
		return append(found, bad(setting, "correct it", "%v", err))
	}
	open.MaxConns = 1
	if d.db, err = pgpool.Open(ctx, open); err != nil {
		return append(found, bad(setting, "correct it", "%v", err))
	}
	found = append(found, timed(ctx, d.schema)...)
	return append(found, timed(ctx, d.databaseClock)...)
}

// otherDatabases examines the other URLs.
func (d *doctor) otherDatabases(ctx context.Context) (found []Finding) {
	for _, other := range []struct {
		setting, url string
		needs        pgpool.Needs
		given        bool
	}{
		{"DATABASE_URL", d.cfg.DatabaseURL, pgpool.Needs{Write: true}, d.cfg.Pooled()},
		{"ROLECALL_READ_DATABASE_URL", d.cfg.ReadDatabaseURL, pgpool.Needs{ReadOnly: true}, d.cfg.ReadDatabaseURL != ""},
	} {
		if other.given && config.CheckDatabaseURL(other.setting, other.url) == nil {
			found = append(found, timed(ctx, func(ctx context.Context) []Finding {
				return append(d.server(ctx, other.setting, other.url, other.needs), d.sameDatabase(ctx, other.setting, other.url)...)
			})...)
		}
	}
	return found
}

// sameDatabase checks that a URL leads to the database for writes. If it can't tell, another check
// says why.
func (d *doctor) sameDatabase(ctx context.Context, setting, url string) []Finding {
	written, err := nameDatabase(ctx, d.cfg.DirectSetting(), d.cfg.DirectURL())
	if err != nil {
		return nil
	}
	if read, err := nameDatabase(ctx, setting, url); err == nil && read != written {
		return []Finding{bad(setting, "let both lead to the same database", "it is another database than %s: its data would be out of date", d.cfg.DirectSetting())}
	}
	return nil
}

// nameDatabase names the database that a URL leads to.
func nameDatabase(ctx context.Context, setting, url string) (string, error) {
	conn, err := pgpool.Connect(ctx, pgpool.Config{URL: url, Setting: setting, Name: "rolecall doctor"})
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the connection has nothing to lose
	return database.NameOf(ctx, conn)
}

// server examines the server behind a URL.
func (d *doctor) server(ctx context.Context, setting, url string, needs pgpool.Needs) []Finding {
	report, err := pgpool.Inspect(ctx, pgpool.Config{URL: url, Setting: setting, Name: "rolecall doctor"})
	if err != nil {
		return []Finding{bad(setting, "check that Postgres runs, and that host, port, user, password and database are right", "%v", pgpool.Explain(err))}
	}
	if err := report.Lasting(); err != nil {
		return []Finding{bad(setting, "use a database that Rolecall can work with", "%v", err)}
	}
	found := d.use(setting, report, needs)
	if found == nil {
		found = []Finding{fine(setting, "PostgreSQL %s, database %s, role %s, %s, pooler: %s, %s", report.VersionName(), report.Database,
			report.User, report.Encoding, report.Pooler, connectionsOf(report))}
	}
	return append(found, d.risks(setting, report, needs)...)
}

func connectionsOf(r pgpool.Report) string {
	if r.Limiter == "" {
		return "connections without a limit"
	}
	return fmt.Sprintf("%d of %d connections in use (limited by %s)", r.InUse, r.Limit, r.Limiter)
}

// use returns the faults that keep a server from meeting the needs.
func (d *doctor) use(setting string, r pgpool.Report, needs pgpool.Needs) []Finding {
	switch {
	case r.InRecovery:
		return []Finding{bad(setting, "let it lead to the primary", "it leads to a standby, which is behind and can't be written to")}
	case needs.Write && r.ReadOnly:
		return []Finding{bad(setting, "find out why sessions begin read-only (default_transaction_read_only of the role or database)", "its sessions can't write")}
	case r.Pooler == pgpool.PoolerTransaction && setting == d.cfg.DirectSetting():
		return []Finding{bad(setting, "see docs/operate.md, Use a pooler", "%v", d.cfg.NeedsDirect())}
	case !r.SchemaExists && !r.CanCreateSchema:
		return []Finding{bad(setting, fmt.Sprintf("let a role that may run CREATE SCHEMA %s AUTHORIZATION %s, then run `rolecall migrate`", migrations.Schema, r.User),
			"there is no schema %s, and the role %s may not make it", migrations.Schema, r.User)}
	case r.SchemaExists && !r.CanUse:
		return []Finding{bad(setting, fmt.Sprintf("let its owner run GRANT USAGE ON SCHEMA %s TO %s", migrations.Schema, r.User),
			"the role %s may not use the schema %s", r.User, migrations.Schema)}
	case r.Limiter != "" && r.Limit <= config.SpareConns:
		return []Finding{bad(setting, "raise the limit", "%s allows %d connections only", r.Limiter, r.Limit)}
	}
	return nil
}

// risks returns the findings about a working server that should be set up otherwise.
func (d *doctor) risks(setting string, r pgpool.Report, needs pgpool.Needs) (found []Finding) {
	if !r.Fsync || !r.FullPages {
		found = append(found, doubtful(setting, "set fsync and full_page_writes to on", "Postgres may lose committed data in a crash"))
	}
	if r.Identity.Timeline == 0 && setting == d.cfg.DirectSetting() {
		found = append(found, doubtful(setting, "see docs/scale.md, Ask what your role may read",
			"Postgres doesn't tell the role %s its timeline: a failover is only noticed if it loses what a running process acknowledged", r.User))
	}
	if r.Superuser {
		found = append(found, doubtful(setting, "give Rolecall a role of its own that owns the schema "+migrations.Schema+" and nothing else",
			"the role %s is a superuser", r.User))
	}
	wanted, _, err := d.cfg.LimitOf()
	if wanted == 0 {
		wanted = d.cfg.Usual(d.which)
	}
	if allowed := r.Limit - config.SpareConns; err == nil && setting == d.cfg.DirectSetting() && r.Limiter != "" && wanted > allowed {
		found = append(found, doubtful(setting, fmt.Sprintf("raise the limit, or set ROLECALL_MAX_CONNECTIONS to %d", allowed),
			"a serve opens up to %d connections, and %s allows %d in all", wanted, r.Limiter, r.Limit))
	}
	if needs.Write && r.SchemaExists && !r.CanCreate {
		found = append(found, doubtful(setting, "run `rolecall migrate` as the schema's owner", "the role %s can't migrate: it may not create in the schema", r.User))
	}
	return found
}

// schema compares the schema with what this binary needs.
func (d *doctor) schema(ctx context.Context) []Finding {
	if err := pgpool.Await(ctx, d.db); err != nil {
		return []Finding{bad("schema", "check that Postgres answers", "%v", err)}
	}
	if err := migrations.Check(ctx, d.db); err != nil {
		return []Finding{bad("schema", "run `rolecall migrate`", "%v", err)}
	}
	return []Finding{fine("schema", "it is what this binary needs")}
}

// The times of a session token may be off by five seconds, the time of a webhook by minutes.
const (
	clockDoubtful = 2 * time.Second
	clockWrong    = 30 * time.Second
)

// databaseClock compares this machine's clock with the database's, which sweeps use.
func (d *doctor) databaseClock(ctx context.Context) []Finding {
	before := time.Now()
	at, err := store.Now(ctx, d.db)
	if err != nil {
		return nil // another check says so
	}
	return []Finding{clockFinding("clock of Postgres", at.Sub(before.Add(time.Since(before)/2)), clockDoubtful)}
}

// clockFinding judges how far another clock is ahead.
func clockFinding(check string, ahead, doubtfulFrom time.Duration) Finding {
	const cure = "set the clocks by NTP: tokens and webhooks are judged by the time"
	off := ahead.Abs()
	text := fmt.Sprintf("it differs from this machine's by %s", off.Round(time.Millisecond))
	switch {
	case off >= clockWrong:
		return bad(check, cure, "%s", text)
	case off >= doubtfulFrom:
		return doubtful(check, cure, "%s", text)
	}
	return fine(check, "%s", text)
}
