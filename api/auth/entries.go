package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// lockoutAfter is the number of users' tokens that are refused in a lockout, with none accepted
	// between them.
	lockoutAfter = 5
	// lockoutQuiet is how long none must have been accepted, where one ever was: the settings were
	// right once.
	lockoutQuiet = 5 * time.Minute
	// lockoutKept is how long a lockout lasts after the last refusal: users may have stopped
	// trying.
	lockoutKept = 10 * time.Minute
)

// Lockout says that users come, and that none gets in.
type Lockout struct {
	// Reason is the newest refusal's, or "keys_unavailable".
	Reason Reason
	// Seen is the token's value where another one is expected, such as its issuer; or "".
	Seen string
	// Refused is how many users' tokens were refused since the last one that was accepted.
	Refused int
	// Since is when the first of them was.
	Since time.Time
}

// ReasonKeysUnavailable is of a lockout only: nothing is refused for it.
const ReasonKeysUnavailable Reason = "keys_unavailable"

// Entries watches whether users get in. It counts only refusals that invented tokens can't cause:
// attackers alone raise no alarm. It is safe for concurrent use.
type Entries struct {
	now func() time.Time

	mu       sync.Mutex
	admitted time.Time // the last user; zero if there was none
	newest   time.Time // the last refusal that counts
	lockout  Lockout
	expired  map[tokenDigest]struct{} // those that were counted
}

// NewEntries returns a watch with a clock of its own, or time.Now for nil.
func NewEntries(now func() time.Time) *Entries {
	if now == nil {
		now = time.Now
	}
	return &Entries{now: now, expired: map[tokenDigest]struct{}{}}
}

// Lockout returns the lockout that there is now.
func (e *Entries) Lockout() (Lockout, bool) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	quiet := e.admitted.IsZero() || now.Sub(e.admitted) >= lockoutQuiet
	return e.lockout, e.lockout.Refused >= lockoutAfter && quiet && now.Sub(e.newest) < lockoutKept
}

// admit is told that a user got in.
func (e *Entries) admit() {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.admitted = now
	if e.lockout.Refused > 0 {
		e.lockout = Lockout{}
		clear(e.expired)
	}
}

// refuse is told that a user's token was refused, or couldn't be judged. Each expired token counts
// once: a client that repeats it says nothing of other users. Many of them mean that this clock is
// ahead.
func (e *Entries) refuse(reason Reason, seen, token string) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if reason == ReasonExpired {
		digest := tokenDigest(sha256.Sum256([]byte(token)))
		if _, counted := e.expired[digest]; counted {
			return
		}
		e.newest = now
		if len(e.expired) > lockoutAfter { // they are enough, and take no more memory
			return
		}
		e.expired[digest] = struct{}{}
	}
	if e.lockout.Refused == 0 {
		e.lockout.Since = now
	}
	e.lockout.Refused++
	e.lockout.Reason, e.lockout.Seen, e.newest = reason, seen, now
}
