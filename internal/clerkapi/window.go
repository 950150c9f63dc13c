package clerkapi

import "time"

// clerksWindow is the time over which Clerk counts an instance's calls (clerk.com, "Rate limits").
const clerksWindow = 10 * time.Second

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
