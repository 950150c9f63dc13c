package changefeed

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
)

// run looks again and again what is to be published.
func (f *Feed) run(ctx context.Context) {
	defer close(f.done)
	for pause := lookEvery; ; {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-f.nudge:
		case <-timer.C:
		}
		timer.Stop()
		pause = f.lookOnce(ctx)
	}
}

// lookOnce publishes what waits, wakes the consumers that wait for it, and returns how long to
// pause.
func (f *Feed) lookOnce(ctx context.Context) (pause time.Duration) {
	stuck, err := f.publish(ctx)
	if ctx.Err() == nil {
		f.told(ctx, err)
	}
	if err != nil || stuck || f.Waiting() == 0 {
		return lookEvery
	}
	return lookOften
}

// publish publishes all that waits, unless another process does. It is stuck if nobody may.
func (f *Feed) publish(ctx context.Context) (stuck bool, err error) {
	last, waiting, err := f.progress(ctx)
	if err != nil {
		return false, err
	}
	f.reached(ctx, last)
	for waiting {
		done, err := f.publishSome(ctx)
		if err != nil || done.Busy || done.Unnoted {
			return done.Unnoted, err
		}
		f.reached(ctx, done.Last)
		if f.cfg.Published != nil && done.Changes > 0 {
			f.cfg.Published(done)
		}
		waiting = done.More
	}
	return false, nil
}

func (f *Feed) progress(ctx context.Context) (last store.FeedMark, waiting bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return store.FeedProgress(ctx, f.cfg.Pool)
}

func (f *Feed) publishSome(ctx context.Context) (done store.Published, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err = pgx.BeginFunc(ctx, f.cfg.Pool, func(tx pgx.Tx) (err error) {
		done, err = store.Publish(ctx, tx)
		return err
	})
	return done, err
}

// reached notes the last number that was given, and wakes those who wait for another one. It is a
// smaller one after a failover, or by chance the same one of another change. Only run calls it.
func (f *Feed) reached(ctx context.Context, last store.FeedMark) {
	known := f.known()
	if last == known {
		return
	}
	changed, all := []string(nil), true
	if f.choosy() {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		var err error
		changed, all, err = store.ChangedSince(ctx, f.cfg.Pool, known, last)
		all = all || err != nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.move(last, changed, all || f.last != known)
}

// choosy reports whether somebody waits for the changes of some workspaces only.
func (f *Feed) choosy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.waiters {
		if w.organizationIDs != nil {
			return true
		}
	}
	return false
}

// undone notes the number that a page told after a failover, unless another one has been noted
// since. So nobody waits for a number that doesn't exist any more.
func (f *Feed) undone(known, last store.FeedMark) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == known {
		f.move(last, nil, true)
	}
}

// move notes the last number, and wakes all who wait, or those who wait for what has changed.
func (f *Feed) move(last store.FeedMark, changed []string, all bool) {
	f.last = last
	for w := range f.waiters {
		if all || w.organizationIDs == nil || slices.ContainsFunc(w.organizationIDs, func(id string) bool { return slices.Contains(changed, id) }) {
			close(w.woken)
			delete(f.waiters, w)
		}
	}
}

// told logs the first of several failures, and the first success after them.
func (f *Feed) told(ctx context.Context, err error) {
	switch {
	case err != nil && !f.failing:
		f.cfg.Logger.WarnContext(ctx, "the change feed doesn't advance: trying again", "error", err)
	case err == nil && f.failing:
		f.cfg.Logger.InfoContext(ctx, "the change feed advances again")
	}
	f.failing = err != nil
}
