package migrations_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/migrations"
)

// TestChangelog_SaysWhatEachMigrationLocks: each migration has a row, and the row names the locks
// on tables and views that were there before, as Postgres shows them. Locks that readers and
// writers take, too, aren't named.
func TestChangelog_SaysWhatEachMigrationLocks(t *testing.T) {
	t.Parallel()
	changelog, err := os.ReadFile("../CHANGELOG.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (000\d\d) \| (.*?) \| (.*?) \|`).FindAllStringSubmatch(string(changelog), -1) {
		require.NotContains(t, rows, m[1], "it has one row")
		rows[m[1]] = m[3]
	}
	names, err := filepath.Glob("0*.sql")
	require.NoError(t, err)
	require.Len(t, rows, len(names), "CHANGELOG.md has a row for each migration, and no other")
	pool := pgtest.NewEmpty(t)
	_, err = pool.Exec(t.Context(), "CREATE SCHEMA IF NOT EXISTS rolecall")
	require.NoError(t, err)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		require.Equal(t, rows[number], locksOf(t, conn.Conn(), name), "what %s locks, in the table of CHANGELOG.md", name)
	}
	require.Empty(t, locksOfRiver(t, pool), "River's migrations lock none of these tables")
	module, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`riverqueue/river v([0-9.]+)`).FindStringSubmatch(string(module))[1]
	require.Contains(t, string(changelog), "those of River "+version+".", "a newer River may have migrations that upgrades run: name their locks")
}

// locksOfRiver runs River's migrations, and returns the tables and views that were there before and
// that they locked.
func locksOfRiver(t *testing.T, pool *pgxpool.Pool) (locked []string) {
	t.Helper()
	river, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: migrations.Schema, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	before := relations(t, conn.Conn())
	require.NotEmpty(t, river.AllVersions())
	for _, version := range river.AllVersions() {
		text := strings.ReplaceAll(version.SQLUp, "/* TEMPLATE: schema */", migrations.Schema+".")
		for relation := range inTransaction(t, conn.Conn(), text) {
			if before[relation] {
				locked = append(locked, relation)
			}
		}
	}
	return locked
}

// locksOf runs a migration, and returns the strongest lock that it took on each table and view that
// was there before.
func locksOf(t *testing.T, conn *pgx.Conn, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	up, _, found := strings.Cut(string(text), "-- +goose Down")
	require.True(t, found, name)
	before := relations(t, conn)
	taken := map[string]int{} // by table and view
	note := func(locks map[string]int) {
		for relation, mode := range locks {
			if before[relation] {
				taken[relation] = max(taken[relation], mode)
			}
		}
	}
	if strings.Contains(up, "+goose NO TRANSACTION") {
		for _, statement := range transactions(statements(up)) {
			note(runAlone(t, conn, statement))
		}
	} else {
		note(inTransaction(t, conn, up))
	}
	byMode := map[int][]string{}
	for _, relation := range slices.Sorted(maps.Keys(taken)) {
		byMode[taken[relation]] = append(byMode[taken[relation]], "`"+relation+"`")
	}
	var said []string
	for mode := len(modes()) - 1; mode >= 0; mode-- {
		if len(byMode[mode]) > 0 {
			said = append(said, modes()[mode]+": "+strings.Join(byMode[mode], ", "))
		}
	}
	if len(said) == 0 {
		return "none"
	}
	return strings.Join(said, "; ")
}

// modes are the locks that readers and writers don't take, the weakest first.
func modes() []string {
	return []string{"SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}
}

// runAlone runs a statement of a migration that is no transaction.
func runAlone(t *testing.T, conn *pgx.Conn, statement string) map[string]int {
	t.Helper()
	ctx := t.Context()
	building := regexp.MustCompile(`(?i)(?:CREATE|DROP) INDEX CONCURRENTLY.*? (?:ON )?(?:rolecall\.)(\w+)`).FindStringSubmatch(statement)
	if building == nil && !strings.Contains(statement, "COMMIT;") {
		return inTransaction(t, conn, statement)
	}
	_, err := conn.Exec(ctx, statement)
	require.NoError(t, err, statement)
	if building == nil {
		return nil // it commits as it goes, and locks rows
	}
	return map[string]int{building[1]: 0} // an index's own table, or the index that is dropped
}

// inTransaction runs statements in a transaction, and returns the modes of the locks that it then
// holds.
func inTransaction(t *testing.T, conn *pgx.Conn, text string) map[string]int {
	t.Helper()
	locks := map[string]int{}
	require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), text); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		return each(t.Context(), tx, `SELECT c.relname::text, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
			WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'rolecall'::regnamespace AND c.relkind IN ('r', 'v')`, func(relation, mode string) {
			mode = strings.ToUpper(strings.TrimSuffix(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(mode, "$1 $2"), " Lock"))
			if at := slices.Index(modes(), mode); at >= 0 {
				locks[relation] = max(locks[relation], at)
			}
		})
	}))
	return locks
}

// relations returns the tables and views that there are.
func relations(t *testing.T, conn *pgx.Conn) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	require.NoError(t, each(t.Context(), conn, `SELECT relname::text, '' FROM pg_class
		WHERE relnamespace = 'rolecall'::regnamespace AND relkind IN ('r', 'v')`, func(name, _ string) { found[name] = true }))
	return found
}

// each calls a function with the two columns of each row.
func each(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, sql string, row func(a, b string),
) error {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	var a, b string
	_, err = pgx.ForEachRow(rows, []any{&a, &b}, func() error {
		row(a, b)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	return nil
}

// transactions joins the statements from each BEGIN to its COMMIT.
func transactions(statements []string) (all []string) {
	open := false
	for _, statement := range statements {
		switch {
		case statement == "BEGIN;":
			open = true
			all = append(all, "")
		case statement == "COMMIT;":
			open = false
		case open:
			all[len(all)-1] += statement + "\n"
		default:
			all = append(all, statement)
		}
	}
	return all
}

// statements divides a migration as goose does: at semicolons that end a line, but not within what
// is marked as one statement.
func statements(text string) (all []string) {
	var current strings.Builder
	whole := false
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		switch {
		case strings.HasPrefix(line, "-- +goose StatementBegin"):
			whole = true
			continue
		case strings.HasPrefix(line, "-- +goose StatementEnd"):
			whole = false
		case whole:
			current.WriteString(line)
			continue
		default:
			current.WriteString(code)
		}
		if statement := strings.TrimSpace(current.String()); !whole && (strings.HasSuffix(statement, ";") || strings.HasPrefix(line, "-- +goose StatementEnd")) {
			if statement != "" {
				all = append(all, statement)
			}
			current.Reset()
		}
	}
	return all
}
