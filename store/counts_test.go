package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// wrongFacts are the stored facts that differ from the rule: a live membership whose flag is wrong,
// and a workspace whose count is. Both rules stand here once more, independent of the migrations.
const wrongFacts = `SELECT m.id FROM rolecall.memberships m
	WHERE m.deleted_at IS NULL AND m.followed <> EXISTS (
		SELECT FROM rolecall.memberships n
		WHERE n.organization_id = m.organization_id AND n.user_id = m.user_id
			AND (n.created_at, n.deleted_at IS NULL, n.id) > (m.created_at, true, m.id)
			AND (n.deleted_at IS NOT NULL AND m.alive_at > n.deleted_at + interval '100 ms') IS NOT TRUE)
	UNION ALL
	SELECT o.id || ' has ' || o.members || ', counted ' || coalesce(c.members::text, 'never') FROM (
		SELECT m.organization_id, count(*) FILTER (WHERE m.deleted_at IS NULL
			AND NOT EXISTS (
				SELECT FROM rolecall.memberships n
				WHERE n.organization_id = m.organization_id AND n.user_id = m.user_id
					AND (n.created_at, n.deleted_at IS NULL, n.id) > (m.created_at, true, m.id)
					AND (n.deleted_at IS NOT NULL AND m.alive_at > n.deleted_at + interval '100 ms') IS NOT TRUE)
			AND NOT EXISTS (SELECT FROM rolecall.users u WHERE u.id = m.user_id AND (u.deleted_at IS NOT NULL OR u.banned OR u.deprovisioned)))
		FROM rolecall.memberships m GROUP BY m.organization_id
	) o (id, members)
	FULL JOIN rolecall.member_counts c ON c.organization_id = o.id
	WHERE coalesce(c.members, 0) <> coalesce(o.members, 0)`

// historyWrite is one statement of a history: it makes or changes a membership or an account.
func historyWrite(t *rapid.T) string {
	membership := fmt.Sprintf("orgmem_%d", rapid.IntRange(1, 6).Draw(t, "membership"))
	organization := fmt.Sprintf("org_%d", rapid.IntRange(1, 2).Draw(t, "organization"))
	user := fmt.Sprintf("user_%d", rapid.IntRange(1, 2).Draw(t, "user"))
	moment := func(name string) string {
		return fmt.Sprintf("to_timestamp(1790000000) + interval '%d ms'", 60*rapid.IntRange(0, 9).Draw(t, name))
	}
	maybe := func(name string) string {
		if rapid.Bool().Draw(t, name+" is known") {
			return moment(name)
		}
		return "NULL"
	}
	switch rapid.IntRange(0, 3).Draw(t, "write") {
	case 0: // an account
		return fmt.Sprintf(`INSERT INTO rolecall.users (id, banned, deprovisioned, deleted_at) VALUES ('%s', %t, %t, %s)
			ON CONFLICT (id) DO UPDATE SET banned = excluded.banned, deprovisioned = excluded.deprovisioned, deleted_at = excluded.deleted_at`,
			user, rapid.Bool().Draw(t, "banned"), rapid.Bool().Draw(t, "deprovisioned"), maybe("deleted"))
	case 1: // all memberships of a user
		return fmt.Sprintf("UPDATE rolecall.memberships SET deleted_at = %s WHERE user_id = '%s'", maybe("deleted"), user)
	default:
		return fmt.Sprintf(`INSERT INTO rolecall.memberships (id, organization_id, user_id, created_at, alive_at, deleted_at)
			VALUES ('%s', '%s', '%s', %s, %s, %s) ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at,
			alive_at = excluded.alive_at, deleted_at = excluded.deleted_at, organization_id = excluded.organization_id`,
			membership, organization, user, moment("created"), maybe("alive"), maybe("deleted"))
	}
}

// TestStoredFacts_FollowTheRule over random histories with several writers at once.
func TestStoredFacts_FollowTheRule(t *testing.T) {
	t.Parallel()
	cfg := pgtest.New(t).Config()
	cfg.ConnConfig.RuntimeParams["deadlock_timeout"] = "5ms"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	rapid.Check(t, func(t *rapid.T) {
		truncate(t, pool)
		histories := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(historyWrite), 1, 8), 1, 4).Draw(t, "histories of connections")
		var writers errgroup.Group
		for _, history := range histories {
			writers.Go(func() error { return play(pool, history) })
		}
		require.NoError(t, writers.Wait())
		requireNothingWrong(t, pool)
	})
}

