package clerksim

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Clerk's limits of an instance's Backend API, and the window that they are counted in (Backend API
// document, POST /users).
const (
	rateWindow      = 10 * time.Second
	productionRate  = 1000
	developmentRate = 100
)

// RateLimit returns how many calls in ten seconds Clerk allows an instance of this kind: 1000 in
// production, else 100. Only [APIFaults.LimitRate] enforces it.
func (w *World) RateLimit() int {
	if w.cfg.EnvironmentType == "production" {
		return productionRate
	}
	return developmentRate
}

// LimitRate answers calls of the Backend API beyond so many in ten seconds with 429. Retry-After
// says in how many seconds the next window begins. A window begins with the first call after the
// end of the one before. Now is the clock for counting; nil is time.Now.
func (f *APIFaults) LimitRate(calls int, now func() time.Time) (lift func()) {
	if now == nil {
		now = time.Now
	}
	window := &callWindow{limit: calls}
	return f.add(fault{refusal: func(w http.ResponseWriter) bool {
		wait := window.admit(now())
		if wait == 0 {
			return false
		}
		seconds := (wait + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
		writeFailure(w, http.StatusTooManyRequests)
		return true
	}})
}

type callWindow struct {
	limit int

	mu    sync.Mutex
	ends  time.Time
	calls int
}

// admit counts a call and returns 0, or how long to wait.
func (w *callWindow) admit(at time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !at.Before(w.ends) {
		w.ends, w.calls = at.Add(rateWindow), 0
	}
	if w.calls++; w.calls > w.limit {
		return w.ends.Sub(at)
	}
	return 0
}
