package migrations_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/migrations"
)

var update = flag.Bool("update", false, "write schema.sql instead of comparing it")

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	got, err := describe(t.Context(), pgtest.New(t))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile("schema.sql", []byte(got), 0o600))
	}
	want, err := os.ReadFile("schema.sql")
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run `make generate`")
}

func TestSchema_DescriptionMakesTheSchema(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	ddl, err := os.ReadFile("schema.sql")
	require.NoError(t, err)
	_, err = pool.Exec(ctx, string(ddl))
	require.NoError(t, err)
	got, err := describe(ctx, pool)
	require.NoError(t, err)
	require.Equal(t, string(ddl), got)
}

func TestUp_FromSeveralInstancesAtOnce(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	require.ErrorIs(t, migrations.Check(ctx, pool), migrations.ErrNoSchema)
	var instances errgroup.Group
	for range 4 {
		instances.Go(func() error { return migrations.Up(ctx, pool) })
	}
	require.NoError(t, instances.Wait())
	require.NoError(t, migrations.Check(ctx, pool))
	require.NoError(t, migrations.Up(ctx, pool), "once more changes nothing")
}

func TestUp_WithAPoolOfOneConnection(t *testing.T) {
	t.Parallel()
	cfg := pgtest.NewEmpty(t).Config()
	cfg.MaxConns = 1
	pool := open(t, cfg)
	require.NoError(t, migrations.Up(t.Context(), pool))
}

func TestCheck_SeesAnOlderSchema(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		older string
		want  error
	}{
		"ours":         {"UPDATE rolecall.goose_db_version SET is_applied = false WHERE version_id > 0", migrations.ErrOutdated},
		"River's":      {"DELETE FROM rolecall.river_migration WHERE version = (SELECT max(version) FROM rolecall.river_migration)", migrations.ErrOutdated},
		"half of them": {"DROP TABLE rolecall.river_migration", migrations.ErrOutdated},
		"none":         {"DROP SCHEMA rolecall CASCADE", migrations.ErrNoSchema},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			require.NoError(t, migrations.Check(t.Context(), pool))
			_, err := pool.Exec(t.Context(), tc.older)
			require.NoError(t, err)
			require.ErrorIs(t, migrations.Check(t.Context(), pool), tc.want)
		})
	}
}

func TestCheck_TakesANewerSchema(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	_, err := pool.Exec(t.Context(), "INSERT INTO rolecall.goose_db_version (version_id, is_applied) VALUES (99999, true)")
	require.NoError(t, err)
	require.NoError(t, migrations.Check(t.Context(), pool))
}

func TestCheck_UnreachableDatabaseIsNoOlderSchema(t *testing.T) {
	t.Parallel()
	pool := open(t, pgtest.New(t).Config())
	pool.Close()
	err := migrations.Check(t.Context(), pool)
	require.Error(t, err)
	require.NotErrorIs(t, err, migrations.ErrOutdated)
}

// TestUp_IndexOfActorsCanBeBuiltAgain after a build that was cut off, and left an invalid index.
func TestUp_IndexOfActorsCanBeBuiltAgain(t *testing.T) {
	t.Parallel()
	const cheaperWrites = 31
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	upTo(t, pool, cheaperWrites-1)
	indexes := func() (names string) {
		require.NoError(t, pool.QueryRow(ctx, `SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY indexrelid) FROM pg_index
			WHERE indrelid = 'rolecall.audit_log'::regclass AND indexrelid::regclass::text LIKE '%actor%'`).Scan(&names))
		return names
	}
	writer, err := pool.Begin(ctx)
	require.NoError(t, err)
	_, err = writer.Exec(ctx, "INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_1', 'a.b', 'x', now(), 'y')")
	require.NoError(t, err)
	cutOff(t, pool, "%CREATE INDEX CONCURRENTLY audit_log_of_actor%")
	require.NoError(t, writer.Commit(ctx))
	require.Equal(t, "rolecall.audit_log_actor true, rolecall.audit_log_of_actor false", indexes())
	require.NoError(t, migrations.Up(ctx, pool))
	require.Equal(t, "rolecall.audit_log_of_actor true", indexes())
}
