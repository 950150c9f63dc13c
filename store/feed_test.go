package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/store"
)

// newFeed returns a database whose server is noted, so that changes are published.
func newFeed(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := pgtest.New(t)
	noteServer(t, pool)
	return pool
}

func noteServer(t *testing.T, db store.DBTX) {
	t.Helper()
	var now store.Identity
	require.NoError(t, db.QueryRow(t.Context(), `SELECT system_identifier::text, ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int
		FROM pg_control_system()`).Scan(&now.System, &now.Timeline))
	require.NoError(t, store.SaveIdentity(t.Context(), db, now))
}

// renewHistory notes a failover.
func renewHistory(t *testing.T, db store.DBTX) {
	t.Helper()
	execute(t, db, "UPDATE rolecall.database_identity SET history = gen_random_uuid()")
}

// record adds a plain entry, in the caller's transaction.
func record(t require.TestingT, db store.DBTX, organizationID, action, target string) {
	_, err := db.Exec(context.Background(), `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ($1, $2, $3, clock_timestamp(), 'c')`,
		organizationID, action, target)
	require.NoError(t, err)
}

// publish publishes all that is committed.
func publish(t require.TestingT, pool *pgxpool.Pool) {
	for more := true; more; {
		require.NoError(t, pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
			done, err := store.Publish(context.Background(), tx)
			more = done.More || done.Busy // a session that was killed holds its lock until Postgres has cleaned up
			return err
		}))
	}
}

// read reads a page of the feed.
func read(pool *pgxpool.Pool, q store.FeedQuery) (page store.FeedPage, err error) {
	ctx := context.Background()
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		page, err = store.ReadFeed(ctx, tx, q)
		return err
	})
	return page, err
}

// targets reads the feed to its end, two changes at a time or as many as the query says, and
// returns the targets.
func targets(t require.TestingT, pool *pgxpool.Pool, q store.FeedQuery) (found []string, end store.FeedPage) {
	q.Limit = max(q.Limit, 2)
	for {
		page, err := read(pool, q)
		require.NoError(t, err)
		for _, e := range page.Entries {
			found = append(found, e.Target)
		}
		if !page.More {
			return found, page
		}
		q = q.Following(page)
	}
}

