package store_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	clerksync "github.com/callmine/rolecall/sync"
)

// newRole makes a role, which the whole server has, and drops it at the test's end.
func newRole(t *testing.T, pool *pgxpool.Pool, name string) string {
	t.Helper()
	role := "rolecall_test_" + name + "_" + strings.ToLower(rand.Text()[:10])
	_, err := pool.Exec(t.Context(), "CREATE ROLE "+role)
	require.NoError(t, err)
	dropRole(t, pool, role)
	return role
}

func dropRole(t *testing.T, pool *pgxpool.Pool, role string) {
	t.Helper()
	t.Cleanup(func() {
		_, err := pool.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, err)
	})
}

// reports is the example of a customer's table: five rows in each of three workspaces. user_1 is an
// admin of org_1 and a member of org_2, user_2 an admin of org_2, user_3 a member of org_1; org_3
// has no members.
type reports struct {
	*pgxpool.Pool

	role   string
	mirror clerksync.Mirror
}

func setupReports(t *testing.T) reports {
	t.Helper()
	ctx, pool := t.Context(), pgtest.New(t)
	r := reports{Pool: pool, role: "rolecall_test_reports_" + strings.ToLower(rand.Text()[:10])}
	example, err := os.ReadFile("../deploy/row_level_security.sql")
	require.NoError(t, err)
	_, err = pool.Exec(ctx, strings.ReplaceAll(string(example), "reports_app", r.role))
	require.NoError(t, err)
	dropRole(t, pool, r.role)
	_, err = pool.Exec(ctx, `INSERT INTO app.reports (workspace_id, title)
		SELECT 'org_' || w, 'report ' || n || ' of org_' || w FROM generate_series(1, 3) w, generate_series(1, 5) n`)
	require.NoError(t, err)
	_, err = saveGrants(ctx, pool, clerksync.Grants{
		"org:admin": {"reports:read", "analyses:run", "workspace:update"}, "org:member": {"reports:read", "analyses:run"}, "org:guest": {"x"},
	})
	require.NoError(t, err)
	admin1, admin2 := membership("orgmem_1", "org_1", "user_1", 1), membership("orgmem_2", "org_2", "user_2", 1)
	guest := membership("orgmem_5", "org_1", "user_guest", 1)
	admin1.Role.Value, admin2.Role.Value, guest.Role.Value = "org:admin", "org:admin", "org:guest"
	r.mirror = mirrorOf(organization("org_1", 1), organization("org_2", 1), organization("org_3", 1), admin1, admin2, guest,
		membership("orgmem_3", "org_1", "user_3", 1), membership("orgmem_4", "org_2", "user_1", 1))
	save(t, pool, r.mirror)
	return r
}

// as runs a transaction as the customer's application does, for a user ("" for none), and rolls it
// back.
func (r reports) as(t *testing.T, user string, run func(pgx.Tx)) {
	t.Helper()
	ctx := t.Context()
	tx, err := r.Begin(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(ctx)) }()
	_, err = tx.Exec(ctx, "SET LOCAL ROLE "+r.role)
	require.NoError(t, err)
	if user != "" {
		_, err = tx.Exec(ctx, "SELECT set_config('app.user_id', $1, true)", user)
		require.NoError(t, err)
	}
	run(tx)
}

func listed(t *testing.T, tx pgx.Tx, sql string) []string {
	t.Helper()
	rows, err := tx.Query(t.Context(), sql)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return list
}

