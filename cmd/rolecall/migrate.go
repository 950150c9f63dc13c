package main

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
)

type migrateCommand struct{}

func (*migrateCommand) run(ctx context.Context, io streams) error {
	cfg, err := readConfig()
	if err != nil {
		return err
	}
	left, err := cfg.migrate(ctx)
	if err != nil {
		return err
	}
	if left == "" {
		fmt.Fprintln(io.out, "schema is current")
		return nil
	}
	fmt.Fprintf(io.out, "schema is current, except for what this role may not do. Let a role that may run, in this database:\n\n%s\n", left)
	return nil
}

// migrate brings the database to the current schema. It returns the statements that its role may not run; "" for none.
func (c config) migrate(ctx context.Context) (left string, err error) {
	open, err := c.direct("migrate", pgpool.Needs{Write: true})
	if err != nil {
		return "", err
	}
	report, err := pgpool.Inspect(ctx, open)
	if err != nil {
		return "", err
	}
	if err := report.Lasting(); err != nil {
		return "", err
	}
	if report.Pooler == pgpool.PoolerTransaction {
		return "", c.needsDirect()
	}
	open.MaxConns = commandConns
	pool, err := pgpool.Open(ctx, open)
	if err != nil {
		return "", err
	}
	defer pool.Close()
	if err := migrations.Up(ctx, pool); err != nil {
		return "", pgpool.Explain(err)
	}
	return migrations.Left(ctx, pool)
}

// migrate brings the database at a URL to the current schema. Which role may call the SQL functions is left to others.
func migrate(ctx context.Context, databaseURL string) error {
	_, err := config{DatabaseURL: databaseURL}.migrate(ctx)
	return err
}
