package service

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
)

// openDatabases opens the pools, and refuses a database that can't serve.
func (p *Service) openDatabases(ctx context.Context, which config.Parts) (err error) {
	report, err := inspect(ctx, p.cfg, p.logger)
	if err != nil {
		return err
	}
	o := opener{cfg: p.cfg, cleanup: &p.cleanup, lineage: pgpool.NewLineage(p.databaseChanged)}
	o.lineage.Learn(report.Identity)
	if o.sizes, err = connections(ctx, p.cfg, which, report, p.logger); err != nil {
		return err
	}
	p.workers = config.WorkersFor(o.sizes)
	if p.pools, err = o.openPools(ctx, which); err != nil {
		return err
	}
	if err := p.checkDatabase(ctx); err != nil {
		return err
	}
	if err := migrations.Check(ctx, p.admins); err != nil {
		return err
	}
	p.watchDatabase(ctx)
	return nil
}

// checkDatabase reports whether the database can be reached, and whether all URLs lead to the same: a standby would let people in
// who were removed.
func (p *Service) checkDatabase(ctx context.Context) error {
	if err := pgpool.Await(ctx, p.admins); err != nil { // it needn't be writable at the moment: who asks gets answers all the same
		return fmt.Errorf("reach the database: %w", err)
	}
	written, err := database.NameOf(ctx, p.admins)
	if err != nil {
		return err
	}
	for _, other := range p.otherURLs() {
		at, err := database.NameOf(ctx, other.db)
		if err != nil {
			return fmt.Errorf("%s: %w", other.setting, err)
		}
		if at != written {
			return fmt.Errorf("%s is another database than %s: what it tells would be out of date", other.setting, p.cfg.DirectSetting())
		}
	}
	return p.checkReader(ctx)
}

// checkReader looks whether the role of ROLECALL_READ_DATABASE_URL may read: what was granted to it doesn't hold for a view that a
// later migration added. It only warns of single ones, since the API doesn't need all of them.
func (p *Service) checkReader(ctx context.Context) error {
	if p.read == nil || p.cfg.ReadDatabaseURL == "" {
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
