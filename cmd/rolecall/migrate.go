package main

import (
	"context"
	"fmt"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
)

type migrateCommand struct{}

func (*migrateCommand) run(ctx context.Context, io streams) error {
	cfg, err := config.Read()
	if err != nil {
		return err
	}
	left, err := database.Migrate(ctx, cfg)
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
