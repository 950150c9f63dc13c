package api

import (
	"context"
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
