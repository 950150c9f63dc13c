package main

import (
	"context"
	"fmt"
	"time"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// database looks at the database that is written to: the server, the role, and the schema.
func (d *doctor) database(ctx context.Context) []finding {
	setting := d.cfg.directSetting()
	if d.cfg.directURL() == "" || checkDatabaseURL(setting, d.cfg.directURL()) != nil {
		return nil // the settings tell
	}
	found := timed(ctx, func(ctx context.Context) []finding {
		return d.server(ctx, setting, d.cfg.directURL(), pgpool.Needs{Write: true})
	})
	if found[0].State == verdictWrong {
		return found
	}
	open, err := d.cfg.direct("doctor", pgpool.Needs{})
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

// otherDatabases looks at the URLs beside the one that is written to.
func (d *doctor) otherDatabases(ctx context.Context) (found []finding) {
	for _, other := range []struct {
		setting, url string
		needs        pgpool.Needs
		given        bool
	}{
		{"DATABASE_URL", d.cfg.DatabaseURL, pgpool.Needs{Write: true}, d.cfg.pooled()},
		{"ROLECALL_READ_DATABASE_URL", d.cfg.ReadDatabaseURL, pgpool.Needs{ReadOnly: true}, d.cfg.ReadDatabaseURL != ""},
	} {
		if other.given && checkDatabaseURL(other.setting, other.url) == nil {
			found = append(found, timed(ctx, func(ctx context.Context) []finding {
				return append(d.server(ctx, other.setting, other.url, other.needs), d.sameDatabase(ctx, other.setting, other.url)...)
			})...)
		}
	}
	return found
}

// sameDatabase looks whether a URL leads to the database that is written to. Where it can't be
// told, another check says why.
func (d *doctor) sameDatabase(ctx context.Context, setting, url string) []finding {
	written, err := nameDatabase(ctx, d.cfg.directSetting(), d.cfg.directURL())
	if err != nil {
		return nil
	}
	if read, err := nameDatabase(ctx, setting, url); err == nil && read != written {
		return []finding{bad(setting, "let both lead to the same database", "it is another database than %s: what it tells would be out of date", d.cfg.directSetting())}
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
	return databaseOf(ctx, conn)
}

// server looks at what a URL leads to.
func (d *doctor) server(ctx context.Context, setting, url string, needs pgpool.Needs) []finding {
	report, err := pgpool.Inspect(ctx, pgpool.Config{URL: url, Setting: setting, Name: "rolecall doctor"})
	if err != nil {
		return []finding{bad(setting, "see that Postgres runs, and that host, port, user, password and database are right", "%v", pgpool.Explain(err))}
	}
	if err := report.Lasting(); err != nil {
		return []finding{bad(setting, "use a database that Rolecall can work with", "%v", err)}
	}
	found := d.use(setting, report, needs)
	if found == nil {
		found = []finding{fine(setting, "PostgreSQL %s, database %s, role %s, %s, pooler: %s, %s", report.VersionName(), report.Database,
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

// use returns what keeps a server from being used for what it is to be used for.
func (d *doctor) use(setting string, r pgpool.Report, needs pgpool.Needs) []finding {
	switch {
	case r.InRecovery:
		return []finding{bad(setting, "let it lead to the primary", "it leads to a standby, which is behind and can't be written to")}
	case needs.Write && r.ReadOnly:
		return []finding{bad(setting, "find out why sessions begin read-only (default_transaction_read_only of the role or database)", "its sessions can't write")}
	case r.Pooler == pgpool.PoolerTransaction && setting == d.cfg.directSetting():
		return []finding{bad(setting, "see docs/operate.md, Use a pooler", "%v", d.cfg.needsDirect())}
	case !r.SchemaExists && !r.CanCreateSchema:
		return []finding{bad(setting, fmt.Sprintf("let a role that may run CREATE SCHEMA %s AUTHORIZATION %s, then run `rolecall migrate`", migrations.Schema, r.User),
			"there is no schema %s, and the role %s may not make it", migrations.Schema, r.User)}
	case r.SchemaExists && !r.CanUse:
		return []finding{bad(setting, fmt.Sprintf("let its owner run GRANT USAGE ON SCHEMA %s TO %s", migrations.Schema, r.User),
			"the role %s may not use the schema %s", r.User, migrations.Schema)}
	case r.Limiter != "" && r.Limit <= spareConns:
		return []finding{bad(setting, "raise the limit", "%s allows %d connections only", r.Limiter, r.Limit)}
	}
	return nil
}

// risks returns what works, and should be otherwise.
func (d *doctor) risks(setting string, r pgpool.Report, needs pgpool.Needs) (found []finding) {
	if !r.Fsync || !r.FullPages {
		found = append(found, doubtful(setting, "set fsync and full_page_writes to on", "a crash of Postgres may lose what it has committed"))
	}
	if r.Superuser {
		found = append(found, doubtful(setting, "give Rolecall a role of its own that owns the schema "+migrations.Schema+" and nothing else",
			"the role %s is a superuser", r.User))
	}
	wanted, _, err := d.cfg.limitOf()
	if wanted == 0 {
		wanted = usualOf(d.which)
	}
	if allowed := r.Limit - spareConns; err == nil && setting == d.cfg.directSetting() && r.Limiter != "" && wanted > allowed {
		found = append(found, doubtful(setting, fmt.Sprintf("raise the limit, or set ROLECALL_MAX_CONNECTIONS to %d", allowed),
			"a serve opens up to %d connections, and %s allows %d in all", wanted, r.Limiter, r.Limit))
	}
	if needs.Write && r.SchemaExists && !r.CanCreate {
		found = append(found, doubtful(setting, "run `rolecall migrate` as the schema's owner", "the role %s can't migrate: it may not create in the schema", r.User))
	}
	return found
}

// schema compares the schema with what this binary needs.
func (d *doctor) schema(ctx context.Context) []finding {
	if err := pgpool.Await(ctx, d.db); err != nil {
		return []finding{bad("schema", "see that Postgres answers", "%v", err)}
	}
	if err := migrations.Check(ctx, d.db); err != nil {
		return []finding{bad("schema", "run `rolecall migrate`", "%v", err)}
	}
	return []finding{fine("schema", "it is what this binary needs")}
}

// A token's times may be five seconds off. What is signed for webhooks may be minutes off.
const (
	clockDoubtful = 2 * time.Second
	clockWrong    = 30 * time.Second
)

// databaseClock compares this machine's clock with the database's, by which sweeps go.
func (d *doctor) databaseClock(ctx context.Context) []finding {
	before := time.Now()
	at, err := store.Now(ctx, d.db)
	if err != nil {
		return nil // another check tells
	}
	return []finding{clockFinding("clock of Postgres", at.Sub(before.Add(time.Since(before)/2)), clockDoubtful)}
}

// clockFinding judges how far another clock is ahead.
func clockFinding(check string, ahead, doubtfulFrom time.Duration) finding {
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
