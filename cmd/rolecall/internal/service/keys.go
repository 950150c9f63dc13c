package service

import (
	"context"
	"time"
)

// keysPatience is how long a start waits for Clerk's signing keys. Clerk answers in a tenth of a
// second or two. While Clerk hangs, a new process turns ready without keys: it must take webhooks,
// and with them revocations.
const keysPatience = 500 * time.Millisecond

// awaitKeys fetches the signing keys before the process is ready. Otherwise the first callers would
// wait for them.
func (s *Service) awaitKeys(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keysPatience)
	defer cancel()
	if _, err := s.authenticator.FetchKeys(ctx); err != nil {
		s.logger.WarnContext(ctx, "no signing keys yet: users get 503 until Clerk answers at the JWKS URL", "error", err)
	}
}
