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

// openDatabases opens the pools, and refuses a database that can't serve.
func (s *Service) openDatabases(ctx context.Context, which config.Parts) (err error) {
	report, err := inspect(ctx, s.cfg, s.logger)
	if err != nil {
		return err
	}
	o := opener{cfg: s.cfg, cleanup: &s.cleanup, lineage: pgpool.NewLineage(s.databaseChanged)}
	o.lineage.Learn(report.Identity)
	if o.sizes, err = connections(ctx, s.cfg, which, report, s.logger); err != nil {
		return err
	}
	s.workers = config.WorkersFor(o.sizes)
	if s.pools, err = o.openPools(ctx, which); err != nil {
		return err
	}
	if err := s.checkDatabase(ctx); err != nil {
		return err
	}
	if err := migrations.Check(ctx, s.admins); err != nil {
		return err
	}
	s.watchDatabase(ctx)
	return nil
}

// checkDatabase reports whether the database can be reached, and whether all URLs lead to the same:
// a standby would let people in who were removed.
func (s *Service) checkDatabase(ctx context.Context) error {
	if err := pgpool.Await(ctx, s.admins); err != nil { // it needn't be writable at the moment: who asks gets answers all the same
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
			return fmt.Errorf("%s is another database than %s: what it tells would be out of date", other.setting, s.cfg.DirectSetting())
		}
	}
	return s.checkReader(ctx)
}

// checkReader looks whether the role of ROLECALL_READ_DATABASE_URL may read: what was granted to it
// doesn't hold for a view that a later migration added. It only warns of single ones, since the API
// doesn't need all of them.
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
		s.logger.WarnContext(ctx, "the role of ROLECALL_READ_DATABASE_URL may not read all: what the API needs of it, it can't answer",
			"role", rights.Role, "tables", rights.Unreadable)
	}
	return nil
}
