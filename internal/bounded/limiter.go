package bounded

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxKeys bounds the keys that a Limiter remembers. At some 200 bytes each they take 20 MB. A key
// that isn't used is forgotten within ten seconds only if at least 5,000 new keys come in each
// second.
const maxKeys = 100_000

// Limiter limits how often an event may happen for each key, such as for each user. So one key
// can't use up a shared resource.
type Limiter struct {
	burst  int
	window time.Duration
	now    func() time.Time

	mu   sync.Mutex // held from finding a key's rate until a new one is remembered
	keys *Map[string, *rate.Limiter]
}

// NewLimiter returns a limiter that allows burst events for each key at once, and as many again in
// each window.
func NewLimiter(burst int, window time.Duration, now func() time.Time) *Limiter {
	return &Limiter{burst: burst, window: window, now: now, keys: NewMap[string, *rate.Limiter](maxKeys)}
}

// Allow reports whether the key may have one more event now, and counts it.
func (l *Limiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.keys.Find(key)
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(l.window/time.Duration(l.burst)), l.burst)
		l.keys.Put(key, limiter)
	}
	return limiter.AllowN(l.now(), 1)
}
