package migrations_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// The migrations that store which membership counts: one makes the columns and triggers, and
// the next one fills them.
const flagged, counted = 21, 22

// fillOld makes a mirror of an older version: workspaces of several sizes, pairs with several
// memberships, and users who are refused.
func fillOld(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO rolecall.users (id, banned, deleted_at)
			SELECT 'user_' || i, i % 7 = 0, CASE WHEN i % 11 = 0 THEN now() END FROM generate_series(1, 6000) i`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, created_at)
			SELECT 'orgmem_big' || i, 'org_big', 'user_' || i, to_timestamp(i) FROM generate_series(1, 6500) i`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, created_at, deleted_at, alive_at)
			SELECT 'orgmem_' || i, 'org_' || i % 50, 'user_' || i % 70, to_timestamp(i % 5),
				CASE WHEN i % 3 = 0 THEN to_timestamp(3) END, CASE WHEN i % 5 = 0 THEN to_timestamp(4) END FROM generate_series(1, 2000) i`,
	} {
		_, err := pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
}

// writeOld changes what an older version's instance would: it joins, removes, bans and unbans.
func writeOld(ctx context.Context, pool *pgxpool.Pool, n int) error {
	organization := []string{"org_big", fmt.Sprint("org_", n%50), fmt.Sprint("org_new_", n%9)}[n%3]
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO rolecall.memberships (id, organization_id, user_id, created_at) VALUES ('orgmem_new%d', '%s', 'user_%d', to_timestamp(%d))`,
			n, organization, n%70, n%6),
		fmt.Sprintf(`UPDATE rolecall.memberships SET deleted_at = to_timestamp(5) WHERE organization_id = '%s' AND user_id = 'user_%d' AND deleted_at IS NULL`,
			organization, n%60),
		fmt.Sprintf(`UPDATE rolecall.users SET banned = NOT banned WHERE id = 'user_%d'`, n%70),
	} {
		for {
			_, err := pool.Exec(ctx, statement)
			if err == nil {
				break
			}
			if !store.Unavailable(err) { // a lost race for locks is tried again
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
	}
	return nil
}

// requireStored requires that flags and counts are what the rules of migration 00020 say.
func requireStored(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `WITH ruled AS (
			SELECT m.id, m.organization_id, m.deleted_at IS NULL AS live, m.followed, EXISTS (
				SELECT FROM rolecall.memberships n WHERE n.organization_id = m.organization_id AND n.user_id = m.user_id
					AND (n.created_at, n.deleted_at IS NULL, n.id) > (m.created_at, true, m.id)
					AND (n.deleted_at IS NOT NULL AND m.alive_at > n.deleted_at + interval '100 ms') IS NOT TRUE) AS follows,
				u.deleted_at IS NOT NULL OR u.banned IS TRUE OR u.deprovisioned IS TRUE AS refused
			FROM rolecall.memberships m LEFT JOIN rolecall.users u ON u.id = m.user_id
		)
		SELECT id FROM ruled WHERE live AND followed <> follows
		UNION ALL
		SELECT o.id FROM (SELECT organization_id, count(*) FILTER (WHERE live AND NOT follows AND NOT refused) FROM ruled GROUP BY 1) o (id, members)
		FULL JOIN rolecall.member_counts c ON c.organization_id = o.id WHERE o.members IS DISTINCT FROM c.members`)
	require.NoError(t, err)
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Empty(t, wrong)
}

// TestCurrentMembers_OldRowsAreCounted, while instances of the older version still write.
func TestCurrentMembers_OldRowsAreCounted(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	upTo(t, pool, flagged-1)
	fillOld(t, pool)
	var writers errgroup.Group
	migrated := make(chan struct{})
	for writer := range 2 {
		writers.Go(func() error {
			for n := writer; ; n += 2 {
				if err := writeOld(ctx, pool, n); err != nil {
					return err
				}
				select {
				case <-migrated:
					return nil
				default:
				}
			}
		})
	}
	require.NoError(t, migrations.Up(ctx, pool))
	close(migrated)
	require.NoError(t, writers.Wait())
	requireStored(t, pool)
	require.NoError(t, writeOld(ctx, pool, 1_000_000))
	requireStored(t, pool)
}

