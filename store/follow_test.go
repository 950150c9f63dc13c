package store_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// followed asks a follower in a snapshot, as commands do.
func followed[T any](t *testing.T, pool *pgxpool.Pool, next func(context.Context, store.DBTX) ([]T, error)) (rows []T) {
	t.Helper()
	require.NoError(t, pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		rows, err = next(t.Context(), tx)
		return err
	}))
	return rows
}

func execute(t *testing.T, db store.DBTX, sql string, args ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

const insertDelivery = `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state)
	VALUES ($1, $2, $3, 'org_1', 'ins_1', now(), clock_timestamp() - $4::interval, '{"data":{"user_id":"user_1"}}', '', 'received')`

func TestLedgerFollower_ReturnsWhatIsCommittedLate(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	execute(t, pool, insertDelivery, "msg_before", "user.created", "user_1", "0s")
	follower := store.FollowLedger(store.Filter{})
	next := func() (got map[string]string) {
		got = map[string]string{}
		for _, r := range followed(t, pool, follower.Next) {
			got[r.SvixID] = string(r.State)
		}
		return got
	}
	require.Empty(t, next(), "it notes what is there")

	late, err := pool.Begin(t.Context())
	require.NoError(t, err)
	execute(t, late, insertDelivery, "msg_late", "user.created", "user_1", "20s")
	execute(t, pool, insertDelivery, "msg_early", "user.created", "user_1", "0s")
	require.Equal(t, map[string]string{"msg_early": "received"}, next())
	require.NoError(t, late.Commit(t.Context()))
	require.Equal(t, map[string]string{"msg_late": "received"}, next())
	require.Empty(t, next(), "each once")

	execute(t, pool, "UPDATE rolecall.deliveries SET state = 'applied' WHERE svix_id <> 'msg_late'")
	require.Equal(t, map[string]string{"msg_before": "applied", "msg_early": "applied"}, next())
	execute(t, pool, "DELETE FROM rolecall.deliveries WHERE svix_id = 'msg_late'") // a copy takes its place
	execute(t, pool, insertDelivery, "msg_late", "user.created", "user_1", "0s")
	require.Equal(t, map[string]string{"msg_late": "received"}, next())
}

func TestLedgerFollower_Filters(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	follower := store.FollowLedger(store.Filter{UserID: "user_1", State: "received"})
	followed(t, pool, follower.Next)
	execute(t, pool, `INSERT INTO rolecall.memberships (id, organization_id, user_id) VALUES ('orgmem_1', 'org_1', 'user_1')`)
	for id, of := range map[string][2]string{
		"msg_account": {"user.updated", "user_1"}, "msg_member": {"organizationMembership.created", "orgmem_1"}, "msg_session": {"session.ended", "sess_1"},
		"msg_other": {"user.updated", "user_2"}, "msg_workspace": {"organization.updated", "org_1"},
	} {
		execute(t, pool, insertDelivery, id, of[0], of[1], "0s")
	}
	var ids []string
	for _, r := range followed(t, pool, follower.Next) {
		ids = append(ids, r.SvixID)
	}
	require.ElementsMatch(t, []string{"msg_account", "msg_member", "msg_session"}, ids)
	listed, err := store.LedgerRows(t.Context(), pool, store.Filter{UserID: "user_1", Limit: 10})
	require.NoError(t, err)
	require.Len(t, listed, 3, "a list selects the same ones")
}

func TestAuditFollower_ReturnsWhatIsCommittedLate(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	insert := func(db store.DBTX, organization, target string) {
		execute(t, db, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ($1, 'a.b', $2, now(), 'c')`, organization, target)
	}
	insert(pool, "org_1", "before")
	beforeIt, err := pool.Begin(t.Context()) // began before the follower
	require.NoError(t, err)
	insert(beforeIt, "org_0", "begun before")
	all, one := store.FollowAudit(store.AuditQuery{}), store.FollowAudit(store.AuditQuery{OrganizationID: "org_2", Action: "a.b"})
	next := func(f *store.AuditFollower) (targets []string) {
		for _, e := range followed(t, pool, f.Next) {
			targets = append(targets, e.Target)
		}
		return targets
	}
	require.Empty(t, next(all))
	require.Empty(t, next(one))
	late, err := pool.Begin(t.Context())
	require.NoError(t, err)
	insert(late, "org_1", "late")
	insert(pool, "org_2", "early")
	require.Equal(t, []string{"early"}, next(all))
	require.Equal(t, []string{"early"}, next(one))
	require.NoError(t, late.Commit(t.Context()))
	require.NoError(t, beforeIt.Commit(t.Context()))
	require.Equal(t, []string{"begun before", "late"}, next(all))
	require.Empty(t, next(one))
	require.Empty(t, next(all), "each once")
}

// TestReadHorizon_WaitsForTheNewestTransaction: nothing that ends later has a newer id, and still
// it hasn't ended.
func TestReadHorizon_WaitsForTheNewestTransaction(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	read := func() (r dbsqlc.ReadHorizonRow) {
		require.NoError(t, pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
			r, err = dbsqlc.New().ReadHorizon(t.Context(), tx)
			return err
		}))
		return r
	}
	writes, err := pool.Begin(t.Context())
	require.NoError(t, err)
	execute(t, writes, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_1', 'a.b', 'c', now(), 'd')`)
	then := read()
	require.Less(t, read().Oldest, then.Next, "the transaction hasn't ended")
	require.NoError(t, writes.Commit(t.Context()))
	require.GreaterOrEqual(t, read().Oldest, then.Next, "it has ended")
}

// TestFollowAudit_OnAStandby: it draws no ids of transactions.
func TestFollowAudit_OnAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.NewCluster(t, nil)
	primary.Migrated("rolecall")
	standby := primary.Standby()
	pool, err := pgxpool.New(t.Context(), standby.URL("rolecall"))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	follower := store.FollowAudit(store.AuditQuery{})
	require.Empty(t, followed(t, pool, follower.Next), "it notes what is there")
	primary.Exec("rolecall", `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_1', 'a.b', 'c', now(), 'd')`)
	standby.CatchUp(primary)
	require.Len(t, followed(t, pool, follower.Next), 1)
}

// TestLedgerRows_PagesAreTheList: a page continues where the one before it ended, whatever ranges
// of time the query reads.
func TestLedgerRows_PagesAreTheList(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	execute(t, pool, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state)
		SELECT 'msg_' || n, 'user.created', '', '', '', now(), date_trunc('minute', now()) + interval '3 minutes' - interval '1 second' * (n / 2) ^ 4, '', 'applied'
		FROM generate_series(1, 120) n`) // two at a time, from the future until years ago
	all, err := store.LedgerRows(t.Context(), pool, store.Filter{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, all, 120)
	require.True(t, all[0].ReceivedAt.After(time.Now()))
	var paged []store.LedgerRow
	for before := (store.LedgerPosition{}); ; {
		page, err := store.LedgerRows(t.Context(), pool, store.Filter{Before: before, Limit: 7})
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
		before = page[len(page)-1].Position()
	}
	require.Equal(t, all, paged)
	for i, r := range all[1:] {
		require.False(t, r.ReceivedAt.After(all[i].ReceivedAt), "the newest first")
	}
	within, err := store.LedgerRows(t.Context(), pool, store.Filter{Since: all[99].ReceivedAt, Until: all[9].ReceivedAt, Limit: 1000})
	require.NoError(t, err)
	require.Equal(t, all[11:101], within, "since counts, until does not: both times are those of two deliveries")
}

// TestSearchLedger_StopsAndContinues: a search that takes too long says how far back it came, and
// searches that continue it find what is left.
func TestSearchLedger_StopsAndContinues(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	execute(t, pool, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body_sha256, state)
		SELECT 'msg_' || n, 'user.created', '', CASE WHEN n % 7 = 0 THEN 'org_1' ELSE '' END, '', now(), now() - interval '20 seconds' * n, '', 'applied'
		FROM generate_series(1, 100) n`)
	filter := store.Filter{OrganizationID: "org_1", Since: time.Now().Add(-time.Hour), Limit: 1000}
	all, back, err := store.SearchLedger(t.Context(), pool, filter, time.Hour)
	require.NoError(t, err)
	require.Len(t, all, 14)
	require.Zero(t, back)
	var found []store.LedgerRow
	searches := 0
	for back = time.Now(); !back.IsZero(); searches++ {
		var rows []store.LedgerRow
		before := back
		rows, back, err = store.SearchLedger(t.Context(), pool, filter, 1)
		require.NoError(t, err)
		require.True(t, back.Before(before), "each gets on")
		found = append(found, rows...)
		filter.Before = store.LedgerPosition{ReceivedAt: back}
	}
	require.Equal(t, all, found)
	require.Greater(t, searches, 10)
	filter.Before, filter.Limit = store.LedgerPosition{}, 1
	found, back, err = store.SearchLedger(t.Context(), pool, filter, time.Hour)
	require.NoError(t, err)
	require.Equal(t, all[:1], found)
	require.Zero(t, back, "it found as many as it should")
}

