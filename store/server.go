package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Ping returns an error unless the database answers.
func Ping(ctx context.Context, db DBTX) error {
	if err := queries().Ping(ctx, db); err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	return nil
}

// ReadOnly reports whether transactions of the connection can't write.
func ReadOnly(ctx context.Context, db DBTX) (bool, error) {
	readOnly, err := queries().TransactionReadOnly(ctx, db)
	if err != nil {
		return false, fmt.Errorf("look whether the database can be written to: %w", err)
	}
	return readOnly, nil
}

// DatabaseName returns a name that no other database has, on any server.
func DatabaseName(ctx context.Context, db DBTX) (string, error) {
	name, err := queries().DatabaseName(ctx, db)
	if err != nil {
		return "", fmt.Errorf("read the name of the database: %w", err)
	}
	return name, nil
}

// CurrentDatabase returns the database's name on its server.
func CurrentDatabase(ctx context.Context, db DBTX) (string, error) {
	name, err := queries().CurrentDatabase(ctx, db)
	if err != nil {
		return "", fmt.Errorf("ask which database it is: %w", err)
	}
	return name, nil
}

// SystemIdentifier returns the number of the server's cluster, which its replicas share.
func SystemIdentifier(ctx context.Context, db DBTX) (string, error) {
	system, err := queries().SystemIdentifier(ctx, db)
	if err != nil {
		return "", fmt.Errorf("ask for the system identifier: %w", err)
	}
	return system, nil
}

// Rights is what the role of a connection may read of the mirror.
type Rights struct {
	Role       string
	Usable     bool     // it may use the schema
	Unreadable []string // tables and views that it may not read
}

// ReadRights returns the rights of the role of a connection.
func ReadRights(ctx context.Context, db DBTX) (Rights, error) {
	row, err := queries().ReadingRights(ctx, db)
	if err != nil {
		return Rights{}, fmt.Errorf("read the rights of the role: %w", err)
	}
	return Rights(row), nil
}

// IsEmpty reports whether the mirror has neither an organization nor a user.
func IsEmpty(ctx context.Context, db DBTX) (bool, error) {
	empty, err := queries().MirrorIsEmpty(ctx, db)
	if err != nil {
		return false, fmt.Errorf("look whether the mirror is empty: %w", err)
	}
	return empty, nil
}

// duplicateDatabase is Postgres' SQLSTATE for a database that exists.
const duplicateDatabase = "42P04"

// CreateDatabase makes a database with a plain name, unless it exists.
func CreateDatabase(ctx context.Context, db DBTX, name string) error {
	_, err := db.Exec(ctx, "CREATE DATABASE "+name) // sqlc knows no such statement
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == duplicateDatabase {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the database %s: %w", name, err)
	}
	return nil
}
