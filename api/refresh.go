package api

import (
	"context"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Refresher asks Clerk and merges what it answers into the mirror, so that who just accepted an invitation gets in
// although no webhook told yet. Both methods return nil once the answer is merged and committed, whatever it is, and an
// error if there is no answer. They must end when ctx does, and be safe for concurrent use.
type Refresher interface {
	// Refresh asks for the memberships of one user in one organization, by their ids at Clerk.
	Refresh(ctx context.Context, userID, organizationID string) error
	// RefreshUser asks for all memberships of one user.
	RefreshUser(ctx context.Context, userID string) error
}

// RefreshOutcome says what came of a refusal that Clerk could have changed. Several requests may share one look-up.
type RefreshOutcome string

// The outcomes. The first three are told once for each look-up, the others for each user and workspace of a request that
// kept its refusal without one.
const (
	// RefreshAdmitted means that the mirror now knows a membership.
	RefreshAdmitted RefreshOutcome = "admitted"
	// RefreshRefused means that Clerk answered, and the mirror still knows none.
	RefreshRefused RefreshOutcome = "refused"
	// RefreshFailed means that there was no answer in time.
	RefreshFailed RefreshOutcome = "failed"
	// RefreshRemembered means that Clerk was asked a moment ago.
	RefreshRemembered RefreshOutcome = "remembered"
	// RefreshLimited means that the user, or the one request, had too many look-ups already.
	RefreshLimited RefreshOutcome = "limited"
)

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
	if !s.lookups.refresh(ctx, strangers) {
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
	return clerksync.Grants(nil).Decide(s, policy.None).Reason
}
