// Package migrations holds the database schema of Rolecall, and brings a database to it.
//
// It guarantees that any number of instances may call [Up] at once. [Check] recognizes a database
// whose schema is older than this binary needs. Everything is in the schema "rolecall", River's
// tables included.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Schema is the Postgres schema that all tables live in.
const Schema = "rolecall"

// advisoryLock serializes instances that migrate at once. The number is arbitrary; it must never
// change.
const advisoryLock = 0x726f6c6563616c6c // "rolecall"

var (
	// ErrOutdated is returned by [Check] if the database's schema is older than this binary needs.
	ErrOutdated = errors.New("database schema is outdated: run `rolecall migrate`")
	// ErrNoSchema is returned by [Check] if the database was never migrated.
	ErrNoSchema = errors.New("there is no schema `rolecall` in the database yet: run `rolecall migrate`")
)

//go:embed 0*.sql
var files embed.FS

// Up brings the database to the schema that this binary was built for: Rolecall's own migrations
// first, then River's. Meanwhile it holds an advisory lock, on a connection of its own. So several
// instances may call it at once, and a pool of one connection is enough.
func Up(ctx context.Context, pool *pgxpool.Pool) (err error) {
	lock, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	// Closing the connection releases the lock, also when ctx has ended.
	defer func() { err = errors.Join(err, lock.Close(context.WithoutCancel(ctx))) }()
	if err := lockMigrations(ctx, lock); err != nil {
		return err
	}
	if err := createSchema(ctx, lock); err != nil {
		return err
	}
	if err := Check(ctx, lock); !outdated(err) { // no migration is left, so the role needs no right to change the schema
		return errors.Join(err, completeReader(ctx, lock))
	}
	if err := needsCreate(ctx, lock); err != nil {
		return err
	}
	if err := upOwn(ctx, pool); err != nil {
		return err
	}
	river, err := riverMigrator(pool)
	if err != nil {
		return err
	}
	if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate River's tables: %w", err)
	}
	return completeReader(ctx, lock)
}

// lockEvery is how often a waiting instance tries to get the lock of migrations.
const lockEvery = 50 * time.Millisecond

// lockMigrations waits for the lock of migrations. It asks again and again, and holds no snapshot
// in between: an index that is built beside writers waits for all snapshots of its database.
func lockMigrations(ctx context.Context, db querier) error {
	ticker := time.NewTicker(lockEvery)
	defer ticker.Stop()
	for locked := false; ; {
		if err := db.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(advisoryLock)).Scan(&locked); err != nil {
			return fmt.Errorf("lock migrations: %w", err)
		}
		if locked {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("lock migrations: %w", ctx.Err())
		}
	}
}

// outdated reports whether migrating cures an error of [Check].
func outdated(err error) bool { return errors.Is(err, ErrOutdated) || errors.Is(err, ErrNoSchema) }

func upOwn(ctx context.Context, pool *pgxpool.Pool) (err error) {
	db := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	versions, err := database.NewStore(database.DialectPostgres, Schema+".goose_db_version")
	if err != nil {
		return fmt.Errorf("open migration store: %w", err)
	}
	provider, err := goose.NewProvider("", db, files, goose.WithStore(versions), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func riverMigrator(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
		Schema: Schema, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("open River's migrations: %w", err)
	}
	return m, nil
}

// querier is the part of a pool or connection that [Check] needs.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// undefinedTable is Postgres' SQLSTATE for a relation that doesn't exist.
const undefinedTable = "42P01"

// Check returns [ErrOutdated] if the database's schema is older than this binary needs, and
// [ErrNoSchema] if there is none. It returns another error if the database doesn't answer. A newer
// schema is fine: migrations only add, so that instances can be upgraded one by one.
func Check(ctx context.Context, db querier) error {
	var own, river int64
	err := db.QueryRow(ctx, `SELECT
		(SELECT coalesce(max(version_id), 0) FROM rolecall.goose_db_version WHERE is_applied),
		(SELECT coalesce(max(version), 0) FROM rolecall.river_migration WHERE line = 'main')`).Scan(&own, &river)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == undefinedTable {
		return withoutVersion(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	wantOwn, wantRiver, err := wanted()
	if err != nil {
		return err
	}
	if own < wantOwn || river < wantRiver {
		return ErrOutdated
	}
	return nil
}

// withoutVersion returns [ErrNoSchema] for a database in which migrating never began, and
// [ErrOutdated] for one in which it was interrupted.
func withoutVersion(ctx context.Context, db querier) error {
	var never bool
	if err := db.QueryRow(ctx, "SELECT to_regclass('rolecall.goose_db_version') IS NULL").Scan(&never); err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if never {
		return ErrNoSchema
	}
	return ErrOutdated
}

// wanted returns the newest version of our own migrations and of River's.
func wanted() (own, river int64, err error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, 0, fmt.Errorf("list migrations: %w", err)
	}
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, 0, fmt.Errorf("read version of %s: %w", name, err)
		}
		own = max(own, v)
	}
	migrator, err := riverMigrator(nil)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range migrator.AllVersions() {
		river = max(river, int64(m.Version))
	}
	return own, river, nil
}
