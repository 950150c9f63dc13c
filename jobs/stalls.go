package jobs

import (
	"sync"
	"time"
)

const (
	// stallFor is how long a stall is remembered after it was last seen. Held-up deliveries are
	// tried more often than that, so a stall is remembered as long as it lasts.
	stallFor = 2 * time.Second
	// stallFresh is how long jobs rely on a stall that another job has just seen. So of a hundred
	// jobs that wait for one lock, one checks it.
	stallFresh = heldUpPause / 2
)

// stalls remembers the workspaces and objects of which a delivery was held up a moment ago. Their
// next delivery goes aside at once, and keeps no worker waiting. Its zero value is ready.
type stalls struct {
	mu  sync.Mutex
	all map[string]stall
}

// stall is what is known of one key.
type stall struct {
	seen time.Time
	sure bool // a job of QueueHeldUp has found it, too
}

// certainty says how sure a stall is.
type certainty int

// The certainties in rising order.
const (
	notStalled certainty = iota
	suspected
	sure
	justSeen // sure, and seen within stallFresh
)

// note remembers that keys are held up. A stall that is sure stays so.
func (s *stalls) note(now time.Time, isSure bool, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]stall{}
	}
	for key, old := range s.all {
		if now.Sub(old.seen) > stallFor {
			delete(s.all, key)
		}
	}
	for _, key := range keys {
		s.all[key] = stall{seen: now, sure: isSure || s.all[key].sure}
	}
}

// clear forgets keys, because a delivery of theirs went through.
func (s *stalls) clear(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.all, key)
	}
}

// none reports whether nothing is remembered.
func (s *stalls) none() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == 0
}

// of returns the highest certainty that one of the keys is held up.
func (s *stalls) of(now time.Time, keys []string) (highest certainty) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		known, ok := s.all[key]
		age := now.Sub(known.seen)
		switch {
		case !ok || age > stallFor:
		case known.sure && age < stallFresh:
			return justSeen
		case known.sure:
			highest = max(highest, sure)
		default:
			highest = max(highest, suspected)
		}
	}
	return highest
}
