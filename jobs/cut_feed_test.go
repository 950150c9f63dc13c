package jobs

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
)

func publishAll(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for more := true; more; {
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			done, err := store.Publish(t.Context(), tx)
			require.False(t, done.Unnoted)
			more = done.More
			return err
		}))
	}
}

func readFeed(t *testing.T, pool *pgxpool.Pool, q store.FeedQuery) (page store.FeedPage, err error) {
	t.Helper()
	err = pgx.BeginTxFunc(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) (err error) {
		page, err = store.ReadFeed(t.Context(), tx, q)
		return err
	})
	return page, err
}

// TestCutLog_ConsumersOfTheFeedBeginAnew if the cut took out what they hadn't read: of a member
// whose removal they never get, they would keep the joining. Others go on.
func TestCutLog_ConsumersOfTheFeedBeginAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.NoteServer(t)
	day := func(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }
	fillLog(t, b.Pool, day)
	publishAll(t, b.Pool)
	slow, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 20})
	require.NoError(t, err)
	require.True(t, slow.More)
	done, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 1000})
	require.NoError(t, err)
	require.False(t, done.More)

	require.NoError(t, CutLog(t.Context(), b.Pool, day(10), 0))
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: slow.Next, Limit: 20})
	require.ErrorIs(t, err, store.ErrPlaceExpired)
	anew, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 5})
	require.NoError(t, err)
	require.Equal(t, 1, b.Count(t, "SELECT count(*) FROM rolecall.feed_cuts"), "the last cut reaches farthest")
	left := b.Count(t, "SELECT count(*) FROM rolecall.changes")
	require.Equal(t, b.Count(t, "SELECT count(*) FROM rolecall.audit_log WHERE rolecall.in_feed(action, target)"), left)
	require.Less(t, left, len(done.Entries))
	rest, err := readFeed(t, b.Pool, store.FeedQuery{After: anew.Next, Limit: 1000})
	require.NoError(t, err)
	require.Len(t, rest.Entries, left-5)

	appendEntry(t, b.Pool, "org_1", "member.removed", "user_stays", `{"membership_id":"om_stays","role":"org:member"}`, "", day(21))
	appendEntry(t, b.Pool, "org_1", "report.run", "report_1", "", "", day(21))
	appendEntry(t, b.Pool, "org_1", "report.run", "report_2", "", "", day(30))
	publishAll(t, b.Pool)
	goesOn, err := readFeed(t, b.Pool, store.FeedQuery{After: done.Next, Limit: 20})
	require.NoError(t, err)
	require.Len(t, goesOn.Entries, 3)
	require.Equal(t, "user_stays", goesOn.Entries[0].Target)

	// Who was between what was kept and what goes now begins anew, too; who had read all that goes
	// doesn't.
	require.NoError(t, CutLog(t.Context(), b.Pool, day(25), 0))
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: anew.Next, Limit: 20})
	require.ErrorIs(t, err, store.ErrPlaceExpired)
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: goesOn.Entries[0].Place, Limit: 20})
	require.ErrorIs(t, err, store.ErrPlaceExpired)
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: goesOn.Entries[1].Place, Limit: 20})
	require.NoError(t, err)

	// An entry that goes before it had a number would be missed by all.
	end, err := readFeed(t, b.Pool, store.FeedQuery{Latest: true, Limit: 1})
	require.NoError(t, err)
	appendEntry(t, b.Pool, "org_2", "report.run", "report_1", "", "", day(31))
	appendEntry(t, b.Pool, "org_2", "report.run", "report_2", "", "", day(40))
	require.NoError(t, CutLog(t.Context(), b.Pool, day(35), 0))
	publishAll(t, b.Pool)
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: end.Next, Limit: 20})
	require.ErrorIs(t, err, store.ErrPlaceExpired)
	whole, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 1000})
	require.NoError(t, err)
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: whole.Next, Limit: 1000})
	require.NoError(t, err)
}

// TestCutLog_AfterAFailoverThatLostACut: a cursor has the number of the lost cut. No later cut gets
// it again, so whoever is behind a later one begins anew.
func TestCutLog_AfterAFailoverThatLostACut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.NoteServer(t)
	day := func(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }
	fillLog(t, b.Pool, day)
	publishAll(t, b.Pool)
	slow, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 20})
	require.NoError(t, err)
	done, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 1000})
	require.NoError(t, err)
	slow.Next.Cut++
	done.Next.Cut++

	b.Exec(t, "UPDATE rolecall.database_identity SET history = gen_random_uuid()")
	appendEntry(t, b.Pool, "org_1", "report.run", "report_1", "", "", day(21))
	publishAll(t, b.Pool)
	for _, place := range []store.FeedPlace{slow.Next, done.Next} {
		_, err = readFeed(t, b.Pool, store.FeedQuery{After: place, Limit: 20})
		require.NoError(t, err, "nothing was cut")
	}
	require.NoError(t, CutLog(t.Context(), b.Pool, day(10), 0))
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: slow.Next, Limit: 20})
	require.ErrorIs(t, err, store.ErrPlaceExpired)
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: done.Next, Limit: 20})
	require.NoError(t, err, "it had read all that was cut")

	// A cut that both servers have ends no place after it, not even one that ended all before it.
	appendEntry(t, b.Pool, "org_2", "report.run", "report_1", "", "", day(31))
	appendEntry(t, b.Pool, "org_2", "report.run", "report_2", "", "", day(40))
	require.NoError(t, CutLog(t.Context(), b.Pool, day(35), 0))
	publishAll(t, b.Pool)
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: done.Next, Limit: 20})
	require.ErrorIs(t, err, store.ErrPlaceExpired, "an entry went before it had a number")
	anew, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 20})
	require.NoError(t, err)
	b.Exec(t, "UPDATE rolecall.database_identity SET history = gen_random_uuid()")
	publishAll(t, b.Pool)
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: anew.Next, Limit: 20})
	require.NoError(t, err, "it began after the cut")
}

// TestCutLog_BeforeAFailoverIsPublished: the numbers of cuts jump, too, if the first thing after a
// failover is a cut. It waits until the new server is noted.
func TestCutLog_BeforeAFailoverIsPublished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.NoteServer(t)
	day := func(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }
	fillLog(t, b.Pool, day)
	publishAll(t, b.Pool)
	slow, err := readFeed(t, b.Pool, store.FeedQuery{Limit: 20})
	require.NoError(t, err)
	slow.Next.Cut++

	b.Exec(t, "UPDATE rolecall.database_identity SET history = gen_random_uuid(), timeline = timeline + 1")
	require.ErrorIs(t, CutLog(t.Context(), b.Pool, day(10), 0), store.ErrUnnoted)
	b.Exec(t, "UPDATE rolecall.database_identity SET timeline = timeline - 1")
	require.NoError(t, CutLog(t.Context(), b.Pool, day(10), 0))
	_, err = readFeed(t, b.Pool, store.FeedQuery{After: slow.Next, Limit: 20})
	require.ErrorIs(t, err, store.ErrPlaceExpired)
}
