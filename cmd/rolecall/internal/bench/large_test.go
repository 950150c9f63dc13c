package bench_test

import (
	_ "embed"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/migrations"
)

// keptLarge is the environment variable that names a database for the large instance. It is filled
// once and kept, so that queries can be tried on it. Without it, the database ends with the run.
const keptLarge = "ROLECALL_BENCH_LARGE_URL"

//go:embed testdata/large.sql
var largeSQL string

// amounts say how much of each a directory has.
type amounts struct{ memberships, workspaces, users, audit, deliveries int }

// largest is the largest instance whose pages answer at once.
func largest() amounts {
	return amounts{memberships: 5_000_000, workspaces: 500_000, users: 1_000_000, audit: 5_000_000, deliveries: 5_000_000}
}

// largeURL returns a database that has so much.
func largeURL(b *testing.B, n amounts) (url string) {
	b.Helper()
	url = os.Getenv(keptLarge)
	if url == "" {
		url = pgtest.DurableURL(b)
	}
	pool, err := pgxpool.New(b.Context(), url)
	require.NoError(b, err)
	defer pool.Close()
	require.NoError(b, migrations.Up(b.Context(), pool))
	conn := connect(b, url)
	var filled bool
	require.NoError(b, conn.QueryRow(b.Context(), `SELECT EXISTS (SELECT FROM rolecall.river_job)`).Scan(&filled))
	if !filled {
		fillLarge(b, conn, n)
	}
	return url
}

// fillLarge fills the tables of an empty schema.
func fillLarge(b testing.TB, conn *pgx.Conn, n amounts) {
	b.Helper()
	sizes := strings.NewReplacer("{memberships}", strconv.Itoa(n.memberships), "{workspaces}", strconv.Itoa(n.workspaces), "{users}", strconv.Itoa(n.users),
		"{audit}", strconv.Itoa(n.audit), "{deliveries}", strconv.Itoa(n.deliveries))
	heading := regexp.MustCompile(`(?m)^-- table: (\w+)$`)
	parts := heading.FindAllStringSubmatchIndex(largeSQL, -1)
	for i, part := range parts {
		end := len(largeSQL)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		withoutTriggers(b, conn, largeSQL[part[2]:part[3]], sizes.Replace(largeSQL[part[1]:end]))
	}
}

// BenchmarkFillLarge fills the database that [keptLarge] names, to try queries on it.
func BenchmarkFillLarge(b *testing.B) {
	if os.Getenv(keptLarge) != "" {
		largeURL(b, largest())
	}
}

// TestFillLarge fills a small instance as the large one is filled.
func TestFillLarge(t *testing.T) {
	t.Parallel()
	n := amounts{memberships: 4_000, workspaces: 400, users: 800, audit: 2_000, deliveries: 2_000}
	pool := pgtest.New(t)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	fillLarge(t, conn.Conn(), n)
	var twice, counted, members int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM (SELECT FROM rolecall.memberships WHERE deleted_at IS NULL GROUP BY organization_id, user_id HAVING count(*) > 1) twice),
		(SELECT sum(c.members) FROM rolecall.member_counts c JOIN rolecall.organizations o ON o.id = c.organization_id WHERE o.deleted_at IS NULL),
		(SELECT count(*) FROM rolecall.live_members)`).Scan(&twice, &counted, &members))
	require.Zero(t, twice)
	require.Equal(t, members, counted)
	require.Greater(t, members, n.memberships/2)
}
