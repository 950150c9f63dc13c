package clerkapi

import (
	"time"

	clerksync "github.com/callmine/rolecall/sync"
)

const clerksWindow = clerksync.ClerkWindow

// window remembers when the calls of the last ten seconds were sent. It slides, so Clerk's own
// window, wherever it begins, counts at most as many calls of ours.
type window struct{ sent []time.Time }

// add notes a call.
func (w *window) add(now time.Time) { w.sent = append(w.sent, now) }

// used returns how many calls were sent within one window before now, and forgets the others.
func (w *window) used(now time.Time) int {
	gone := 0
	for gone < len(w.sent) && now.Sub(w.sent[gone]) >= clerksWindow {
		gone++
	}
	w.sent = w.sent[gone:]
	return len(w.sent)
}

// until returns how long it takes until n of the calls have left the window. If n is more than were
// sent, the others are kept for calls under way, which end or are sent soon: then it returns a
// whole window.
func (w *window) until(n int, now time.Time) time.Duration {
	if n > len(w.sent) {
		return clerksWindow
	}
	return w.sent[n-1].Add(clerksWindow).Sub(now)
}

// agesApart is how exactly the ages of calls are told: calls of a tenth of a second count as the
// youngest of them could.
const agesApart = 100 * time.Millisecond

// ages returns how many calls of each age were sent within one window before now.
func (w *window) ages(now time.Time) (ages []clerksync.SentCalls) {
	w.used(now) // forgets older ones
	for _, at := range w.sent {
		age := max(0, now.Sub(at)).Truncate(agesApart).Seconds()
		if n := len(ages); n > 0 && ages[n-1].Age == age {
			ages[n-1].Calls++
		} else {
			ages = append(ages, clerksync.SentCalls{Age: age, Calls: 1})
		}
	}
	return ages
}
