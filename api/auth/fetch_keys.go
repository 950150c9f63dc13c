package auth

import (
	"context"
	"fmt"
)

// FetchKeys has the key set fetched, unless one that serves is there, and returns how many keys
// there are. It waits until ctx ends; the fetch goes on for up to three seconds. A process calls it
// at its start, so that its first caller waits for nothing.
func (a *Authenticator) FetchKeys(ctx context.Context) (int, error) {
	c := a.keys
	if c.current.Load().age(c.now()) >= keysSoftAge {
		if done := c.refresh(c.now()); done != nil {
			select {
			case <-done:
			case <-ctx.Done():
				return 0, fmt.Errorf("%w: wait for key set: %w", ErrKeysUnavailable, context.Cause(ctx))
			}
		}
	}
	return c.count()
}

// count returns how many keys there are, or why there is none.
func (c *keyCache) count() (int, error) {
	if set := c.current.Load(); set.age(c.now()) < keysMaxAge {
		return len(set.keys), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastErr != nil {
		return 0, fmt.Errorf("%w: %w", ErrKeysUnavailable, c.lastErr)
	}
	return 0, ErrKeysUnavailable
}