// TestFeed_HasEachCommittedChangeOnce: while transactions commit out of order or not at all, while
// publishers die at any point, and consumers read, each consumer gets exactly what was committed,
// each chain in its order, and never less than a page says to be complete.
func TestFeed_HasEachCommittedChangeOnce(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	const writers, transactions = 6, 20
	var mu sync.Mutex
	committed := map[string]time.Time{} // targets, by when their commit was over
	var writing errgroup.Group
	for w := range writers {
		writing.Go(func() error {
			for n := range transactions {
				names, err := commitSome(pool, fmt.Sprintf("%d-%d", w, n))
				if err != nil || names == nil {
					if err != nil {
						return err
					}
					continue
				}
				var now time.Time
				if err := pool.QueryRow(context.Background(), "SELECT clock_timestamp()").Scan(&now); err != nil {
					return err
				}
				mu.Lock()
				for _, name := range names {
					committed[name] = now
				}
				mu.Unlock()
			}
			return nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var rest errgroup.Group
	for range 3 {
		rest.Go(func() error { return publishAndDie(ctx, pool) })
	}
	consumers := []*feedConsumer{{limit: 1}, {limit: 7}, {limit: 200}}
	for _, c := range consumers {
		rest.Go(func() error {
			for ctx.Err() == nil {
				if err := c.next(t, pool, &mu, committed); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, writing.Wait())
	cancel()
	require.NoError(t, rest.Wait())
	publish(t, pool)
	for _, c := range append(consumers, &feedConsumer{limit: 50}) {
		for before := -1; before < len(c.seen); {
			before = len(c.seen)
			require.NoError(t, c.next(t, pool, &mu, committed))
		}
		require.Len(t, c.seen, len(committed))
	}
}

// commitSome appends to some chains in one transaction, and returns the targets; nil if it rolled
// back.
func commitSome(pool *pgxpool.Pool, name string) (names []string, err error) {
	ctx := context.Background()
	tx, err := pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	for org := rand.IntN(3); org < 4; org += 1 + rand.IntN(3) { // in one order, as all writers do
		for i := range 1 + rand.IntN(2) {
			target := fmt.Sprintf("%s-%d-%d", name, org, i)
			_, err := tx.Exec(ctx, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
				SELECT $1, 'a.b', $2 || n, clock_timestamp(), 'c' FROM generate_series(1, 2) n`, fmt.Sprint("org_", org), target)
			if err != nil {
				return nil, err
			}
			names = append(names, target+"1", target+"2")
		}
	}
	if rand.IntN(5) == 0 {
		return nil, nil
	}
	return names, tx.Commit(ctx)
}

// publishAndDie publishes until ctx ends. Now and then, its session ends before its commit.
func publishAndDie(ctx context.Context, pool *pgxpool.Pool) error {
	for ctx.Err() == nil {
		err := pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
			if _, err := store.Publish(context.Background(), tx); err != nil {
				return err
			}
			if rand.IntN(3) == 0 {
				_, err := tx.Exec(context.Background(), "SELECT pg_terminate_backend(pg_backend_pid())")
				return err
			}
			return nil
		})
		if killed, ok := errors.AsType[*pgconn.PgError](err); err != nil && (!ok || killed.Code != "57P01") {
			return err
		}
	}
	return nil
}

// feedConsumer keeps its place, and checks all that it gets.
type feedConsumer struct {
	limit int
	place store.FeedPlace
	seen  map[string]bool
	last  map[string]int64 // numbers of the chains' last entries
}

func (c *feedConsumer) next(t require.TestingT, pool *pgxpool.Pool, mu *sync.Mutex, committed map[string]time.Time) error {
	if c.seen == nil {
		c.seen, c.last = map[string]bool{}, map[string]int64{}
	}
	page, err := read(pool, store.FeedQuery{After: c.place, Limit: c.limit})
	if err != nil {
		return err
	}
	for _, e := range page.Entries {
		require.False(t, c.seen[e.Target], "%s came twice", e.Target)
		require.Equal(t, c.last[e.OrganizationID]+1, e.Seq, "in the order of %s", e.OrganizationID)
		c.seen[e.Target], c.last[e.OrganizationID] = true, e.Seq
	}
	if len(page.Entries) > 0 && rand.IntN(2) == 0 {
		page.Next = page.Entries[len(page.Entries)-1].Place
	}
	c.place, err = store.ParseFeedPlace(page.Next.String())
	mu.Lock()
	defer mu.Unlock()
	for name, at := range committed {
		require.False(t, at.Before(page.CompleteUntil) && !c.seen[name], "%s was committed before %s", name, page.CompleteUntil)
	}
	return err
}

// TestFeed_TellsOfWorkspacesAndTheInstance: a filtered page has the changes of its workspaces and
// those of the whole instance, and its end is that of the feed.
func TestFeed_TellsOfWorkspacesAndTheInstance(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	for i, org := range []string{"org_1", "org_2", "", "org_1", "org_3", "org_2", "org_1"} {
		record(t, pool, org, "user.banned", fmt.Sprint(org, "/", i))
	}
	record(t, pool, "org_1", "member.restated", "of the past")
	record(t, pool, "", "operator.erased", "of an operator")
	record(t, pool, "org_1", "report.restated", "of a product")
	publish(t, pool)
	all, end := targets(t, pool, store.FeedQuery{})
	require.Equal(t, []string{"org_1/0", "org_2/1", "/2", "org_1/3", "org_3/4", "org_2/5", "org_1/6", "of a product"}, all)
	one, endOfOne := targets(t, pool, store.FeedQuery{OrganizationIDs: []string{"org_1"}})
	require.Equal(t, []string{"org_1/0", "/2", "org_1/3", "org_1/6", "of a product"}, one)
	two, _ := targets(t, pool, store.FeedQuery{OrganizationIDs: []string{"org_2", "org_3"}})
	require.Equal(t, []string{"org_2/1", "/2", "org_3/4", "org_2/5"}, two)
	none, endOfNone := targets(t, pool, store.FeedQuery{OrganizationIDs: []string{"org_none"}})
	require.Equal(t, []string{"/2"}, none)
	latest, endOfLatest := targets(t, pool, store.FeedQuery{Latest: true})
	require.Empty(t, latest)
	for _, other := range []store.FeedPage{endOfOne, endOfNone, endOfLatest} {
		require.Equal(t, end.Next, other.Next)
	}
}

// TestFeed_HasRevisions at which the changes are in force.
func TestFeed_HasRevisions(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	execute(t, pool, "INSERT INTO rolecall.revisions (organization_id, revision) VALUES ('org_1', 40), ('', 2) ON CONFLICT (organization_id) DO UPDATE SET revision = excluded.revision")
	record(t, pool, "org_1", "member.removed", "user_1")
	record(t, pool, "", "user.banned", "user_1")
	publish(t, pool)
	page, err := read(pool, store.FeedQuery{Limit: 9})
	require.NoError(t, err)
	require.Equal(t, []int64{42, 0}, []int64{page.Entries[0].Revision, page.Entries[1].Revision})
}

// TestFeed_NumbersOldEntriesFirst: chain by chain, the instance's at last. Meanwhile nothing is
// said to be complete.
func TestFeed_NumbersOldEntriesFirst(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	execute(t, pool, "ALTER TABLE rolecall.audit_log DISABLE TRIGGER audit_log_unpublished") // as before the migration
	execute(t, pool, "INSERT INTO rolecall.revisions (organization_id, revision) VALUES ('org_1', 40), ('', 2) ON CONFLICT (organization_id) DO UPDATE SET revision = excluded.revision")
	var want []string
	for _, org := range []string{"", "org_1", "org_2", "org_3"} {
		execute(t, pool, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
			SELECT $1, CASE n % 10 WHEN 0 THEN 'user.restated' ELSE 'a.b' END, $1 || '/' || n, now(), 'c' FROM generate_series(1, 1500) n`, org)
	}
	for _, org := range []string{"org_1", "org_2", "org_3", ""} {
		for n := range 1500 {
			if n%10 != 9 {
				want = append(want, fmt.Sprint(org, "/", n+1))
			}
		}
	}
	execute(t, pool, "UPDATE rolecall.feed SET old_through = (SELECT max(id) FROM rolecall.audit_log)")
	execute(t, pool, "ALTER TABLE rolecall.audit_log ENABLE TRIGGER audit_log_unpublished")
	record(t, pool, "org_0", "a.b", "new")
	execute(t, pool, "DELETE FROM rolecall.unpublished") // as if one of them had been there twice
	execute(t, pool, "INSERT INTO rolecall.unpublished (entry_ids) SELECT array_agg(id ORDER BY id) FROM rolecall.audit_log WHERE target IN ('new', 'org_1/1')")
	page, err := read(pool, store.FeedQuery{Limit: 9})
	require.NoError(t, err)
	require.True(t, page.CompleteUntil.Equal(time.Unix(0, 0)))
	require.True(t, page.Unpublished)
	var done store.Published
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
		done, err = store.Publish(t.Context(), tx)
		return err
	}))
	require.True(t, done.More, "not all of them in one transaction")
	got, end := targets(t, pool, store.FeedQuery{Limit: 200})
	require.Equal(t, want[:len(got)], got)
	require.True(t, end.CompleteUntil.Equal(time.Unix(0, 0)))
	publish(t, pool)
	got, end = targets(t, pool, store.FeedQuery{Limit: 200})
	require.Equal(t, append(want, "new"), got)
	require.Less(t, time.Since(end.CompleteUntil), time.Minute)
	first, err := read(pool, store.FeedQuery{Limit: 1})
	require.NoError(t, err)
	require.EqualValues(t, 42, first.Entries[0].Revision)
}

// TestFeed_PlaceAfterOldEntriesCounts, although the last transaction had none left to number.
func TestFeed_PlaceAfterOldEntriesCounts(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	execute(t, pool, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
		SELECT 'org_1', 'a.b', n::text, now(), 'c' FROM generate_series(1, 2000) n`)
	execute(t, pool, "DELETE FROM rolecall.unpublished")
	execute(t, pool, "UPDATE rolecall.feed SET old_through = (SELECT max(id) FROM rolecall.audit_log)") // as before the migration
	publish(t, pool)
	got, end := targets(t, pool, store.FeedQuery{Limit: 200})
	require.Len(t, got, 2000)
	_, err := read(pool, store.FeedQuery{After: end.Next, Limit: 9})
	require.NoError(t, err)
}

// TestFeed_LooksOnlyWhereSomethingCanAppear: deleted rows would hold it up while a dump goes on. A
// transaction that drew its id early is awaited.
func TestFeed_LooksOnlyWhereSomethingCanAppear(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	from := func() (id int64) {
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT unpublished_from FROM rolecall.feed").Scan(&id))
		return id
	}
	open, err := pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = open.Rollback(context.Background()) })
	record(t, open, "org_0", "a.b", "early")
	var early int64
	require.NoError(t, open.QueryRow(t.Context(), "SELECT max(id) FROM rolecall.unpublished").Scan(&early))
	for n := range 20 {
		record(t, pool, "org_1", "a.b", fmt.Sprint("later ", n))
		publish(t, pool)
		require.LessOrEqual(t, from(), early)
	}
	require.NoError(t, open.Commit(t.Context()))
	_, waiting, err := store.FeedProgress(t.Context(), pool)
	require.NoError(t, err)
	require.True(t, waiting)
	since, err := store.UnpublishedSince(t.Context(), pool)
	require.NoError(t, err)
	require.False(t, since.IsZero())
	for n := 0; from() < early+20; n++ { // other tests' transactions hold it up, too
		record(t, pool, "org_2", "a.b", fmt.Sprint("last ", n))
		publish(t, pool)
	}
	got, end := targets(t, pool, store.FeedQuery{})
	require.Contains(t, got, "early")
	require.False(t, end.Unpublished)
	publish(t, pool) // nothing
	record(t, pool, "org_1", "a.b", "one more")
	publish(t, pool)
	got, _ = targets(t, pool, store.FeedQuery{})
	require.Equal(t, "one more", got[len(got)-1])
}

// TestFeed_PublishesALotInParts, and says that it is complete only after the last.
func TestFeed_PublishesALotInParts(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	for range 3 {
		execute(t, pool, `INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause)
			SELECT 'org_1', 'a.b', n::text, now(), 'c' FROM generate_series(1, 1200) n`)
	}
	for _, want := range []int64{2400, 1200} {
		var done store.Published
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
			done, err = store.Publish(t.Context(), tx)
			return err
		}))
		require.Equal(t, want, done.Changes)
		require.Equal(t, want == 2400, done.More)
		page, err := read(pool, store.FeedQuery{Latest: true})
		require.NoError(t, err)
		require.Equal(t, done.More, page.CompleteUntil.Equal(time.Unix(0, 0)))
	}
}

// TestFeed_PlacesOfLostChangesDontCount: a failover, and a backup that is restored unnoticed, lose
// changes whose numbers are then given again.
func TestFeed_PlacesOfLostChangesDontCount(t *testing.T) {
	t.Parallel()
	for name, noted := range map[string]bool{"noted": true, "unnoticed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newFeed(t)
			place := func() store.FeedPlace {
				_, end := targets(t, pool, store.FeedQuery{})
				return end.Next
			}
			beginning := place()
			record(t, pool, "org_1", "a.b", "kept")
			publish(t, pool)
			kept := place()
			record(t, pool, "org_1", "a.b", "lost")
			record(t, pool, "org_2", "a.b", "lost, too")
			publish(t, pool)
			lost := place()

			// The standby has the first change only.
			execute(t, pool, "DELETE FROM rolecall.changes WHERE number > 1")
			execute(t, pool, "UPDATE rolecall.feed SET number = 1, published_at = (SELECT published_at FROM rolecall.changes)")
			if noted {
				renewHistory(t, pool)
			}
			_, err := read(pool, store.FeedQuery{After: lost, Limit: 9})
			require.ErrorIs(t, err, store.ErrPlaceExpired)
			for n := range 4 {
				record(t, pool, "org_3", "a.b", fmt.Sprint("new ", n))
				publish(t, pool)
				_, err = read(pool, store.FeedQuery{After: lost, Limit: 9})
				require.ErrorIs(t, err, store.ErrPlaceExpired, "after %d changes", n)
			}
			for _, before := range []store.FeedPlace{beginning, kept} {
				got, end := targets(t, pool, store.FeedQuery{After: before})
				require.Equal(t, []string{"new 0", "new 1", "new 2", "new 3"}, got[len(got)-4:])
				again, _ := targets(t, pool, store.FeedQuery{After: end.Next})
				require.Empty(t, again)
			}
		})
	}
}

// TestFeed_GivesNoNumbersInAnUnknownHistory: until somebody has noted the failover, the numbers
// could be those of lost changes.
func TestFeed_GivesNoNumbersInAnUnknownHistory(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	record(t, pool, "org_1", "a.b", "waits")
	execute(t, pool, "UPDATE rolecall.database_identity SET timeline = timeline + 1")
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		done, err := store.Publish(t.Context(), tx)
		require.True(t, done.Unnoted)
		return err
	}))
	got, end := targets(t, pool, store.FeedQuery{})
	require.Empty(t, got)
	require.True(t, end.CompleteUntil.Equal(time.Unix(0, 0)))
	noteServer(t, pool)
	publish(t, pool)
	got, _ = targets(t, pool, store.FeedQuery{})
	require.Equal(t, []string{"waits"}, got)
}

// TestFeed_OnePublishesAtATime: another one leaves at once, and does nothing.
func TestFeed_OnePublishesAtATime(t *testing.T) {
	t.Parallel()
	pool := newFeed(t)
	record(t, pool, "org_1", "a.b", "one")
	first, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = store.Publish(t.Context(), first)
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		done, err := store.Publish(t.Context(), tx)
		require.True(t, done.Busy)
		return err
	}))
	require.NoError(t, first.Commit(t.Context()))
	got, _ := targets(t, pool, store.FeedQuery{})
	require.Equal(t, []string{"one"}, got)
}

func TestFeedPlace_IsReadAsWritten(t *testing.T) {
	t.Parallel()
	p := store.FeedPlace{Number: 17, History: [16]byte{1, 2, 255}, PublishedAt: time.UnixMicro(1_790_000_000_000_001).UTC(), Cut: 3}
	read, err := store.ParseFeedPlace(p.String())
	require.NoError(t, err)
	require.Equal(t, p, read)
	text := p.String()
	for _, wrong := range []string{"", text[1:], text + "A", text[:len(text)-1], "B" + text[1:], text + "=", " " + text, text[:20] + "!" + text[21:]} {
		_, err := store.ParseFeedPlace(wrong)
		require.ErrorIs(t, err, store.ErrNoPlace, wrong)
	}
	for _, wrong := range []store.FeedPlace{{Number: -1}, {Cut: -1}, {}} { // the zero time is before all places
		_, err := store.ParseFeedPlace(wrong.String())
		require.ErrorIs(t, err, store.ErrNoPlace)
	}
	require.True(t, slices.Equal([]byte(text), []byte(read.String())))
}
