package auth

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keysHardAge is the age from which Clerk is asked again before the set is used. After that
	// time, a key that Clerk withdrew is refused. Clerk's own SDKs keep keys for an hour.
	keysHardAge = time.Hour

	// keysSoftAge is the age from which a new set is fetched while the old one is still used. So
	// under traffic no caller waits for a refresh.
	keysSoftAge = 50 * time.Minute

	// keysMaxAge is how long keys are used while Clerk can't be reached. With keysHardAge alone, an
	// outage of Clerk would end all sessions after an hour. A day is longer than any such outage.
	// It also bounds how long an attacker who cuts us off from Clerk can keep a withdrawn key
	// alive.
	keysMaxAge = 24 * time.Hour

	// keysInterval is the least time between two refreshes, however many tokens name unknown keys.
	// Under attack this is at most six requests a minute. Tokens of a new key may be refused for
	// that long.
	keysInterval = 10 * time.Second

	// keysEmptyInterval is the same while there is no key. It is short, because no user is admitted
	// meanwhile.
	keysEmptyInterval = time.Second

	// keysFailureKept counts if the set is older than keysHardAge: for that long after a failed
	// refresh, callers don't wait for the next one. It must exceed keysInterval + keysTimeout, so
	// that under traffic the next refresh fails before this time is over.
	keysFailureKept = time.Minute

	// keysTimeout bounds one fetch, and a caller's wait for it. Clerk answers in well below a
	// second.
	keysTimeout = 3 * time.Second
)

// keyCache holds Clerk's signing keys. A key that left Clerk's set is dropped at the next refresh.
//
// One refresh runs at a time. It has a goroutine of its own, so that a caller that gives up doesn't
// end it for the others.
type keyCache struct {
	fetch   func() (signingKeys, error) // ends at keysTimeout or close; logs its error
	now     func() time.Time
	cancel  context.CancelFunc
	running sync.WaitGroup
	current atomic.Pointer[keySnapshot]

	mu          sync.Mutex
	closed      bool
	inFlight    chan struct{} // closed at the end of the running refresh; nil if none runs
	lastAttempt time.Time
	lastErr     error // of the last refresh that ended; nil if it succeeded
}

// keySnapshot is one key set as it was fetched. It is never changed. A nil one is empty and
// infinitely old.
type keySnapshot struct {
	keys      signingKeys
	fetchedAt time.Time
}

// age returns the time since the beginning of the snapshot's fetch.
func (s *keySnapshot) age(now time.Time) time.Duration {
	if s == nil {
		return keysMaxAge
	}
	return now.Sub(s.fetchedAt)
}

// key returns a key of the snapshot, or nil. A snapshot older than keysMaxAge has none.
func (s *keySnapshot) key(kid string, now time.Time) *rsa.PublicKey {
	if s.age(now) >= keysMaxAge {
		return nil
	}
	return s.keys[kid]
}

// newKeyCache returns an empty cache for a valid configuration. It makes no request.
func newKeyCache(config Config) *keyCache {
	client := *config.HTTPClient
	// Only the configuration decides the address of the keys: a redirect is treated as an error.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ctx, cancel := context.WithCancel(context.Background())
	return &keyCache{
		fetch: func() (signingKeys, error) {
			limited, stop := context.WithTimeout(ctx, keysTimeout)
			defer stop()
			keys, err := fetchSigningKeys(limited, &client, config.JWKSURL)
			if err != nil && ctx.Err() == nil {
				config.Logger.WarnContext(ctx, "refresh of signing keys failed", "error", err)
			}
			return keys, err
		},
		now:    config.Now,
		cancel: cancel,
	}
}

// key returns the key named kid. It refuses a key that isn't in the set, after a refresh if one is
// due. Its error matches ErrKeysUnavailable if there is no set. The pointer stays the same while
// refreshes bring the same key.
func (c *keyCache) key(ctx context.Context, kid string) (*rsa.PublicKey, error) {
	now, set := c.now(), c.current.Load()
	if key := set.key(kid, now); key != nil {
		age := set.age(now)
		if age < keysSoftAge {
			return key, nil
		}
		if age < keysHardAge || c.failedLately(now) {
			c.refresh(now)
			return key, nil
		}
	}
	set, err := c.refreshed(ctx, now)
	if err != nil {
		return nil, err
	}
	if key := set.keys[kid]; key != nil {
		return key, nil
	}
	return nil, refuse(ReasonUnknownKey)
}

// ready fetches a set unless there is a fresh one, and returns the number of keys.
func (c *keyCache) ready(ctx context.Context) (int, error) {
	now, set := c.now(), c.current.Load()
	if set.age(now) >= keysSoftAge {
		var err error
		if set, err = c.refreshed(ctx, now); err != nil {
			return 0, err
		}
	}
	return len(set.keys), nil
}

// refreshed returns the current set, after a refresh if one is due. Its error matches
// ErrKeysUnavailable: ctx has ended, or there is no set younger than keysMaxAge.
func (c *keyCache) refreshed(ctx context.Context, now time.Time) (*keySnapshot, error) {
	if done := c.refresh(now); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: wait for key set: %w", ErrKeysUnavailable, context.Cause(ctx))
		}
	}
	if set := c.current.Load(); set.age(c.now()) < keysMaxAge {
		return set, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, c.lastErr)
	}
	return nil, ErrKeysUnavailable
}

// failedLately reports whether the last refresh failed so recently that callers don't wait for the
// next one.
func (c *keyCache) failedLately(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr != nil && now.Sub(c.lastAttempt) < keysFailureKept
}

// refresh starts a refresh unless one runs, or the next one isn't allowed yet. It returns a channel
// that is closed when the running refresh ends, or nil if none runs.
func (c *keyCache) refresh(now time.Time) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight != nil {
		return c.inFlight
	}
	interval := keysInterval
	if c.current.Load().age(now) >= keysMaxAge {
		interval = keysEmptyInterval
	}
	tooEarly := !c.lastAttempt.IsZero() && now.Sub(c.lastAttempt) < interval
	if c.closed || tooEarly {
		return nil
	}
	c.lastAttempt = now
	done := make(chan struct{})
	c.inFlight = done
	c.running.Go(func() {
		keys, err := c.fetch()
		c.finish(now, keys, err)
		close(done)
	})
	return done
}

// finish stores the result of a refresh.
func (c *keyCache) finish(began time.Time, keys signingKeys, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight = nil
	c.lastErr = err
	if err == nil {
		c.current.Store(&keySnapshot{keys: keys.keeping(c.current.Load()), fetchedAt: began})
	}
}

// keeping returns the set with the previous pointers of unchanged keys. So tokens that were
// remembered with these keys stay remembered.
func (k signingKeys) keeping(previous *keySnapshot) signingKeys {
	if previous == nil {
		return k
	}
	for kid, key := range k {
		if old := previous.keys[kid]; old != nil && key.Equal(old) {
			k[kid] = old
		}
	}
	return k
}

// close ends a running refresh, waits for it, and lets no other begin.
func (c *keyCache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}
