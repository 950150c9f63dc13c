package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/database"
	"github.com/callmine/rolecall/internal/pgpool"
)

// withLedger opens the database for one command.
func withLedger(ctx context.Context, do func(cfg config.Config, db *pgxpool.Pool) error) error {
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
