package policy

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// keeperBundle is a database with one member, in which keepers save their policies.
type keeperBundle struct{ db *pgxpool.Pool }

func setupKeeper(t *testing.T) *keeperBundle {
	t.Helper()
	db, err := pgxpool.New(t.Context(), pgtest.URL(t))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	_, err = db.Exec(t.Context(), "INSERT INTO rolecall.memberships (id, organization_id, user_id, role) VALUES ('orgmem_1', 'org_1', 'user_1', 'org:member')")
	require.NoError(t, err)
	return &keeperBundle{db: db}
}

// keeper returns a keeper of the built-in policy, once it is read.
func (b *keeperBundle) keeper(log *testlog.Lines) *Keeper {
	return newKeeper(KeeperConfig{
		Source: BuiltIn, Logger: log.Logger(), SaveEvery: time.Millisecond,
		Read: func(context.Context) (Policy, error) { return Default() },
		Save: func(ctx context.Context, grants clerksync.Grants, readAt time.Time) (saved store.SavedGrants, err error) {
			err = pgx.BeginFunc(ctx, b.db, func(tx pgx.Tx) (err error) {
				saved, err = store.SaveGrants(ctx, tx, grants, time.Since(readAt))
				return err
			})
			return saved, err
		},
	})
}

// unwritable prevents saving until the returned function is called.
func (b *keeperBundle) unwritable(t *testing.T) (writable func()) {
	t.Helper()
	_, err := b.db.Exec(t.Context(), "ALTER TABLE rolecall.grants RENAME TO away")
	require.NoError(t, err)
	return func() {
		_, err := b.db.Exec(t.Context(), "ALTER TABLE rolecall.away RENAME TO grants")
		require.NoError(t, err)
	}
}

// can asks Postgres whether the member has a permission.
func (b *keeperBundle) can(t *testing.T, permission string) (allowed bool) {
	t.Helper()
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT rolecall.can('user_1', 'org_1', $1)", permission).Scan(&allowed))
	return allowed
}

// TestKeeper_SavesOnceItCan: a process that starts while the database can't be written to keeps
// trying.
func TestKeeper_SavesOnceItCan(t *testing.T) {
	t.Parallel()
	b, log := setupKeeper(t), &testlog.Lines{}
	ctx, cancel := context.WithCancel(t.Context())
	k := b.keeper(log)
	k.use(ctx, Policy{Grants: clerksync.Grants{"org:member": {"a"}}}, time.Now())
	writable := b.unwritable(t)
	require.False(t, k.save(ctx))
	require.Contains(t, log.String(), "policy not saved")
	var keeping sync.WaitGroup
	keeping.Go(func() { k.run(ctx, false) })
	writable()
	require.Eventually(t, func() bool {
		saved, err := store.Grants(ctx, b.db)
		return err == nil && len(saved["org:member"]) == 1
	}, 20*time.Second, time.Millisecond)
	cancel()
	keeping.Wait()
}

// TestKeeper_UnsavedPolicyDoesNotReplaceALaterOne: an instance that read an older policy, and could
// save only now, doesn't restore a revoked permission.
func TestKeeper_UnsavedPolicyDoesNotReplaceALaterOne(t *testing.T) {
	t.Parallel()
	b, log := setupKeeper(t), &testlog.Lines{}
	ctx := t.Context()
	earlier := b.keeper(log)
	earlier.use(ctx, Policy{Grants: clerksync.Grants{"org:member": {"billing:manage"}}}, time.Now().Add(-time.Minute))
	writable := b.unwritable(t)
	require.False(t, earlier.save(ctx), "the database can't be written to")
	writable()

	later := b.keeper(&testlog.Lines{})
	later.use(ctx, Policy{Grants: clerksync.Grants{"org:member": {"reports:read"}}}, time.Now()) // billing was taken from members
	require.True(t, later.save(ctx))
	require.True(t, earlier.save(ctx), "it needn't try again")
	require.True(t, b.can(t, "reports:read"))
	require.False(t, b.can(t, "billing:manage"))
	require.Contains(t, log.String(), "another instance has read a different policy more recently")
	require.NoError(t, earlier.read(ctx)) // the built-in policy, which was now read last
	require.True(t, earlier.save(ctx))
	require.True(t, b.can(t, "analyses:run"))
}
