package store_test

import (
	"crypto/rand"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// column is a column of a view that docs/integrate.md promises.
type column struct{ Name, Type string }

// documentedViews reads the tables of docs/integrate.md: each follows the name of its view.
func documentedViews(t *testing.T) map[string][]column {
	t.Helper()
	document, err := os.ReadFile("../docs/integrate.md")
	require.NoError(t, err)
	views := map[string][]column{}
	for _, table := range regexp.MustCompile("(?m)^`rolecall\\.(\\w+)` has .*\n\n((?:\\|.*\n)+)").FindAllStringSubmatch(string(document), -1) {
		for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `([^`]+)` \\| .+ \\|$").FindAllStringSubmatch(table[2], -1) {
			views[table[1]] = append(views[table[1]], column{Name: row[1], Type: row[2]})
		}
	}
	return views
}

func TestReadSurface_HasWhatTheDocumentPromises(t *testing.T) {
	t.Parallel()
	pool, views := pgtest.New(t), documentedViews(t)
	require.Len(t, views, 2)
	for view, promised := range views {
		rows, err := pool.Query(t.Context(), `SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
			WHERE attrelid = ('rolecall.' || $1)::regclass AND attnum > 0 ORDER BY attnum`, view)
		require.NoError(t, err)
		has, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
		require.NoError(t, err)
		require.Equal(t, has, promised, "a column that is new, gone or changed: %s", view)
	}
}

func TestReportRole_ReadsTheReadSurfaceAndNothingElse(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO rolecall.organizations (id) VALUES ('org_1');
		INSERT INTO rolecall.users (id, identifier) VALUES ('user_1', 'ada@example.com'), ('user_2', 'ben@example.com');
		UPDATE rolecall.users SET banned = true WHERE id = 'user_2';
		INSERT INTO rolecall.memberships (id, organization_id, user_id, role, permissions) VALUES
			('orgmem_1', 'org_1', 'user_1', 'org:admin', '{org:billing:manage}'), ('orgmem_2', 'org_1', 'user_2', 'org:admin', '{}')`)
	require.NoError(t, err)
	example, err := os.ReadFile("../deploy/report_role.sql")
	require.NoError(t, err)
	role := "rolecall_test_reports_" + strings.ToLower(rand.Text()[:10])
	_, err = pool.Exec(t.Context(), strings.ReplaceAll(string(example), "rolecall_reports", role))
	require.NoError(t, err)
	dropRole(t, pool, role)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "SET ROLE "+role)
	require.NoError(t, err)
	defer func() { _, _ = conn.Exec(t.Context(), "RESET ROLE") }() // a connection that fails here isn't used again

	var who string
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT l.identifier || ' ' || l.role FROM rolecall.live_members l
		JOIN rolecall.current_memberships c ON c.id = l.id WHERE rolecall.can(l.user_id, l.organization_id, 'org:billing:manage')`).Scan(&who))
	require.Equal(t, "ada@example.com org:admin", who)

	rows, err := conn.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace
		AND relkind IN ('r', 'v', 'm', 'p') AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1`)
	require.NoError(t, err)
	readable, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"current_memberships", "live_members"}, readable)
	_, err = conn.Exec(t.Context(), `UPDATE rolecall.current_memberships SET user_id = ''`)
	refused := new(pgconn.PgError)
	require.ErrorAs(t, err, &refused)
}
