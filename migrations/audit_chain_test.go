package migrations_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// chained is the migration that chains the audit log.
const chained = 5

// upTo migrates an empty database to an older schema.
func upTo(t *testing.T, pool *pgxpool.Pool, version int64) {
	t.Helper()
	names, err := filepath.Glob("0*.sql")
	require.NoError(t, err)
	files := fstest.MapFS{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		files[name] = &fstest.MapFile{Data: text}
	}
	_, err = pool.Exec(t.Context(), "CREATE SCHEMA IF NOT EXISTS rolecall")
	require.NoError(t, err)
	db := stdlib.OpenDBFromPool(pool)
	versions, err := database.NewStore(database.DialectPostgres, "rolecall.goose_db_version")
	require.NoError(t, err)
	provider, err := goose.NewProvider("", db, files, goose.WithStore(versions))
	require.NoError(t, err)
	_, err = provider.UpTo(t.Context(), version)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// oldEntry inserts an entry as instances from before the chains do.
func oldEntry(ctx context.Context, pool *pgxpool.Pool, organization string, n int) error {
	_, err := pool.Exec(ctx, `INSERT INTO rolecall.audit_log (organization_id, actor, action, target, before, after, at, cause)
		VALUES ($1, nullif($2, ''), 'member.joined', 'user_é', NULL, '{"role" : "org:member"}', now(), 'msg')`, organization, []string{"", "user_1"}[n%2])
	return err
}

func requireChained(t *testing.T, pool *pgxpool.Pool, want map[string]int64) {
	t.Helper()
	for organization, entries := range want {
		require.NoError(t, pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			report, err := store.VerifyChain(t.Context(), tx, organization, clerksync.Mark{})
			require.NoError(t, err)
			require.Nil(t, report.Broken, organization)
			require.Equal(t, entries, report.Entries, organization)
			return nil
		}))
	}
}

// TestAuditChain_OldEntriesAreChained, while instances of the older version still write.
func TestAuditChain_OldEntriesAreChained(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	upTo(t, pool, chained-1)
	want := map[string]int64{}
	add := func(organization string) error {
		want[organization]++
		return oldEntry(ctx, pool, organization, int(want[organization]))
	}
	for i := range 400 {
		require.NoError(t, add([]string{"", "org_1", "org_2", fmt.Sprint("org_many_", i)}[i%4]))
	}
	migrated := make(chan error, 1)
	go func() { migrated <- migrations.Up(ctx, pool) }()
	for i := 0; len(migrated) == 0; i++ {
		require.NoError(t, add([]string{"org_2", "org_many_7", fmt.Sprint("org_new_", i)}[i%3]))
	}
	require.NoError(t, <-migrated)
	require.NoError(t, add("org_2"))
	requireChained(t, pool, want)
	var left int
	require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'rolecall.audit_log'::regclass").Scan(&left))
	require.Equal(t, 5, left, "two of them for the change feed")
	_, err := pool.Exec(ctx, "UPDATE rolecall.audit_log SET actor = NULL WHERE false")
	require.ErrorContains(t, err, "append-only")
}

// TestAuditChain_ChainingCanBeRunAgain after any interruption, also just before it was noted as
// done.
func TestAuditChain_ChainingCanBeRunAgain(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	upTo(t, pool, chained-1)
	for i := range 6 {
		require.NoError(t, oldEntry(ctx, pool, []string{"org_1", "org_2", ""}[i%3], i))
	}
	for range 2 {
		upTo(t, pool, chained)
		_, err := pool.Exec(ctx, "DELETE FROM rolecall.goose_db_version WHERE version_id = $1", chained)
		require.NoError(t, err)
		require.NoError(t, oldEntry(ctx, pool, "org_1", 1))
	}
	require.NoError(t, migrations.Up(ctx, pool))
	requireChained(t, pool, map[string]int64{"org_1": 4, "org_2": 2, "": 2})
}

// TestAuditChain_EntriesFromBeforeImpersonatorsKeepTheirHashes, and verify in one chain with those
// that name one.
func TestAuditChain_EntriesFromBeforeImpersonatorsKeepTheirHashes(t *testing.T) {
	t.Parallel()
	const impersonated = 36
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	upTo(t, pool, impersonated-1)
	for n := range 5 {
		require.NoError(t, oldEntry(ctx, pool, "org_1", n))
	}
	hashes := func() (all []string) {
		rows, err := pool.Query(ctx, "SELECT encode(hash, 'hex') FROM rolecall.audit_log ORDER BY seq LIMIT 5")
		require.NoError(t, err)
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return all
	}
	before := hashes()
	require.NoError(t, migrations.Up(ctx, pool))
	require.Equal(t, before, hashes())
	requireChained(t, pool, map[string]int64{"org_1": 5})
	require.NoError(t, oldEntry(ctx, pool, "org_1", 5)) // of an older instance, which still runs
	_, err := pool.Exec(ctx, `INSERT INTO rolecall.audit_log (organization_id, actor, impersonator, action, target, at, cause)
		VALUES ('org_1', 'user_1', 'user_2', 'member.removed', 'user_3', now(), 'cmd')`)
	require.NoError(t, err)
	require.NoError(t, oldEntry(ctx, pool, "org_1", 6))
	requireChained(t, pool, map[string]int64{"org_1": 8})
}