// TestRowLevelSecurity_NoQueryCrossesWorkspaces, not even for an admin of another one.
func TestRowLevelSecurity_NoQueryCrossesWorkspaces(t *testing.T) {
	t.Parallel()
	r := setupReports(t)
	for user, seen := range map[string][]string{
		"user_1": {"org_1", "org_2"}, "user_2": {"org_2"}, "user_3": {"org_1"},
		"user_guest": nil, "user_stranger": nil, "": nil, // none of them is a member with the permission
	} {
		for _, query := range []string{
			"SELECT DISTINCT workspace_id FROM app.reports ORDER BY 1",
			"SELECT DISTINCT workspace_id FROM app.reports WHERE true OR workspace_id = 'org_3' ORDER BY 1",
			"SELECT workspace_id FROM app.reports GROUP BY 1 HAVING count(*) = 5 ORDER BY 1",
			"SELECT DISTINCT b.workspace_id FROM app.reports a FULL JOIN app.reports b ON true ORDER BY 1",
			"SELECT DISTINCT workspace_id FROM (TABLE app.reports UNION ALL TABLE app.reports) x ORDER BY 1",
			"WITH x AS (SELECT * FROM app.reports) SELECT DISTINCT substr(title, 13) FROM x ORDER BY 1",
			"SELECT 'org_' || w FROM generate_series(1, 3) w WHERE EXISTS (SELECT FROM app.reports WHERE workspace_id = 'org_' || w) ORDER BY 1",
			"WITH x AS (UPDATE app.reports SET title = title RETURNING workspace_id) SELECT DISTINCT workspace_id FROM x ORDER BY 1",
		} {
			r.as(t, user, func(tx pgx.Tx) { require.ElementsMatch(t, seen, listed(t, tx, query), "%s: %s", user, query) })
		}
	}
}

// TestRowLevelSecurity_WritesStayInsideWorkspaces in which the user has the permission.
func TestRowLevelSecurity_WritesStayInsideWorkspaces(t *testing.T) {
	t.Parallel()
	r := setupReports(t)
	ctx := t.Context()
	count := func(user, sql string) (rows int64) {
		r.as(t, user, func(tx pgx.Tx) {
			tag, err := tx.Exec(ctx, sql)
			require.NoError(t, err, sql)
			rows = tag.RowsAffected()
		})
		return rows
	}
	refused := func(user, sql string) {
		r.as(t, user, func(tx pgx.Tx) {
			_, err := tx.Exec(ctx, sql)
			require.ErrorContains(t, err, "row-level security", "%s: %s", user, sql)
		})
	}
	insert := func(workspace string) string {
		return fmt.Sprintf("INSERT INTO app.reports (workspace_id, title) VALUES ('%s', 'new')", workspace)
	}
	require.EqualValues(t, 1, count("user_3", insert("org_1")))
	require.EqualValues(t, 10, count("user_1", "UPDATE app.reports SET title = 'mine'"))
	require.EqualValues(t, 5, count("user_1", "DELETE FROM app.reports"), "an admin's of org_1, a member's of org_2")
	require.Zero(t, count("user_3", "DELETE FROM app.reports"))
	require.Zero(t, count("user_2", "UPDATE app.reports SET title = 'mine' WHERE workspace_id = 'org_1'"))
	require.Zero(t, count("user_2", "DELETE FROM app.reports WHERE workspace_id <> 'org_2'"))
	require.Zero(t, count("user_guest", "DELETE FROM app.reports"), "a member without the permission")
	for _, user := range []string{"user_2", "user_guest", "user_stranger", ""} {
		refused(user, insert("org_1"))
	}
	refused("user_2", "UPDATE app.reports SET workspace_id = 'org_1'")
	refused("user_1", "UPDATE app.reports SET workspace_id = 'org_3'")
	require.EqualValues(t, 10, count("user_1", "UPDATE app.reports SET workspace_id = 'org_2'"), "between one's own")
}

// TestRowLevelSecurity_CannotBeSwitchedOff by a role that owns nothing.
func TestRowLevelSecurity_CannotBeSwitchedOff(t *testing.T) {
	t.Parallel()
	r := setupReports(t)
	for _, sql := range []string{
		"ALTER TABLE app.reports DISABLE ROW LEVEL SECURITY", "ALTER TABLE app.reports NO FORCE ROW LEVEL SECURITY",
		"DROP POLICY see ON app.reports", "TRUNCATE app.reports", "SELECT FROM rolecall.memberships", "DELETE FROM rolecall.grants",
		"CREATE OR REPLACE FUNCTION rolecall.can(user_id text, workspace_id text, permission text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
		"SET LOCAL row_security = off; SELECT FROM app.reports",
	} {
		r.as(t, "user_2", func(tx pgx.Tx) {
			_, err := tx.Exec(t.Context(), sql)
			pgErr := new(pgconn.PgError)
			require.ErrorAs(t, err, &pgErr, sql)
			require.Equal(t, "42501", pgErr.Code, sql)
		})
	}
}

