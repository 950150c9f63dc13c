// Package database opens and migrates Postgres, and says which database it is and whose mirror it
// holds.
//
// It guarantees that a database which [Open] returns has been reached, and has the schema that this
// binary needs.
package database

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// maxConns is what a subcommand opens at most: one to work on, and one that holds the lock of a
// sweep.
const maxConns = 2

// DB is the database as one subcommand uses it.
type DB struct{ *pgxpool.Pool }

// Snapshot has read see one moment, and change nothing.
func (db DB) Snapshot(ctx context.Context, read func(store.DBTX) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, db.Pool, options, func(tx pgx.Tx) error { return read(tx) })
}

// Open opens the database, whose schema must be current, for one command. The caller closes it.
func Open(ctx context.Context, cfg config.Config, command string, needs pgpool.Needs) (DB, error) {
	open, err := cfg.Direct(command, needs)
	if err != nil {
		return DB{}, err
	}
	open.MaxConns = maxConns
	db, err := pgpool.Open(ctx, open)
	if err != nil {
		return DB{}, err
	}
	if err := pgpool.Await(ctx, db); err != nil {
		db.Close()
		return DB{}, fmt.Errorf("reach the database: %w", err)
	}
	if err := migrations.Check(ctx, db); err != nil {
		db.Close()
		return DB{}, err
	}
	return DB{db}, nil
}

// Migrate brings the database to the current schema. It returns the statements that its role may
// not run; "" for none.
func Migrate(ctx context.Context, cfg config.Config) (left string, err error) {
	open, err := cfg.Direct("migrate", pgpool.Needs{Write: true})
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
		return "", cfg.NeedsDirect()
	}
	open.MaxConns = maxConns
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

// MigrateURL brings the database at a URL to the current schema. Which role may call the SQL
// functions is left to others.
func MigrateURL(ctx context.Context, databaseURL string) error {
	_, err := Migrate(ctx, config.Config{DatabaseURL: databaseURL})
	return err
}

// Instance returns the Clerk instance that the mirror is of; "" if nobody knows.
func Instance(ctx context.Context, cfg config.Config, db store.DBTX) (string, error) {
	if cfg.InstanceID != "" {
		return cfg.InstanceID, nil
	}
	return store.KnownInstance(ctx, db)
}

// LockTimeout makes whoever waits longer for a lock give up and try again, or have its caller do
// so, so that a locked row holds few workers, and the log of one workspace no other one's events.
const LockTimeout = time.Second

// SweepNeeds are of the command's sessions: whoever waits longer for a lock gives up and tries
// again, as the workers of serve do.
func SweepNeeds() pgpool.Needs { return pgpool.Needs{Write: true, LockTimeout: LockTimeout} }

// NameOf names a database of all databases.
func NameOf(ctx context.Context, db store.DBTX) (name string, err error) {
	if name, err = store.DatabaseName(ctx, db); err != nil {
		return "", fmt.Errorf("reach the database: %w", pgpool.Explain(err))
	}
	return name, nil
}
