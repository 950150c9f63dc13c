package changefeed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
)

const (
	// lookEvery is how often a process publishes what other processes left, such as one that was
	// killed, or one of the version before.
	lookEvery = time.Second
	// lookOften is how often it looks while consumers wait. One cheap query serves all of them.
	lookOften = 10 * time.Millisecond
	// lookTimeout bounds one look, and readTimeout one page.
	lookTimeout = 5 * time.Second
	readTimeout = 5 * time.Second
	// publishTimeout bounds one transaction that publishes. It is enough for what a single statement
	// by hand may add: some million entries.
	publishTimeout = time.Minute
	// partingWait is how long a consumer may wait at a process that is stopping. Its balancer may not
	// know that yet: consumers who are answered at once would come back at once.
	partingWait = time.Second
)

// Pool is a pool of pgx, or what passes for one.
type Pool interface {
	store.DBTX
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Config configures a [Feed].
type Config struct {
	// Pool is where changes are published. Its sessions read what is committed before each statement,
	// and their commits are durable. Required.
	Pool Pool
	// Snapshot runs read on a primary that stands still meanwhile. Required only for consumers.
	Snapshot func(ctx context.Context, read func(store.DBTX) error) error
	// Published is called after each transaction that published something. Optional.
	Published func(store.Published)
	// Logger is told when publishing begins to fail. Required.
	Logger *slog.Logger
}

// Feed publishes changes while it runs, and knows who waits for them. It is safe for concurrent
// use.
type Feed struct {
	cfg   Config
	nudge chan struct{}

	mu       sync.Mutex
	last     store.FeedMark // the last number that is known here
	waiters  map[*waiter]struct{}
	draining chan struct{}
	failing  bool

	stop context.CancelFunc
	done chan struct{}
}

// Start returns a feed that publishes until [Feed.Stop].
func Start(ctx context.Context, cfg Config) (*Feed, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("change feed: Pool is missing")
	case cfg.Logger == nil:
		return nil, errors.New("change feed: Logger is missing")
	}
	f := &Feed{cfg: cfg, nudge: make(chan struct{}, 1), waiters: map[*waiter]struct{}{}, draining: make(chan struct{}), done: make(chan struct{})}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	go f.run(ctx)
	return f, nil
}

// Stop ends publishing. What isn't published then, another process publishes, or the next one.
func (f *Feed) Stop() {
	f.stop()
	<-f.done
}

// Drain answers those who wait now. Later, nobody waits for longer than a second.
func (f *Feed) Drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.draining:
	default:
		close(f.draining)
	}
}

// Nudge says that something was committed. If a consumer waits, it's published at once.
func (f *Feed) Nudge() {
	if f.Waiting() > 0 {
		f.look()
	}
}

// look lets run look now.
func (f *Feed) look() {
	select {
	case f.nudge <- struct{}{}:
	default: // it is about to
	}
}

// Waiting returns how many consumers wait.
func (f *Feed) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiters)
}

// Page returns a page of the feed. If something waits to be published, that begins at once.
func (f *Feed) Page(ctx context.Context, q store.FeedQuery) (page store.FeedPage, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	known := f.known()
	err = f.cfg.Snapshot(ctx, func(db store.DBTX) (err error) {
		page, err = store.ReadFeed(ctx, db, q)
		return err
	})
	if err == nil && known != page.Last && known.Number >= page.Last.Number {
		f.undone(known, page.Last)
	}
	if page.Unpublished {
		f.look()
	}
	return page, err
}

// waiter is a call of Wait.
type waiter struct {
	organizationIDs []string // as in its query
	woken           chan struct{}
}

// Wait returns when the last number isn't the given one any more, which a page told, and a change
// may be one that the query selects; after some time, when ctx ends, or when the process begins to
// stop. The caller then reads the next page, and sees.
func (f *Feed) Wait(ctx context.Context, q store.FeedQuery, last store.FeedMark, most time.Duration) {
	w := &waiter{organizationIDs: q.OrganizationIDs, woken: make(chan struct{})}
	if !f.enter(w, last) {
		return
	}
	defer f.leave(w)
	draining := f.draining
	select {
	case <-draining: // since before
		draining, most = nil, min(most, partingWait)
	default:
	}
	f.look() // run may be in a long pause
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-w.woken:
	case <-timer.C:
	case <-draining:
	case <-ctx.Done():
	}
}

// enter lets a consumer wait, unless there is another number already. A smaller one is from before
// the page.
func (f *Feed) enter(w *waiter, last store.FeedMark) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != last && f.last.Number >= last.Number {
		return false
	}
	f.waiters[w] = struct{}{}
	return true
}

func (f *Feed) known() store.FeedMark {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func (f *Feed) leave(w *waiter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiters, w)
}

// Draining is closed when the process begins to stop.
func (f *Feed) Draining() <-chan struct{} { return f.draining }
