package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// begin begins a transaction that waits only briefly for locks, and is rolled back at the test's
// end.
func begin(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), "SET LOCAL lock_timeout = '1s'")
	require.NoError(t, err)
	return tx
}

// oneOfEachKind makes mirrors of one object each, from a delivery that occurred some milliseconds
// after t0.
func oneOfEachKind(after int64) map[string]clerksync.Mirror {
	kinds := map[string]clerksync.Mirror{
		"user":         mirrorOf(user("user_1", after)),
		"membership":   mirrorOf(membership("orgmem_1", "org_1", "user_1", after)),
		"organization": mirrorOf(organization("org_1", after)),
		"invitation":   clerksync.NewMirror(),
		"domain":       clerksync.NewMirror(),
		"role":         clerksync.NewMirror(),
		"permission":   clerksync.NewMirror(),
	}
	kinds["invitation"].Invitations["orginv_1"] = clerksync.Invitation{
		Reference: clerksync.Reference{ID: "orginv_1", OrganizationID: "org_1"},
		Status:    text("pending", after), CreatedAt: clerksync.Field[int64]{Version: at(after)},
	}
	kinds["domain"].Domains["orgdmn_1"] = clerksync.Domain{Reference: clerksync.Reference{ID: "orgdmn_1", OrganizationID: "org_1"}, Name: text("a.test", after)}
	kinds["role"].Roles["role_1"] = clerksync.Role{Reference: clerksync.Reference{ID: "role_1"}, Key: text("org:clerk", after)}
	kinds["permission"].Permissions["perm_1"] = clerksync.Permission{Reference: clerksync.Reference{ID: "perm_1"}, Key: text("org:a:read", after)}
	return kinds
}

// TestSave_SecondToInsertRaces. When it tries again, it sees the first writer's row.
func TestSave_SecondToInsertRaces(t *testing.T) {
	t.Parallel()
	later := oneOfEachKind(2)
	for kind, first := range withoutMemberships(oneOfEachKind(1)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			second := later[kind]
			tx := begin(t, pool)
			locked := lock(t, tx, second)
			require.Equal(t, clerksync.NewMirror(), locked.Mirror)
			save(t, pool, first)
			require.ErrorIs(t, saveMirror(t, tx, locked, second), store.ErrRaced)
			require.NoError(t, tx.Rollback(t.Context()))

			tx = begin(t, pool)
			locked = lock(t, tx, second)
			require.Equal(t, first, locked.Mirror, "not written over")
			require.NoError(t, saveMirror(t, tx, locked, second))
			require.Equal(t, second, lock(t, tx, second).Mirror)
		})
	}
}

// TestSave_InsertWaitsForNoLock: the holder of the lock may itself be waiting for the writer.
func TestSave_InsertWaitsForNoLock(t *testing.T) {
	t.Parallel()
	for kind, m := range withoutMemberships(oneOfEachKind(1)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			adding, locking := begin(t, pool), begin(t, pool)
			locked := lock(t, adding, m)
			save(t, pool, m)
			require.Equal(t, m, lock(t, locking, m).Mirror)
			require.ErrorIs(t, saveMirror(t, adding, locked, m), store.ErrRaced)
		})
	}
}

// withoutMemberships leaves out the kind whose writers wait for each other before they save.
func withoutMemberships(kinds map[string]clerksync.Mirror) map[string]clerksync.Mirror {
	delete(kinds, "membership")
	return kinds
}

// TestSave_CountsAreLockedBeforeRowsAreAdded: another transaction that adds the same user, and
// holds the count, would otherwise wait for this one.
func TestSave_CountsAreLockedBeforeRowsAreAdded(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	save(t, pool, mirrorOf(membership("orgmem_1", "org_1", "user_1", 1)))
	holder, adding := begin(t, pool), begin(t, pool)
	_, err := holder.Exec(t.Context(), "SELECT FROM rolecall.member_counts FOR UPDATE")
	require.NoError(t, err)
	m := mirrorOf(membership("orgmem_2", "org_1", "user_2", 1), user("user_2", 1))
	_, err = adding.Exec(t.Context(), "SET LOCAL lock_timeout = '20s'") // the holder lets go
	require.NoError(t, err)
	locked := lock(t, adding, m)
	saved := make(chan error, 1)
	go func() { saved <- saveMirror(t, adding, locked, m) }()
	require.Eventually(t, func() bool {
		var waits bool
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits))
		return waits
	}, 10*time.Second, time.Millisecond)
	_, err = holder.Exec(t.Context(), "INSERT INTO rolecall.users (id) VALUES ('user_2')")
	require.NoError(t, err, "it waits for nothing")
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, <-saved)
}

