package main

import (
	"context"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
)

// withDatabase opens the database for one command.
func withDatabase(ctx context.Context, do func(cfg config.Config, db database.DB) error) error {
	cfg, err := config.Read()
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, cfg, "command", pgpool.Needs{})
	if err != nil {
		return err
	}
	defer db.Close()
	return do(cfg, db)
}
