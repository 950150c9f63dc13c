package changefeed_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/changefeed"
	"github.com/callmine/rolecall/internal/mirrortest"
	"github.com/callmine/rolecall/store"
)

func start(t *testing.T, b *mirrortest.DB, change func(*changefeed.Config)) *changefeed.Feed {
	t.Helper()
	cfg := changefeed.Config{Pool: b.Pool, Logger: b.Logs.Logger(), Snapshot: func(ctx context.Context, read func(store.DBTX) error) error {
		return pgx.BeginTxFunc(ctx, b.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error { return read(tx) })
	}}
	if change != nil {
		change(&cfg)
	}
	f, err := changefeed.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(f.Stop)
	return f
}

func record(t *testing.T, b *mirrortest.DB) {
	t.Helper()
	b.Exec(t, "INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('org_1', 'a.b', 'x', now(), 'c')")
}

func logged(t *testing.T, b *mirrortest.DB, line string) {
	t.Helper()
	mirrortest.Eventually(t, func() bool { return strings.Contains(b.Logs.String(), line) })
	require.Equal(t, 1, strings.Count(b.Logs.String(), line))
}

// TestFeed_PublishesWithoutConsumers, so that what waits doesn't grow.
func TestFeed_PublishesWithoutConsumers(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	b.NoteServer(t)
	published := make(chan store.Published, 1)
	start(t, b, func(c *changefeed.Config) { c.Published = func(p store.Published) { published <- p } })
	record(t, b)
	done := <-published
	require.EqualValues(t, 1, done.Changes)
	require.Positive(t, done.Waited)
	require.Zero(t, b.Count(t, "SELECT count(*) FROM rolecall.unpublished"))
}

// TestFeed_OutlivesTheDatabase: it says once that it doesn't advance, and once that it does again.
// Meanwhile, those who wait go on waiting.
func TestFeed_OutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	b.NoteServer(t)
	f := start(t, b, nil)
	begun, err := f.Page(t.Context(), store.FeedQuery{Latest: true})
	require.NoError(t, err)
	waited := make(chan struct{})
	go func() { defer close(waited); f.Wait(t.Context(), store.FeedQuery{}, begun.Last, time.Hour) }()
	mirrortest.Eventually(t, func() bool { return f.Waiting() == 1 })
	b.Exec(t, "ALTER TABLE rolecall.feed RENAME TO away")
	logged(t, b, "the change feed doesn't advance")
	record(t, b)
	b.Exec(t, "ALTER TABLE rolecall.away RENAME TO feed")
	<-waited
	page, err := f.Page(t.Context(), store.FeedQuery{After: begun.Next, Limit: 9})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
	logged(t, b, "the change feed advances again")
}

// TestFeed_NoNumberInAnUnknownHistory: consumers wait until somebody has noted the failover.
func TestFeed_NoNumberInAnUnknownHistory(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	f := start(t, b, nil)
	record(t, b)
	page, err := f.Page(t.Context(), store.FeedQuery{Limit: 9})
	require.NoError(t, err)
	require.Empty(t, page.Entries)
	waited := make(chan struct{})
	go func() { defer close(waited); f.Wait(t.Context(), store.FeedQuery{}, page.Last, time.Hour) }()
	mirrortest.Eventually(t, func() bool { return f.Waiting() == 1 })
	b.NoteServer(t)
	<-waited
	page, err = f.Page(t.Context(), store.FeedQuery{Limit: 9})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
}

// TestFeed_NoticesLostNumbers: after a failover, a page shows it before the publisher does. Those
// who wait are woken, and wait for what comes next then; also if another change got the number.
func TestFeed_NoticesLostNumbers(t *testing.T) {
	t.Parallel()
	for name, undo := range map[string]string{
		"a smaller number":             "WITH lost AS (DELETE FROM rolecall.changes WHERE number > 1) UPDATE rolecall.feed SET number = 1",
		"the number of another change": "UPDATE rolecall.feed SET published_at = now()",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mirrortest.New(t)
			b.NoteServer(t)
			pool := &stoppable{Pool: b.Pool}
			f := start(t, b, func(c *changefeed.Config) { c.Pool = pool })
			record(t, b)
			record(t, b)
			var page store.FeedPage
			mirrortest.Eventually(t, func() (all bool) {
				var err error
				page, err = f.Page(t.Context(), store.FeedQuery{Latest: true})
				require.NoError(t, err)
				return page.Last.Number == 2
			})
			waits := func(last store.FeedMark) chan struct{} {
				ended, before := make(chan struct{}), f.Waiting()
				go func() { defer close(ended); f.Wait(t.Context(), store.FeedQuery{}, last, time.Hour) }()
				mirrortest.Eventually(t, func() bool { return f.Waiting() == before+1 })
				return ended
			}
			ended := waits(page.Last)
			pool.stopped.Store(true)
			b.Exec(t, undo)
			page, err := f.Page(t.Context(), store.FeedQuery{Latest: true})
			require.NoError(t, err)
			<-ended
			ended = waits(page.Last)
			pool.stopped.Store(false)
			record(t, b)
			<-ended
		})
	}
}

// stoppable is a pool that can't reach the database for a while.
type stoppable struct {
	changefeed.Pool

	stopped atomic.Bool
}

type noRow struct{}

func (noRow) Scan(...any) error { return errors.New("no connection") }

func (p *stoppable) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if p.stopped.Load() {
		return noRow{}
	}
	return p.Pool.QueryRow(ctx, sql, args...)
}

// TestFeed_WakesWhomAChangeConcerns: others' changes cost a consumer of one workspace no query.
func TestFeed_WakesWhomAChangeConcerns(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t)
	b.NoteServer(t)
	f := start(t, b, nil)
	record(t, b) // of org_1
	var last store.FeedMark
	mirrortest.Eventually(t, func() bool {
		page, err := f.Page(t.Context(), store.FeedQuery{Latest: true})
		require.NoError(t, err)
		last = page.Last
		return last.Number == 1
	})
	waits := func(organizationIDs ...string) chan struct{} {
		ended, before := make(chan struct{}), f.Waiting()
		go func() {
			defer close(ended)
			f.Wait(t.Context(), store.FeedQuery{OrganizationIDs: organizationIDs}, last, time.Hour)
		}()
		mirrortest.Eventually(t, func() bool { return f.Waiting() == before+1 })
		return ended
	}
	other, mine, all := waits("org_2"), waits("org_3", "org_1"), waits()
	record(t, b)
	<-mine
	<-all
	require.Equal(t, 1, f.Waiting())
	b.Exec(t, "INSERT INTO rolecall.audit_log (organization_id, action, target, at, cause) VALUES ('', 'a.b', 'x', now(), 'c')")
	<-other
	require.Zero(t, f.Waiting())
}
