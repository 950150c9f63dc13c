package store_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// saveGrants saves a policy that was just read, in a transaction of its own.
func saveGrants(ctx context.Context, pool *pgxpool.Pool, policy clerksync.Grants) (store.SavedGrants, error) {
	return saveGrantsReadBefore(ctx, pool, policy, 0)
}

func saveGrantsReadBefore(ctx context.Context, pool *pgxpool.Pool, policy clerksync.Grants, age time.Duration) (saved store.SavedGrants, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
		saved, err = store.SaveGrants(ctx, tx, policy, age)
		return err
	})
	return saved, err
}

// rowVersions returns what changes with each write of the table of grants.
func rowVersions(t *testing.T, pool *pgxpool.Pool) (versions string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(),
		"SELECT coalesce(string_agg(xmin::text || ctid::text, ' ' ORDER BY role, permission), '') FROM rolecall.grants").Scan(&versions))
	return versions
}

func TestSaveGrants_OnlyIfTheyDiffer(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	first := clerksync.Grants{"org:admin": {"b", "a"}, "org:member": {"a"}, "org:guest": {}}
	did, err := saveGrants(t.Context(), pool, first)
	require.NoError(t, err)
	require.Equal(t, store.SavedGrants{Before: clerksync.Grants{}, Changed: true}, did)
	saved, err := store.Grants(t.Context(), pool)
	require.NoError(t, err)
	require.Equal(t, clerksync.Grants{"org:admin": {"a", "b"}, "org:member": {"a"}}, saved)

	written := rowVersions(t, pool)
	did, err = saveGrants(t.Context(), pool, clerksync.Grants{"org:member": {"a"}, "org:admin": {"a", "b", "a"}})
	require.NoError(t, err)
	require.Equal(t, store.SavedGrants{Before: saved}, did, "order and repeats mean nothing")
	require.Equal(t, written, rowVersions(t, pool), "nothing was written")

	did, err = saveGrants(t.Context(), pool, clerksync.Grants{"org:member": {"c"}})
	require.NoError(t, err)
	require.Equal(t, store.SavedGrants{Before: saved, Changed: true}, did)
	saved, err = store.Grants(t.Context(), pool)
	require.NoError(t, err)
	require.Equal(t, clerksync.Grants{"org:member": {"c"}}, saved)
}

// TestSaveGrants_PolicyReadLastCounts, whichever is saved last, and also if it grants what was
// granted before.
func TestSaveGrants_PolicyReadLastCounts(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.New(t)
	was, is, other := clerksync.Grants{"org:member": {"was"}}, clerksync.Grants{"org:member": {"is"}}, clerksync.Grants{"org:member": {"other"}}
	for _, step := range []struct {
		why    string
		policy clerksync.Grants
		age    time.Duration
		want   store.SavedGrants
	}{
		{"the first", is, 3 * time.Hour, store.SavedGrants{Before: clerksync.Grants{}, Changed: true}},
		{"read later", was, 2 * time.Hour, store.SavedGrants{Before: is, Changed: true}},
		{"read before", is, 150 * time.Minute, store.SavedGrants{Before: was, Overtaken: true}},
		{"read before, and the same", was, 150 * time.Minute, store.SavedGrants{Before: was}},
		{"read just now, and the same", was, 0, store.SavedGrants{Before: was}},
		{"read between those two", other, time.Hour, store.SavedGrants{Before: was, Overtaken: true}},
		{"read anew", is, 0, store.SavedGrants{Before: was, Changed: true}},
	} {
		did, err := saveGrantsReadBefore(ctx, pool, step.policy, step.age)
		require.NoError(t, err, step.why)
		require.Equal(t, step.want, did, step.why)
	}
	_, err := pool.Exec(ctx, "UPDATE rolecall.policy_reading SET read_at = now() + interval '1 hour'")
	require.NoError(t, err)
	did, err := saveGrants(ctx, pool, other)
	require.NoError(t, err)
	require.True(t, did.Changed, "the database's clock was set back")
}

// TestSaveGrants_InstancesThatStartAtOnce: the policy of one of them counts, whole. If they have
// the same, only one writes it.
func TestSaveGrants_InstancesThatStartAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	policies := make([]clerksync.Grants, 4)
	for i := range policies {
		for p := range 50 {
			role := "org:role" + strconv.Itoa(p%5)
			if policies[i] == nil {
				policies[i] = clerksync.Grants{}
			}
			policies[i][role] = append(policies[i][role], strconv.Itoa(i)+":"+strconv.Itoa(100+p))
		}
	}
	for range 5 {
		var instances errgroup.Group
		for _, policy := range policies {
			instances.Go(func() error {
				_, err := saveGrants(t.Context(), pool, policy)
				return err
			})
		}
		require.NoError(t, instances.Wait())
		saved, err := store.Grants(t.Context(), pool)
		require.NoError(t, err)
		require.Contains(t, policies, saved)
	}
	var wrote [4]bool
	var instances errgroup.Group
	same := clerksync.Grants{"org:admin": {"a"}}
	for i := range wrote {
		instances.Go(func() error {
			did, err := saveGrants(t.Context(), pool, same)
			wrote[i] = did.Changed
			return err
		})
	}
	require.NoError(t, instances.Wait())
	writers := 0
	for _, did := range wrote {
		if did {
			writers++
		}
	}
	require.Equal(t, 1, writers)
}

