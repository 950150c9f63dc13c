package api

import (
	"context"
	"slices"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Refresher looks strangers up at Clerk, so that a user who just accepted an invitation gets in although no webhook told yet.
// Both methods report whether the mirror should be read again. They bound how long they take, and are safe for concurrent use.
type Refresher interface {
	// Refresh looks up the memberships of pairs of a user and an organization.
	Refresh(ctx context.Context, strangers []store.Pair) (again bool)
	// RefreshUser looks up all memberships of one user.
	RefreshUser(ctx context.Context, userID string) (again bool)
}

// refresh looks up those strangers whose ids could be Clerk's, if there is anybody to ask.
func (s *server) refresh(ctx context.Context, strangers []store.Pair) (again bool) {
	if s.cfg.Refresher == nil {
		return false
	}
	strangers = slices.DeleteFunc(strangers, func(p store.Pair) bool {
		return !clerksync.ValidID(clerksync.UserPrefix, p.UserID) || !clerksync.ValidID(clerksync.OrganizationPrefix, p.OrganizationID)
	})
	return len(strangers) > 0 && s.cfg.Refresher.Refresh(ctx, strangers)
}

// refreshUser looks up all memberships of a user, as refresh does those of pairs.
func (s *server) refreshUser(ctx context.Context, userID string) (again bool) {
	return s.cfg.Refresher != nil && clerksync.ValidID(clerksync.UserPrefix, userID) && s.cfg.Refresher.RefreshUser(ctx, userID)
}

// standings reads what the mirror knows about each pair.
func (s *server) standings(ctx context.Context, pairs ...store.Pair) ([]clerksync.Standing, error) {
	return store.Standings(ctx, s.cfg.DB, pairs...)
}

// freshStandings reads what the mirror knows about each pair. If there are strangers among them, Clerk is asked and all
// are read again: whatever Clerk says, the mirror decides, and on all as of one moment.
func (s *server) freshStandings(ctx context.Context, pairs ...store.Pair) ([]clerksync.Standing, error) {
	standings, err := s.standings(ctx, pairs...)
	if err != nil {
		return nil, err
	}
	var strangers []store.Pair
	for _, standing := range standings {
		if stranger(standing) {
			strangers = append(strangers, store.Pair{UserID: standing.UserID, OrganizationID: standing.OrganizationID})
		}
	}
	if !s.refresh(ctx, strangers) {
		return standings, nil
	}
	return s.standings(ctx, pairs...)
}

// stranger reports whether nothing but a missing membership keeps the user out, also of a workspace that is gone: whoever
// was never in it must not learn that from a quicker answer. Members are told apart first, because that costs nothing.
func stranger(s clerksync.Standing) bool {
	return !s.Member && s.User.Refusal() == "" && reasonFor(s) == clerksync.ReasonNotAMember
}

// reasonFor decides on membership alone, which no policy changes.
func reasonFor(s clerksync.Standing) clerksync.Reason {
	return clerksync.Grants(nil).Decide(s, permissionNone).Reason
}