// TestRowLevelSecurity_UserEndsWithTheTransaction, also on a connection that served another user
// before.
func TestRowLevelSecurity_UserEndsWithTheTransaction(t *testing.T) {
	t.Parallel()
	r := setupReports(t)
	conn, err := r.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for _, user := range []string{"", "user_1", ""} {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SET LOCAL ROLE "+r.role)
		require.NoError(t, err)
		if user != "" {
			_, err = tx.Exec(t.Context(), "SELECT set_config('app.user_id', $1, true)", user)
			require.NoError(t, err)
		}
		require.Equal(t, user != "", len(listed(t, tx, "SELECT title FROM app.reports")) > 0)
		require.NoError(t, tx.Commit(t.Context()))
	}
}

// TestRowLevelSecurity_RemovalCountsInNextStatement, also in a transaction that began before it.
func TestRowLevelSecurity_RemovalCountsInNextStatement(t *testing.T) {
	t.Parallel()
	r := setupReports(t)
	r.as(t, "user_1", func(tx pgx.Tx) {
		seen := func() []string { return listed(t, tx, "SELECT DISTINCT workspace_id FROM app.reports ORDER BY 1") }
		require.Equal(t, []string{"org_1", "org_2"}, seen())

		removed := r.mirror.Memberships["orgmem_1"]
		removed.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 2, DeliveryID: "msg_2"}
		save(t, r, mirrorOf(removed))
		require.Equal(t, []string{"org_2"}, seen())

		_, err := saveGrants(t.Context(), r.Pool, clerksync.Grants{"org:member": {"analyses:run"}})
		require.NoError(t, err)
		require.Empty(t, seen(), "the policy changed")

		_, err = saveGrants(t.Context(), r.Pool, clerksync.Grants{"org:member": {"reports:read"}})
		require.NoError(t, err)
		require.Equal(t, []string{"org_2"}, seen())
		banned := user("user_1", 3)
		banned.Banned = clerksync.Field[bool]{Value: true, Version: at(3)}
		save(t, r, mirrorOf(banned))
		require.Empty(t, seen(), "the user was banned")
	})
}

// TestRowLevelSecurity_StatementAsksOnce, not for each row, and uses the index of the customer's
// table.
func TestRowLevelSecurity_StatementAsksOnce(t *testing.T) {
	t.Parallel()
	r := setupReports(t)
	r.as(t, "user_1", func(tx pgx.Tx) {
		_, err := tx.Exec(t.Context(), "SET LOCAL enable_seqscan = off") // the table is too small for an index
		require.NoError(t, err)
		plan := strings.Join(listed(t, tx, "EXPLAIN SELECT * FROM app.reports"), "\n")
		require.Contains(t, plan, "InitPlan")
		require.Contains(t, plan, "Index Cond: (workspace_id = ANY")
	})
}

// TestRowLevelSecurity_BindsTheOwnerToo: the policies are forced.
func TestRowLevelSecurity_BindsTheOwnerToo(t *testing.T) {
	t.Parallel()
	r := setupReports(t)
	owner := newRole(t, r.Pool, "owner")
	_, err := r.Exec(t.Context(), "GRANT rolecall_reader TO "+owner+"; GRANT ALL ON SCHEMA app TO "+owner+"; ALTER TABLE app.reports OWNER TO "+owner)
	require.NoError(t, err)
	r.role = owner
	for user, seen := range map[string][]string{"": nil, "user_stranger": nil, "user_2": {"org_2"}} {
		r.as(t, user, func(tx pgx.Tx) {
			require.ElementsMatch(t, seen, listed(t, tx, "SELECT DISTINCT workspace_id FROM app.reports"), user)
			tag, err := tx.Exec(t.Context(), "DELETE FROM app.reports WHERE workspace_id <> 'org_2'")
			require.NoError(t, err)
			require.Zero(t, tag.RowsAffected())
		})
	}
}