// TestCurrentMembers_CountingCanBeRunAgain after an interruption at any workspace, also just before
// it was noted as done.
func TestCurrentMembers_CountingCanBeRunAgain(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.NewEmpty(t)
	upTo(t, pool, flagged-1)
	fillOld(t, pool)
	upTo(t, pool, flagged)
	for _, workspace := range []string{"org_1", "org_30", "org_big"} {
		blocker, err := pool.Begin(ctx) // a batch that locks its workspaces' counts is cut off there
		require.NoError(t, err)
		_, err = blocker.Exec(ctx, "INSERT INTO rolecall.member_counts VALUES ($1, 0)", workspace)
		require.NoError(t, err)
		cutOff(t, pool, "DO %")
		require.NoError(t, blocker.Rollback(ctx))
	}
	require.NoError(t, writeOld(ctx, pool, 1))
	for again := range 2 {
		upTo(t, pool, counted)
		_, err := pool.Exec(ctx, "DELETE FROM rolecall.goose_db_version WHERE version_id = $1", counted)
		require.NoError(t, err)
		require.NoError(t, writeOld(ctx, pool, 100+again))
	}
	require.NoError(t, migrations.Up(ctx, pool))
	require.NoError(t, migrations.Check(ctx, pool))
	requireStored(t, pool)
}

// cutOff migrates until a statement like the given one waits for a lock, and ends its session then.
func cutOff(t *testing.T, pool *pgxpool.Pool, statement string) {
	t.Helper()
	failed, own := make(chan error, 1), open(t, pool.Config())
	go func() { failed <- migrations.Up(t.Context(), own) }()
	require.Eventually(t, func() bool {
		var cut bool
		err := pool.QueryRow(t.Context(), `SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1`, statement).Scan(&cut)
		require.NoError(t, err)
		return cut
	}, time.Minute, time.Millisecond)
	require.Error(t, <-failed)
}

// TestCurrentMembers_CountingGivesWayInADeadlock: a writer holds what the counting wants next, and
// then wants what the counting holds.
func TestCurrentMembers_CountingGivesWayInADeadlock(t *testing.T) {
	t.Parallel()
	for name, writes := range map[string][2]string{
		"over a pair's flags": {
			"SELECT pg_advisory_xact_lock(1919904869, hashtext('user_1'))", // as a ban does
			"UPDATE rolecall.memberships SET role = 'org:x' WHERE user_id = 'user_1' AND organization_id = 'org_1'",
		},
		"over counts": {
			"INSERT INTO rolecall.member_counts VALUES ('org_z2', 0)",
			"INSERT INTO rolecall.member_counts VALUES ('org_z1', 0)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, pool := t.Context(), pgtest.NewEmpty(t)
			upTo(t, pool, flagged-1)
			fillOld(t, pool)
			_, err := pool.Exec(ctx, `INSERT INTO rolecall.memberships (id, organization_id, user_id)
				VALUES ('orgmem_z1', 'org_z1', 'user_1'), ('orgmem_z2', 'org_z2', 'user_1')`)
			require.NoError(t, err)
			upTo(t, pool, flagged)
			writer, err := pool.Begin(ctx)
			require.NoError(t, err)
			_, err = writer.Exec(ctx, "SET LOCAL deadlock_timeout = '1min'") // so that the counting finds the deadlock
			require.NoError(t, err)
			_, err = writer.Exec(ctx, writes[0])
			require.NoError(t, err)
			cfg := pool.Config() // it looks for a deadlock once: there is one by then, and its time for the lock isn't over
			cfg.ConnConfig.RuntimeParams["deadlock_timeout"] = "4s"
			counting, own := make(chan error, 1), open(t, cfg)
			go func() { counting <- migrations.Up(ctx, own) }()
			untilCountingWaits(t, pool)
			_, err = writer.Exec(ctx, writes[1])
			require.NoError(t, err)
			require.NoError(t, writer.Commit(ctx))
			require.NoError(t, <-counting)
			requireStored(t, pool)
		})
	}
}

// untilCountingWaits returns once the counting waits for a lock.
func untilCountingWaits(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waits bool
		err := pool.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'DO %'`).Scan(&waits)
		require.NoError(t, err)
		return waits
	}, time.Minute, time.Millisecond)
}
