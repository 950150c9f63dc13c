package service

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// openDatabases opens the pools. It refuses a database that can't serve.
func (s *Service) openDatabases(ctx context.Context, which config.Parts) (err error) {
	report, err := inspect(ctx, s.cfg, s.logger)
	if err != nil {
		return err
	}
	o := opener{cfg: s.cfg, cleanup: &s.cleanup, stats: poolStats{}, lineage: pgpool.NewLineage(s.databaseChanged), tracer: s.tracing.Queries()}
	o.lineage.Learn(report.Identity)
	if o.sizes, err = connections(ctx, s.cfg, which, report, s.logger); err != nil {
		return err
	}
	if s.pools, err = o.openPools(ctx, which); err != nil {
		return err
	}
	if err := s.checkDatabase(ctx); err != nil {
		return err
	}
	if err := migrations.Check(ctx, s.admins); err != nil {
		return err
	}
	return s.openReplicas(ctx, o, which)
}

// checkDatabase returns an error unless the database can be reached and all URLs lead to it: a
// standby could admit removed members.
func (s *Service) checkDatabase(ctx context.Context) error {
	if err := pgpool.Await(ctx, s.admins); err != nil { // it may be read-only for now: questions are still answered
		return fmt.Errorf("reach the database: %w", err)
	}
	written, err := database.NameOf(ctx, s.admins)
	if err != nil {
		return err
	}
	for _, other := range s.otherURLs() {
		at, err := database.NameOf(ctx, other.db)
		if err != nil {
			return fmt.Errorf("%s: %w", other.setting, err)
		}
		if at != written {
			return fmt.Errorf("%s is another database than %s: its data would be out of date", other.setting, s.cfg.DirectSetting())
		}
	}
	return s.checkReader(ctx)
}

// checkReader checks what the role of ROLECALL_READ_DATABASE_URL may read: earlier grants don't
// cover a view that a later migration added. It only warns of single tables, since the API doesn't
// need all of them.
func (s *Service) checkReader(ctx context.Context) error {
	if s.read == nil || s.cfg.ReadDatabaseURL == "" {
		return nil
	}
	rights, err := store.ReadRights(ctx, s.read)
	switch {
	case err != nil:
		return fmt.Errorf("look at the rights of ROLECALL_READ_DATABASE_URL: %w", err)
	case !rights.Usable:
		return fmt.Errorf("ROLECALL_READ_DATABASE_URL: the role %s may not use the schema %s", rights.Role, migrations.Schema)
	case len(rights.Unreadable) > 0:
		s.logger.WarnContext(ctx, "ROLECALL_READ_DATABASE_URL: the role lacks SELECT on some tables; API routes that need them will fail",
			"role", rights.Role, "tables", rights.Unreadable)
	}
	return nil
}
