package jobs

import (
	"context"
	"sync"
	"time"
)

// wakeGrace is how long a wake-up that is due waits for a commit that carries it.
const wakeGrace = 2 * time.Millisecond

// wakes says which commits wake the workers of QueueApply. A wake-up costs the commit, the
// listening session and the workers' process as much as storing a delivery, and workers that have
// just fetched don't fetch again before [applyCooldown] has passed. So a commit within that time
// leaves its wake-up to the next one, or to a timer. That counts on [collectors] to be 1: of two
// commits at once, the one that wakes could come first. If the process dies meanwhile, the workers
// find the job when they poll.
type wakes struct {
	send func(context.Context) error // wakes the workers without a commit

	mu      sync.Mutex
	last    time.Time   // when the workers were woken
	owed    *time.Timer // wakes them; nil if no commit has left its wake-up
	sending sync.WaitGroup
}

// due reports whether a commit that begins now wakes the workers.
func (w *wakes) due() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.last) >= applyCooldown
}

// committed notes a commit, and whether it woke the workers.
func (w *wakes) committed(woke bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case woke:
		w.last = time.Now()
		w.settle()
	case w.owed == nil:
		w.sending.Add(1)
		w.owed = time.AfterFunc(time.Until(w.last.Add(applyCooldown+wakeGrace)), w.expired)
	}
}

// settle ends what is owed, and reports whether it was still to be sent.
func (w *wakes) settle() bool {
	stopped := w.owed != nil && w.owed.Stop()
	if stopped {
		w.owed = nil
		w.sending.Done()
	}
	return stopped
}

// expired sends the wake-up that no commit carried.
func (w *wakes) expired() {
	defer w.sending.Done()
	w.mu.Lock()
	w.last, w.owed = time.Now(), nil
	w.mu.Unlock()
	w.sendNow()
}

func (w *wakes) sendNow() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchPollInterval)
	defer cancel()
	_ = w.send(ctx) // the workers have polled before it could be sent again
}

// stop sends what is owed. No commit may follow.
func (w *wakes) stop() {
	w.mu.Lock()
	left := w.settle()
	w.mu.Unlock()
	if left {
		w.sendNow()
	}
	w.sending.Wait()
}
