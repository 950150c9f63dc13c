package migrations_test

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// released is the schema of binaries that may still run while newer ones start: instances are
// upgraded one by one.
const released = 13

// TestUp_OlderBinariesKeepWorking on the newest schema. The columns that they read still exist and
// have the same type. The rows that they write are still accepted. Inserts may leave out the new
// columns.
func TestUp_OlderBinariesKeepWorking(t *testing.T) {
	t.Parallel()
	old, current := pgtest.NewEmpty(t), pgtest.New(t)
	upTo(t, old, released)
	before, after := columnsOf(t, old), columnsOf(t, current)
	for name, was := range before {
		is, ok := after[name]
		require.True(t, ok, "%s is gone", name)
		require.Equal(t, was.kind, is.kind, "%s has another type", name)
		require.False(t, is.demanded && !was.demanded, "%s is needed now, and older binaries don't give it", name)
	}
	for name, is := range after {
		table, _, _ := strings.Cut(name, ".")
		if _, ok := before[name]; !ok && tableIn(before, table) {
			require.False(t, is.demanded, "%s is needed, and older binaries don't know it", name)
		}
	}
	requireNothingForbidden(t, old, current)
}

type column struct {
	kind     string
	demanded bool // an insert has to give it
}

// columnsOf returns the columns of Rolecall's own tables and views.
func columnsOf(t *testing.T, pool *pgxpool.Pool) map[string]column {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
			c.relkind = 'r' AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'rolecall' AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
			AND c.relname NOT LIKE 'river%'`)
	require.NoError(t, err)
	columns := map[string]column{}
	var name string
	var c column
	_, err = pgx.ForEachRow(rows, []any{&name, &c.kind, &c.demanded}, func() error {
		columns[name] = c
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, columns)
	return columns
}

func tableIn(columns map[string]column, table string) bool {
	for name := range columns {
		if strings.HasPrefix(name, table+".") {
			return true
		}
	}
	return false
}

// requireNothingForbidden requires that a table which older binaries write has no new constraint
// and no new unique index.
func requireNothingForbidden(t *testing.T, old, current *pgxpool.Pool) {
	t.Helper()
	const forbidding = `SELECT r.relname || ': ' || pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
		JOIN pg_namespace n ON n.oid = r.relnamespace WHERE n.nspname = 'rolecall' AND c.contype NOT IN ('n', 't') AND r.relname = ANY($1)
		UNION SELECT r.relname || ': ' || pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid
		JOIN pg_namespace n ON n.oid = r.relnamespace WHERE n.nspname = 'rolecall' AND i.indisunique AND r.relname = ANY($1)`
	rows, err := old.Query(t.Context(), `SELECT relname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
		WHERE nspname = 'rolecall' AND relkind = 'r' AND relname NOT LIKE 'river%' AND relname <> 'goose_db_version'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	rules := func(pool *pgxpool.Pool) []string {
		rows, err := pool.Query(t.Context(), forbidding, tables)
		require.NoError(t, err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return all
	}
	require.Subset(t, rules(old), rules(current), "what older binaries write must still be taken")
}

// TestUp_OlderStatementsKeepWorking: each statement that those binaries prepare.
func TestUp_OlderStatementsKeepWorking(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/statements_00013.sql")
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(t.Context())) })
	statements := strings.Split(string(text), "-- name: ")[1:]
	require.Greater(t, len(statements), 50)
	for _, statement := range statements {
		name, _, _ := strings.Cut(statement, " ")
		_, err := conn.Prepare(t.Context(), name, "-- name: "+statement)
		require.NoError(t, err, name)
	}
}
