package clerkapi

import "time"

const (
	// pauseWithoutHint is how long calls pause after a 429 without a usable Retry-After: a fifth of
	// Clerk's window.
	pauseWithoutHint = 2 * time.Second
	// backgroundPause is the longest that background calls pause. Clerk counts reads over ten
	// seconds, so a longer Retry-After is a proxy's, or Clerk refuses all calls. One call a minute
	// then finds out whether that is over.
	backgroundPause = time.Minute
	// strangersPause is the longest that look-ups of strangers pause: one window of Clerk's.
	strangersPause = clerksWindow
	// commandsPause is the longest that commands pause. Their caller waits as long before trying
	// again.
	commandsPause = 5 * time.Second
)

// longestPause bounds the pause that a Retry-After may ask of a purpose's calls.
func (p Purpose) longestPause() time.Duration {
	switch p {
	case background:
		return backgroundPause
	case ForStranger:
		return strangersPause
	default:
		return commandsPause
	}
}

// pauses holds the end of the pause of each purpose.
type pauses [ForRemoval + 1]time.Time

// begin pauses the calls of a purpose that Clerk asked to wait, and of less urgent ones. More
// urgent calls are still sent: Clerk answers them itself. A shorter pause doesn't end a longer one.
func (p *pauses) begin(of Purpose, now time.Time, asked time.Duration) {
	for purpose := background; purpose <= of; purpose++ {
		if until := now.Add(min(asked, purpose.longestPause())); until.After(p[purpose]) {
			p[purpose] = until
		}
	}
}

// left returns how long calls of a purpose still pause; nothing or less if they don't.
func (p *pauses) left(of Purpose, now time.Time) time.Duration { return p[of].Sub(now) }
