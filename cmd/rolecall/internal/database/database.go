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
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// maxConns is the most connections of a subcommand: one for its work, and one that holds a sweep's
// lock.
const maxConns = 2

// DB is the database as one subcommand uses it.
type DB struct{ *pgxpool.Pool }

// Snapshot runs read in a read-only transaction that sees one moment.
func (db DB) Snapshot(ctx context.Context, read func(store.DBTX) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, db.Pool, options, func(tx pgx.Tx) error { return read(tx) })
}

// Open opens the database for one command. It refuses a schema that isn't current. The caller
// closes the database.
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

// Migrate brings the database to the current schema, and tells its progress if that takes long. It
// returns the statements that the role may not run; "" for none.
func Migrate(ctx context.Context, cfg config.Config, progress func(string)) (left string, err error) {
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
	open.MaxConns, open.OnInfo = maxConns, progress
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

// MigrateURL brings the database at a URL to the current schema. It drops the statements that the
// role may not run.
func MigrateURL(ctx context.Context, databaseURL string) error {
	_, err := Migrate(ctx, config.Config{DatabaseURL: databaseURL}, nil)
	return err
}

// Instance returns the mirror's Clerk instance; "" if it isn't known.
func Instance(ctx context.Context, cfg config.Config, db store.DBTX) (string, error) {
	if cfg.InstanceID != "" {
		return cfg.InstanceID, nil
	}
	return store.KnownInstance(ctx, db)
}

// LockTimeout is how long a session waits for a lock. Then it gives up, and it or its caller tries
// again. So a locked row holds few workers, and one workspace's locked log holds up no other
// workspace.
const LockTimeout = time.Second

// SweepNeeds returns the needs of the sessions of a sweeping command. They wait for locks as long
// as the workers of serve.
func SweepNeeds() pgpool.Needs {
	return pgpool.Needs{Write: true, ByKey: true, LockTimeout: LockTimeout}
}

// NameOf returns a name of the database that no other database has.
func NameOf(ctx context.Context, db store.DBTX) (name string, err error) {
	if name, err = store.DatabaseName(ctx, db); err != nil {
		return "", fmt.Errorf("reach the database: %w", pgpool.Explain(err))
	}
	return name, nil
}

// LeaseCalls returns the place where all clients that call Clerk for this mirror lease their calls.
func LeaseCalls(db store.DBTX) clerkapi.Lease {
	return func(ctx context.Context, d clerksync.CallDemand) (clerksync.CallLease, error) {
		return store.LeaseCalls(ctx, db, d)
	}
}
