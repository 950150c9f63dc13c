package api

import (
	"context"

	"github.com/callmine/rolecall/store"
)

// Refresher looks up strangers at Clerk. So a user who has just accepted an invitation is admitted
// before the webhook arrives. Both methods report whether the mirror should be read again. They
// bound the time that they take, and are safe for concurrent use.
type Refresher interface {
	// Refresh looks up the memberships of pairs of a user and an organization. It leaves out ids
	// that Clerk couldn't have made.
	Refresh(ctx context.Context, strangers []store.Pair) (again bool)
	// RefreshUser looks up all memberships of one user.
	RefreshUser(ctx context.Context, userID string) (again bool)
}

// refresh looks up strangers, if there are any and there is a Refresher.
func (s *server) refresh(ctx context.Context, strangers []store.Pair) (again bool) {
	return len(strangers) > 0 && s.cfg.Refresher != nil && s.cfg.Refresher.Refresh(ctx, strangers)
}

// refreshUser looks up all memberships of a user, if there is a Refresher.
func (s *server) refreshUser(ctx context.Context, userID string) (again bool) {
	return s.cfg.Refresher != nil && s.cfg.Refresher.RefreshUser(ctx, userID)
}
