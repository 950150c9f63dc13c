package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// perUser limits how often each user may cause something: so that nobody uses up what all share.
type perUser struct {
	burst  int
	window time.Duration // in which burst comes back
	now    func() time.Time

	mu       sync.Mutex // between finding a user's limiter and remembering a new one
	limiters *generations[string, *rate.Limiter]
}

func newPerUser(burst int, window time.Duration, now func() time.Time) *perUser {
	return &perUser{burst: burst, window: window, now: now, limiters: newGenerations[string, *rate.Limiter](maxRemembered)}
}

// allows reports whether the user may once more, and counts it.
func (p *perUser) allows(userID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter := p.limiters.find(userID)
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(p.window/time.Duration(p.burst)), p.burst)
		p.limiters.remember(userID, limiter)
	}
	return limiter.AllowN(p.now(), 1)
}