// counted counts queries.
type counted struct {
	store.DBTX

	queries int
}

func (c *counted) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.queries++
	return c.DBTX.Query(ctx, sql, args...)
}

func (c *counted) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c.queries++
	return c.DBTX.QueryRow(ctx, sql, args...)
}

// TestLedgerRows_NewestAreFoundAtOnce, however long ago they came: the search begins with the range
// that has enough of them. Those without bodies aren't left out.
func TestLedgerRows_NewestAreFoundAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	last, err := store.LastDelivery(t.Context(), pool)
	require.NoError(t, err)
	require.Zero(t, last)
	execute(t, pool, `INSERT INTO rolecall.deliveries (svix_id, event_type, object_id, organization_id, instance_id, occurred_at, received_at, body, body_sha256, state)
		SELECT 'msg_' || n, 'user.created', '', '', '', now(), '2026-01-01'::timestamptz - interval '2 ms' * n, CASE WHEN n % 2 = 1 THEN '{}' END, '', 'applied'
		FROM generate_series(0, 999) n`)
	db := &counted{DBTX: pool}
	rows, err := store.LedgerRows(t.Context(), db, store.Filter{Limit: 50})
	require.NoError(t, err)
	require.Equal(t, 2, db.queries)
	require.Len(t, rows, 50)
	for n, r := range rows {
		require.Equal(t, "msg_"+strconv.Itoa(n), r.SvixID)
	}
	last, err = store.LastDelivery(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, 4, db.queries)
	require.True(t, last.Equal(rows[0].ReceivedAt))
	execute(t, pool, `UPDATE rolecall.deliveries SET body = NULL`)
	pruned, err := store.LedgerRows(t.Context(), pool, store.Filter{Limit: 50})
	require.NoError(t, err)
	require.Equal(t, rows, pruned)
}
