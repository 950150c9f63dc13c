package api

import (
	"context"
	"slices"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Refresher looks up strangers at Clerk. So a user who has just accepted an invitation is admitted
// before the webhook arrives. Both methods report whether the mirror should be read again. They
// bound the time that they take, and are safe for concurrent use.
type Refresher interface {
	// Refresh looks up the memberships of pairs of a user and an organization.
	Refresh(ctx context.Context, strangers []store.Pair) (again bool)
	// RefreshUser looks up all memberships of one user.
	RefreshUser(ctx context.Context, userID string) (again bool)
}

// refresh looks up those strangers whose ids have Clerk's form, if there is a Refresher.
func (s *server) refresh(ctx context.Context, strangers []store.Pair) (again bool) {
	if s.cfg.Refresher == nil {
		return false
	}
	strangers = slices.DeleteFunc(strangers, func(p store.Pair) bool {
		return !clerksync.ValidID(clerksync.UserPrefix, p.UserID) || !clerksync.ValidID(clerksync.OrganizationPrefix, p.OrganizationID)
	})
	return len(strangers) > 0 && s.cfg.Refresher.Refresh(ctx, strangers)
}

// refreshUser looks up all memberships of a user whose id has Clerk's form, if there is a
// Refresher.
func (s *server) refreshUser(ctx context.Context, userID string) (again bool) {
	return s.cfg.Refresher != nil && clerksync.ValidID(clerksync.UserPrefix, userID) && s.cfg.Refresher.RefreshUser(ctx, userID)
}
