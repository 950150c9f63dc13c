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
	left, err := database.Migrate(ctx, cfg, func(line string) { fmt.Fprintln(io.out, line) })
	if err != nil {
		return err
	}
	if left == "" {
		fmt.Fprintln(io.out, "schema is current")
		return nil
	}
	fmt.Fprintf(io.out, "schema is current, except for statements that this role may not run. Let another role run them in this database:\n\n%s\n", left)
	return nil
}
