package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// execer is the part of a connection that creating the schema needs.
type execer interface {
	querier
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// insufficientPrivilege is the SQLSTATE of a statement that the role may not run.
const insufficientPrivilege = "42501"

// createSchema creates the schema if there is none. CREATE SCHEMA IF NOT EXISTS would need the
// right to create schemas even if the schema exists.
func createSchema(ctx context.Context, db execer) error {
	var exists, usable bool
	var role, database string
	err := db.QueryRow(ctx, `SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), true), current_user::text, current_database()::text
		FROM (SELECT) AS one LEFT JOIN pg_namespace n ON n.nspname = $1`, Schema).Scan(&exists, &usable, &role, &database)
	if err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if !usable {
		return fmt.Errorf("the role %s may not use the schema %s: let its owner run GRANT USAGE, CREATE ON SCHEMA %[2]s TO %[3]s",
			role, Schema, quoted(role))
	}
	if exists {
		return nil
	}
	_, err = db.Exec(ctx, "CREATE SCHEMA "+Schema)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == insufficientPrivilege {
		return fmt.Errorf("the role %s may not create the schema %s in the database %s: let a role that may run CREATE SCHEMA %[2]s AUTHORIZATION %[4]s",
			role, Schema, database, quoted(role))
	}
	if err != nil {
		return fmt.Errorf("create schema: %w", err)
	}
	return nil
}

// needsCreate refuses a role that may not create the objects of a migration, before the first
// migration is half done.
func needsCreate(ctx context.Context, db querier) error {
	var may bool
	var role string
	err := db.QueryRow(ctx, "SELECT has_schema_privilege($1, 'CREATE'), current_user::text", Schema).Scan(&may, &role)
	if err != nil {
		return fmt.Errorf("look at the rights on the schema: %w", err)
	}
	if !may {
		return fmt.Errorf("the role %s may not create tables in the schema %s: let its owner run GRANT USAGE, CREATE ON SCHEMA %[2]s TO %[3]s",
			role, Schema, quoted(role))
	}
	return nil
}

// reader is the role that may call the SQL functions.
const reader = "rolecall_reader"

// Left returns the statements that the SQL functions still need and that the migrating role may not
// run, one a line; "" for none.
func Left(ctx context.Context, db querier) (string, error) {
	var role, usage, execute bool
	err := db.QueryRow(ctx, `SELECT r.oid IS NOT NULL, coalesce(has_schema_privilege(r.oid, to_regnamespace($2), 'USAGE'), false),
		coalesce(has_function_privilege(r.oid, to_regprocedure('rolecall.can(text, text, text)'), 'EXECUTE')
			AND has_function_privilege(r.oid, to_regprocedure('rolecall.workspaces_of(text)'), 'EXECUTE'), false)
		FROM (SELECT) AS one LEFT JOIN pg_roles r ON r.rolname = $1`, reader, Schema).Scan(&role, &usage, &execute)
	if err != nil {
		return "", fmt.Errorf("look for the role %s: %w", reader, err)
	}
	var left []string
	if !role {
		left = append(left, "CREATE ROLE "+reader+" NOLOGIN;")
	}
	if !usage {
		left = append(left, "GRANT USAGE ON SCHEMA "+Schema+" TO "+reader+";")
	}
	if !execute {
		left = append(left, "GRANT EXECUTE ON FUNCTION rolecall.can, rolecall.workspaces_of TO "+reader+";")
	}
	return strings.Join(left, "\n"), nil
}

// completeReader does what an earlier migration couldn't do for the reader role, as far as the
// migrating role may.
func completeReader(ctx context.Context, db execer) error {
	left, err := Left(ctx, db)
	if err != nil {
		return err
	}
	for statement := range strings.Lines(left) {
		_, err := db.Exec(ctx, statement)
		refused, ok := errors.AsType[*pgconn.PgError](err)
		if ok && (refused.Code == insufficientPrivilege || refused.Code == undefinedObject || refused.Code == duplicateObject) {
			continue
		}
		if err != nil {
			return fmt.Errorf("make the role %s: %w", reader, err)
		}
	}
	return nil
}

const (
	undefinedObject = "42704" // the role isn't there
	duplicateObject = "42710" // another database's migration was first
)

// quoted quotes a name for SQL.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
