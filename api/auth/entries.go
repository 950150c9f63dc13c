package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// lockoutAfter is how many users' tokens in a row must be refused to make a lockout.
	lockoutAfter = 5
	// lockoutQuiet is how long ago the last accepted token must be, if there was one: the settings
	// were right then.
	lockoutQuiet = 5 * time.Minute
	// lockoutKept is how long a lockout lasts after the last refusal, because users may have
	// stopped trying.
	lockoutKept = 10 * time.Minute
)

// Lockout says that users try to get in, and that none is admitted.
type Lockout struct {
	// Reason is the newest refusal's, or "keys_unavailable".
	Reason Reason
	// Seen is the value in the token that differs from the expected one, such as its issuer; or "".
	Seen string
	// Refused is how many users' tokens were refused since the last accepted one.
	Refused int
	// Since is when the first of them was refused.
	Since time.Time
}

// ReasonKeysUnavailable is a reason of lockouts only. Authenticate never refuses with it.
const ReasonKeysUnavailable Reason = "keys_unavailable"

// Entries watches whether users are admitted. It counts only refusals that invented tokens can't
// cause, so that attackers alone raise no alarm. It is safe for concurrent use.
type Entries struct {
	now func() time.Time

	mu       sync.Mutex
	admitted time.Time // the last user; zero if there was none
	newest   time.Time // the last refusal that counts
	lockout  Lockout
	expired  map[tokenDigest]struct{} // the expired tokens that were counted
}

// NewEntries returns a watch with the given clock; nil is time.Now.
func NewEntries(now func() time.Time) *Entries {
	if now == nil {
		now = time.Now
	}
	return &Entries{now: now, expired: map[tokenDigest]struct{}{}}
}

// Lockout returns the current lockout, if there is one.
func (e *Entries) Lockout() (Lockout, bool) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	quiet := e.admitted.IsZero() || now.Sub(e.admitted) >= lockoutQuiet
	return e.lockout, e.lockout.Refused >= lockoutAfter && quiet && now.Sub(e.newest) < lockoutKept
}

// admit records that a user was admitted.
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

// refuse records that a user's token was refused, or couldn't be judged. Each expired token counts
// once, because a client that repeats it says nothing about other users. Many different expired
// tokens mean that this clock is ahead.
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
		if len(e.expired) > lockoutAfter { // they make a lockout: take no more memory
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