// play commits each statement of a history, and again if it lost a race for locks.
func play(pool *pgxpool.Pool, history []string) error {
	for _, statement := range history {
		for {
			_, err := pool.Exec(context.Background(), statement)
			if err == nil {
				break
			}
			if !store.Unavailable(err) {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
	}
	return nil
}

func requireNothingWrong(t require.TestingT, pool *pgxpool.Pool) {
	var wrong []string
	rows, err := pool.Query(context.Background(), wrongFacts)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		wrong = append(wrong, id)
	}
	require.NoError(t, rows.Err())
	require.Empty(t, wrong)
}

// TestRolesStamp_ChangesWithRolesAndPermissions, and with nothing else, when they are committed.
func TestRolesStamp_ChangesWithRolesAndPermissions(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.New(t)
	stamp := func() (value *string) {
		err := pool.QueryRow(ctx, "SELECT roles_stamp::text FROM rolecall.revisions WHERE organization_id = ''").Scan(&value)
		require.NoError(t, err)
		return value
	}
	last := stamp()
	require.NotNil(t, last, "the migration's")
	for _, statement := range []string{
		"INSERT INTO rolecall.roles (id, key) VALUES ('role_1', 'org:admin')",
		"INSERT INTO rolecall.permissions (id, key) VALUES ('perm_1', 'org:a:b')",
		"UPDATE rolecall.roles SET permission_ids = '{perm_1}'",
		"UPDATE rolecall.permissions SET deleted_at = now()",
		"DELETE FROM rolecall.roles",
		"DELETE FROM rolecall.permissions",
	} {
		_, err := pool.Exec(ctx, statement)
		require.NoError(t, err)
		require.NotEqual(t, last, stamp(), statement)
		last = stamp()
		require.NotNil(t, last)
		save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 1)))
		require.Equal(t, last, stamp(), "a membership has no part in it")
	}
}

// TestLockMirror_LocksCountsInOneOrder, whether a batch adds a member to the first workspace and
// ends one of the second, or the reverse. Otherwise two batches could wait for each other.
func TestLockMirror_LocksCountsInOneOrder(t *testing.T) {
	t.Parallel()
	for added, ended := range map[string]string{"org_a": "org_b", "org_b": "org_a"} {
		t.Run("adds to "+added, func(t *testing.T) {
			t.Parallel()
			ctx, pool := t.Context(), pgtest.New(t)
			save(t, pool, mirrorOf(membership("orgmem_a", "org_a", "user_1", 1), membership("orgmem_b", "org_b", "user_2", 1)))
			gone := membership("orgmem_"+ended[4:], ended, map[string]string{"org_a": "user_1", "org_b": "user_2"}[ended], 1)
			gone.Tombstone = clerksync.Tombstone{OccurredAt: t0 + 9, DeliveryID: "msg_9"}
			blocker, err := pool.Begin(ctx)
			require.NoError(t, err)
			_, err = blocker.Exec(ctx, "SELECT FROM rolecall.member_counts WHERE organization_id = 'org_b' FOR UPDATE")
			require.NoError(t, err)
			saved := make(chan error, 1)
			go func() {
				saved <- pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					m := mirrorOf(gone, membership("orgmem_c", added, "user_3", 1))
					locked, err := store.LockMirror(ctx, tx, factsOf(m))
					if err != nil {
						return err
					}
					return saveMirror(t, tx, locked, m)
				})
			}()
			require.Eventually(t, func() bool {
				var waits bool
				require.NoError(t, pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits))
				return waits
			}, 10*time.Second, time.Millisecond)
			var free int
			require.NoError(t, pool.QueryRow(ctx, `WITH free AS (
				SELECT FROM rolecall.member_counts WHERE organization_id = 'org_a' FOR UPDATE SKIP LOCKED) SELECT count(*) FROM free`).Scan(&free))
			require.Zero(t, free, "the first workspace's count is locked first")
			require.NoError(t, blocker.Rollback(ctx))
			require.NoError(t, <-saved)
			requireNothingWrong(t, pool)
		})
	}
}
