package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/internal/pgpool"
)

// withLedger opens the database for one command.
func withLedger(ctx context.Context, do func(cfg config, db *pgxpool.Pool) error) error {
	cfg, err := readConfig()
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg, "command", pgpool.Needs{})
	if err != nil {
		return err
	}
	defer db.Close()
	return do(cfg, db)
}
