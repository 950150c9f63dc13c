package jobs

import (
	"slices"
	"sync"
	"time"
)

// stallFor is how long a stall is remembered after it was last seen. Deliveries that are held up are tried more often, so
// that a stall that lasts stays known.
const stallFor = 2 * time.Second

// stalls remembers the workspaces and objects of which a delivery was held up a moment ago: the next delivery of the same
// goes aside at once, and costs no worker the wait. Its zero value is ready.
type stalls struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// note remembers keys from now on.
func (s *stalls) note(now time.Time, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = map[string]time.Time{}
	}
	for key, until := range s.until {
		if now.After(until) {
			delete(s.until, key)
		}
	}
	for _, key := range keys {
		s.until[key] = now.Add(stallFor)
	}
}

// clear forgets keys: a delivery of theirs went through.
func (s *stalls) clear(keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.until, key)
	}
}

// any reports whether anything is remembered.
func (s *stalls) any(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, until := range s.until {
		if now.Before(until) {
			return true
		}
	}
	return false
}

// have reports whether one of the keys is remembered.
func (s *stalls) have(now time.Time, keys []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(keys, func(key string) bool { return now.Before(s.until[key]) })
}
