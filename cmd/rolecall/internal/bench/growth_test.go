package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// A workspace of bigMembers members, and a user in manyWorkspaces workspaces, are the largest ones
// that customers of Clerk are known to have.
const bigMembers, manyWorkspaces = 500_000, 5_000

// growth measures reads whose cost could grow with the workspace or with the user's workspaces.
func (s *suite) growth(b *testing.B) {
	url := pgtest.DurableURL(b)
	conn := connect(b, url)
	fillGrown(b, conn)
	c := startClerk(b)
	p := s.serve(b, c, url)
	token := c.token(b, userAt(1))
	for _, row := range []struct{ name, work, path string }{
		{"workspace", "GET /v1/workspaces/{id}, 500,000 members", "/v1/workspaces/org_big"},
		{"me", "GET /v1/me, member of 5,000 workspaces", "/v1/me"},
	} {
		b.Run(row.name, func(b *testing.B) {
			askers := newAskers(b, p.addr, 1, func(ctx context.Context, _ int) (*http.Request, error) {
				return withToken(ctx, row.path, token)
			})
			s.milliseconds(b, row.work, asking(b, askers))
		})
	}
	b.Run("workspaces_of", func(b *testing.B) {
		s.milliseconds(b, "workspaces_of(user), 5,000 workspaces", func(int) error {
			var workspaces int
			err := conn.QueryRow(b.Context(), "SELECT count(*) FROM rolecall.workspaces_of($1)", userAt(1)).Scan(&workspaces)
			if err == nil && workspaces != manyWorkspaces+1 {
				err = fmt.Errorf("%d workspaces", workspaces)
			}
			return err
		})
	})
}

// fillGrown fills the mirror as triggers would, without their work for each row.
func fillGrown(b *testing.B, conn *pgx.Conn) {
	b.Helper()
	withoutTriggers(b, conn, "memberships", fmt.Sprintf(`
		INSERT INTO rolecall.organizations (id, name) SELECT 'org_' || i, 'Organization' FROM generate_series(1, %[2]d) i UNION ALL SELECT 'org_big', 'Big';
		INSERT INTO rolecall.users (id) SELECT 'user_' || i FROM generate_series(1, %[1]d) i;
		INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
			SELECT 'orgmem_big' || i, 'org_big', 'user_' || i, 'org:admin', now() + i * interval '1 ms' FROM generate_series(1, %[1]d) i;
		INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
			SELECT 'orgmem_' || i, 'org_' || i, 'user_1', 'org:admin', now() + i * interval '1 ms' FROM generate_series(1, %[2]d) i;
		INSERT INTO rolecall.member_counts SELECT organization_id, count(*) FROM rolecall.memberships GROUP BY organization_id;
		INSERT INTO rolecall.revisions SELECT organization_id, 1, now() FROM rolecall.member_counts`, bigMembers, manyWorkspaces))
}

// withoutTriggers runs statements while a table has no triggers, and no indexes but those of its
// keys: sorting all rows at once is several times as fast. It lets Postgres count the rows.
func withoutTriggers(b testing.TB, conn *pgx.Conn, table, statements string) {
	b.Helper()
	var drop, restore string
	require.NoError(b, conn.QueryRow(b.Context(), `
		SELECT coalesce(string_agg('DROP INDEX ' || indexrelid::regclass, ';'), ''), coalesce(string_agg(pg_get_indexdef(indexrelid), ';'), '')
		FROM pg_index WHERE indrelid = $1::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`, "rolecall."+table).Scan(&drop, &restore))
	for _, sql := range []string{
		drop, "ALTER TABLE rolecall." + table + " DISABLE TRIGGER USER", statements,
		"ALTER TABLE rolecall." + table + " ENABLE TRIGGER USER", restore, "VACUUM (ANALYZE)",
	} {
		_, err := conn.Exec(b.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		require.NoError(b, err)
	}
}

// milliseconds measures how long one caller waits for an answer, and adds a row.
func (s *suite) milliseconds(b *testing.B, work string, do func(caller int) error) {
	b.Helper()
	closedLoop(b, 1, warmUp, do)
	var took []float64
	for b.Loop() {
		for range rounds {
			took = append(took, 1000/perSecond(b, 1, readTime, do))
		}
	}
	b.ReportMetric(median(took), "ms/request")
	b.ReportMetric(0, "ns/op")
	s.table.add(work, "–", fmt.Sprintf("%.1f ms", median(took)), "–")
}
