package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Headers of every answer about a workspace.
const (
	headerRevision = "Rolecall-Revision" // counts the workspace's changes
	headerAsOf     = "Rolecall-As-Of"    // RFC 3339, see sync.Standing; absent if unknown
)

// verdict is the answer to a user's request in a workspace.
type verdict struct {
	standing clerksync.Standing
	decision clerksync.Decision
	refused  error // nil if the request is allowed
}

// judge decides as decide does, on a mirror as fresh as the request demands. It refuses a stranger
// at once, whatever the request demands. So neither the time nor the text of the refusal shows
// whether the workspace exists.
func (s *server) judge(r *http.Request, userID, workspaceID, permission string) (verdict, error) {
	if !serviceOf(r).Rights.In(workspaceID) {
		return verdict{}, errWorkspaceNotListed
	}
	standing, err := s.standing(r.Context(), userID, workspaceID)
	if err != nil {
		return verdict{}, err
	}
	decision := s.cfg.Policy().Grants.Decide(standing, permission)
	var demand clerksync.Freshness
	if mayAct(standing) {
		if demand, err = freshnessOf(r); err != nil {
			return verdict{}, err
		}
		pair := store.Pair{UserID: userID, OrganizationID: standing.OrganizationID}
		reached, err := s.awaitRevision(r.Context(), demand.MinRevision, []clerksync.Standing{standing}, pair)
		if err != nil {
			return verdict{}, err
		}
		standing = reached[0]
		decision = demand.Judge(s.cfg.Policy().Grants.Decide(standing, permission), s.cfg.Now())
	}
	s.cfg.Decided(decision.Reason)
	v := verdict{standing: standing, decision: decision}
	switch {
	case decision.Allowed:
	case decision.Reason == clerksync.ReasonStale && decision.Revision < demand.MinRevision:
		v.refused = errRevisionNotReached
	default:
		v.refused = refusal(decision, standing.User)
	}
	return v, nil
}

// decide decides whether a user may do something in a workspace, on the mirror as it is.
func (s *server) decide(ctx context.Context, userID, workspaceID, permission string) (clerksync.Decision, error) {
	standing, err := s.standing(ctx, userID, workspaceID)
	if err != nil {
		return clerksync.Decision{}, err
	}
	decision := s.cfg.Policy().Grants.Decide(standing, permission)
	s.cfg.Decided(decision.Reason)
	return decision, nil
}

// standing reads a user's standing in a workspace, after a look-up at Clerk if the user is a
// stranger.
func (s *server) standing(ctx context.Context, userID, workspaceID string) (clerksync.Standing, error) {
	pair := store.Pair{UserID: userID, OrganizationID: workspaceID}
	if !clerksync.Storable(workspaceID) { // no workspace has such an id
		pair.OrganizationID = ""
	}
	standings, err := s.freshStandings(ctx, pair)
	if err != nil {
		return clerksync.Standing{}, err
	}
	return standings[0], nil
}

// freshStandings reads the standing of each pair. It looks up strangers at Clerk, then reads all
// standings again, as of one moment: the mirror decides, not Clerk's answer.
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

// standings reads the standing of each pair, without a look-up.
func (s *server) standings(ctx context.Context, pairs ...store.Pair) ([]clerksync.Standing, error) {
	return s.reader.Ask(ctx, pairs...)
}

// stranger reports whether only a missing membership keeps the user out. A deleted workspace has
// strangers, too: without a look-up, a quicker answer would show that it is deleted. The check for
// members comes first because it is the cheapest.
func stranger(s clerksync.Standing) bool {
	return !s.Member && s.User.Refusal() == "" && reasonFor(s) == clerksync.ReasonNotAMember
}

// mayAct reports whether the user is a member whose account isn't refused.
func mayAct(s clerksync.Standing) bool { return reasonFor(s) == clerksync.ReasonAllowed }

// reasonFor decides by membership alone, without the policy.
func reasonFor(s clerksync.Standing) clerksync.Reason {
	return clerksync.Grants(nil).Decide(s, policy.None).Reason
}

// refusal turns the decision that refuses a user's own request into a problem. A stranger learns
// nothing, not even that the workspace exists. A refused account learns the reason on every route.
func refusal(d clerksync.Decision, user clerksync.UserStatus) error {
	if reason := user.Refusal(); reason != "" {
		return forbidden(reason)
	}
	switch d.Reason {
	case clerksync.ReasonNotAMember, clerksync.ReasonWorkspaceDeleted:
		return errNotFound
	case clerksync.ReasonStale:
		return errStale
	default:
		return forbidden(d.Reason)
	}
}

// writeFreshness says how fresh an answer to a member is, even if it is a refusal. Strangers and
// refused accounts learn nothing about the workspace.
func writeFreshness(w http.ResponseWriter, standing clerksync.Standing, decision clerksync.Decision) {
	if decision.Reason == clerksync.ReasonNotAMember || decision.Reason == clerksync.ReasonWorkspaceDeleted || standing.User.Refusal() != "" {
		return
	}
	w.Header().Set(headerRevision, strconv.FormatInt(standing.Revision, 10))
	if !standing.AsOf.IsZero() {
		w.Header().Set(headerAsOf, standing.AsOf.UTC().Format(time.RFC3339Nano))
	}
}