// TestSaveGrants_ReadersDoNotWait: they read the old policy until the new one is committed.
func TestSaveGrants_ReadersDoNotWait(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.New(t)
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 1)))
	_, err := saveGrants(ctx, pool, clerksync.Grants{"org:member": {"old"}})
	require.NoError(t, err)
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	did, err := store.SaveGrants(ctx, tx, clerksync.Grants{"org:member": {"new"}}, 0)
	require.NoError(t, err)
	require.True(t, did.Changed)
	require.True(t, can(t, pool, "user_1", "org_1", "old"))
	require.False(t, can(t, pool, "user_1", "org_1", "new"))
	require.NoError(t, tx.Commit(ctx))
	require.False(t, can(t, pool, "user_1", "org_1", "old"))
	require.True(t, can(t, pool, "user_1", "org_1", "new"))
}

// can asks the SQL function; nil is null.
func can(t *testing.T, db store.DBTX, user, workspace, permission any) (yes bool) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), "SELECT rolecall.can($1, $2, $3)", user, workspace, permission).Scan(&yes))
	return yes
}

// TestCan_NullMayNothing: a setting that wasn't set is null, and then `NOT can(…)` must not be
// null.
func TestCan_NullMayNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 1)))
	require.True(t, can(t, pool, "user_1", "org_1", ""))
	for _, args := range [][]any{{nil, "org_1", ""}, {"user_1", nil, ""}, {"user_1", "org_1", nil}, {"", "org_1", ""}, {"user_1", "", ""}} {
		require.False(t, can(t, pool, args[0], args[1], args[2]), args)
	}
	var workspaces int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.workspaces_of(NULL)").Scan(&workspaces))
	require.Zero(t, workspaces)
}

// TestReaderRole_MayAskAndNothingElse: it has no access to Rolecall's tables.
func TestReaderRole_MayAskAndNothingElse(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.New(t)
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 1)))
	as := func(role, query string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SET LOCAL ROLE "+role)
			require.NoError(t, err)
			_, err = tx.Exec(ctx, query)
			return err
		})
	}
	functions := []string{"SELECT rolecall.can('user_1', 'org_1', '')", "SELECT * FROM rolecall.workspaces_of('user_1')"}
	nobody := newRole(t, pool, "nobody")
	_, err := pool.Exec(ctx, "GRANT USAGE ON SCHEMA rolecall TO "+nobody)
	require.NoError(t, err)
	for _, query := range functions {
		require.NoError(t, as("rolecall_reader", query))
		require.ErrorContains(t, as(nobody, query), "permission denied for function", "not everybody")
	}
	requireNone := func(query string) {
		t.Helper()
		rows, err := pool.Query(ctx, query)
		require.NoError(t, err)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Empty(t, names)
	}
	requireNone(`SELECT relname FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind IN ('r', 'v')
		AND has_table_privilege('rolecall_reader', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')`)
	// Every role may execute two sorts of functions. Some compute from their arguments alone, with
	// the caller's rights. Triggers' functions can't be called; without the right to execute them,
	// only the role that migrated could make audited changes. Three more read, or write a pulse, with
	// the caller's rights.
	requireNone(`SELECT proname FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace AND proname NOT IN ('can', 'workspaces_of', 'role_keys', 'current_history', 'beat')
		AND has_function_privilege('rolecall_reader', oid, 'EXECUTE')
		AND (prosecdef OR provolatile <> 'i' AND prorettype <> 'trigger'::regtype)`)
	require.ErrorContains(t, as("rolecall_reader", "SELECT rolecall.role_keys()"), "permission denied")
	require.ErrorContains(t, as("rolecall_reader", "SELECT rolecall.current_history()"), "permission denied")
	require.ErrorContains(t, as("rolecall_reader", "SELECT rolecall.beat(1, 1)"), "permission denied")
	require.ErrorContains(t, as("rolecall_reader", "SELECT FROM rolecall.memberships"), "permission denied")
	require.ErrorContains(t, as("rolecall_reader", "CREATE TABLE rolecall.mine ()"), "permission denied")
	var attributes bool
	require.NoError(t, pool.QueryRow(ctx, `SELECT rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolbypassrls
		FROM pg_roles WHERE rolname = 'rolecall_reader'`).Scan(&attributes))
	require.False(t, attributes)
}

// TestCan_AgreesWithWorkspacesOf, whatever objects of the same names their caller has.
func TestCan_AgreesWithWorkspacesOf(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), pgtest.New(t)
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 1)))
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(ctx)) }()
	_, err = tx.Exec(ctx, `CREATE SCHEMA mine
		CREATE VIEW live_members AS SELECT 'org_2' AS organization_id, 'user_1' AS user_id, 'x' AS role, '{}'::text[] AS permissions;
		CREATE FUNCTION mine.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
		CREATE OPERATOR mine.= (LEFTARG = text, RIGHTARG = text, FUNCTION = mine.yes);
		SET LOCAL search_path = mine, pg_catalog`)
	require.NoError(t, err)
	require.True(t, can(t, tx, "user_1", "org_1", ""))
	require.False(t, can(t, tx, "user_1", "org_2", ""))
	require.False(t, can(t, tx, "user_1", "org_1", "x"))
	require.Empty(t, listed(t, tx, "SELECT * FROM rolecall.workspaces_of('user_2')"))
}