// TestLockMirror_LocksRows until the transaction ends.
func TestLockMirror_LocksRows(t *testing.T) {
	t.Parallel()
	for kind, m := range oneOfEachKind(1) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			save(t, pool, m)
			first, second := begin(t, pool), begin(t, pool)
			lock(t, first, m)
			_, err := store.LockMirror(t.Context(), second, factsOf(m))
			require.Equal(t, "55P03", codeOf(err), "lock not available")
		})
	}
}

// TestLock_LocksOnlyRowsThatWereRead, as they are by then. An object that another transaction adds
// after the reading makes saving fail.
func TestLock_LocksOnlyRowsThatWereRead(t *testing.T) {
	t.Parallel()
	later := oneOfEachKind(2)
	for kind, m := range withoutMemberships(oneOfEachKind(1)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			facts := factsOf(m)
			read, err := store.ReadMirror(t.Context(), pool, facts)
			require.NoError(t, err)
			save(t, pool, m)
			adding := begin(t, pool)
			locked, err := read.Lock(t.Context(), adding, facts)
			require.NoError(t, err)
			require.Equal(t, clerksync.NewMirror(), locked.Mirror)
			require.ErrorIs(t, saveMirror(t, adding, locked, m), store.ErrRaced)
			require.NoError(t, adding.Rollback(t.Context()))

			read, err = store.ReadMirror(t.Context(), pool, facts)
			require.NoError(t, err)
			save(t, pool, later[kind])
			locking, second := begin(t, pool), begin(t, pool)
			locked, err = read.Lock(t.Context(), locking, facts)
			require.NoError(t, err)
			require.Equal(t, later[kind], locked.Mirror)
			_, err = store.LockMirror(t.Context(), second, facts)
			require.Equal(t, "55P03", codeOf(err), "lock not available")
		})
	}
}

// codeOf returns the SQLSTATE of an error.
func codeOf(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	return ""
}

// TestSave_NewAndKnownTogether, also over a row without a known object: earlier versions made
// such rows to lock.
func TestSave_NewAndKnownTogether(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	save(t, pool, mirrorOf(user("user_b", 1), user("user_d", 1)))
	_, err := pool.Exec(t.Context(), "INSERT INTO rolecall.users (id) VALUES ('user_empty')")
	require.NoError(t, err)
	changed := mirrorOf(user("user_a", 2), user("user_b", 2), user("user_c", 2), user("user_empty", 2))
	require.NotContains(t, lock(t, pool, changed).Users, "user_empty")
	save(t, pool, changed)
	require.Equal(t, changed, lock(t, pool, changed).Mirror)
	require.Equal(t, mirrorOf(user("user_d", 1)), lock(t, pool, mirrorOf(user("user_d", 1))).Mirror, "left alone")
}

// TestSave_TextThatPostgresCannotHold is the delivery's own fault.
func TestSave_TextThatPostgresCannotHold(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]clerksync.Mirror{
		"added": clerksync.NewMirror(), "changed": mirrorOf(organization("org_1", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.New(t)
			tx := begin(t, pool)
			save(t, tx, before)
			poison := mirrorOf(clerksync.Organization{Reference: clerksync.Reference{ID: "org_1"}, Name: text("a\x00", 2)})
			err := saveMirror(t, tx, lock(t, tx, poison), poison)
			require.Equal(t, "22021", codeOf(err), "%v", err)
			require.False(t, store.Unavailable(err))
		})
	}
}

// saveMirror saves what changed, and nothing else.
func saveMirror(t *testing.T, db store.DBTX, locked store.Locked, changed clerksync.Mirror) error {
	t.Helper()
	_, err := store.Save(t.Context(), db, locked, store.Writes{Changed: changed})
	return err
}
