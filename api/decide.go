package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/replica"
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
// whether the workspace exists. If the caller's session has ended, it returns errSessionEnded.
func (s *server) judge(r *http.Request, caller auth.Identity, workspaceID, permission string) (verdict, error) {
	return s.judgeBy(r, caller, workspaceID, permission, func() (clerksync.Freshness, error) { return freshnessOf(r) })
}

// judgeBy judges by a demand of freshness that is read for members only.
func (s *server) judgeBy(r *http.Request, caller auth.Identity, workspaceID, permission string, demanded func() (clerksync.Freshness, error)) (verdict, error) {
	if !caller.Rights.In(workspaceID) {
		return verdict{}, errWorkspaceNotListed
	}
	standing, err := s.standing(r.Context(), caller, workspaceID)
	if err != nil {
		return verdict{}, err
	}
	decision := s.decideFor(caller, standing, permission)
	var demand clerksync.Freshness
	if mayAct(standing) {
		if demand, err = demanded(); err != nil {
			return verdict{}, err
		}
		reached, err := s.awaitRevision(r.Context(), demand.MinRevision, []clerksync.Standing{standing}, pairOf(caller, standing.OrganizationID))
		if err != nil {
			return verdict{}, err
		}
		standing = reached[0]
		decision = demand.Judge(s.decideFor(caller, standing, permission), s.cfg.Now())
	}
	if standing.User.SessionEnded {
		return verdict{}, s.sessionEnded()
	}
	decision = toldTo(caller, s.decided(r.Context(), decision))
	v := verdict{standing: standing, decision: decision}
	switch {
	case decision.Allowed:
	case decision.Reason == clerksync.ReasonStale:
		v.refused = staleness(decision, demand)
	default:
		v.refused = refusal(decision, standing.User)
	}
	return v, nil
}

// decideFor decides by the policy in force, on a standing, whether the caller may do something.
func (s *server) decideFor(caller auth.Identity, standing clerksync.Standing, permission string) clerksync.Decision {
	return decideBy(s.cfg.Policy(), caller, standing, permission)
}

// decideBy decides by a policy, on a standing, whether the caller may do something.
func decideBy(p *policy.Policy, caller auth.Identity, standing clerksync.Standing, permission string) clerksync.Decision {
	return impersonationOf(caller, p).Judge(p.Grants.Decide(standing, permission))
}

// toldTo returns what a caller learns of a decision. Only services learn which permissions there
// are.
func toldTo(caller auth.Identity, d clerksync.Decision) clerksync.Decision {
	if caller.Service == "" && d.Reason == clerksync.ReasonUnknownPermission {
		d.Reason = clerksync.ReasonPermissionMissing
	}
	return d
}

// impersonationOf returns who acts as the user by the caller's token, and what that one may not do.
func impersonationOf(caller auth.Identity, p *policy.Policy) clerksync.Impersonation {
	return clerksync.Impersonation{By: caller.Impersonator, Denied: p.DenyImpersonators}
}

// sessionEnded counts a refusal because of an ended session, and returns it.
func (s *server) sessionEnded() error {
	s.cfg.Refused(auth.ReasonSessionEnded)
	return errSessionEnded
}

// decide decides whether a caller may do something in a workspace, on the mirror as it is.
func (s *server) decide(ctx context.Context, caller auth.Identity, workspaceID, permission string) (clerksync.Decision, error) {
	standing, err := s.standing(ctx, caller, workspaceID)
	if err != nil {
		return clerksync.Decision{}, err
	}
	if standing.User.SessionEnded {
		return clerksync.Decision{}, s.sessionEnded()
	}
	return s.decided(ctx, s.decideFor(caller, standing, permission)), nil
}

// decided counts a decision. It names a permission that no role has.
func (s *server) decided(ctx context.Context, d clerksync.Decision) clerksync.Decision {
	if d.Reason == clerksync.ReasonPermissionMissing {
		d = s.cfg.Policy().Grants.Name(d, s.rolesOf(ctx).RolesPermit)
	}
	s.cfg.Decided(d.Reason)
	return d
}

// standing reads a caller's standing in a workspace, after a look-up at Clerk if the user is a
// stranger.
func (s *server) standing(ctx context.Context, caller auth.Identity, workspaceID string) (clerksync.Standing, error) {
	if !clerksync.Storable(workspaceID) { // no workspace has such an id
		workspaceID = ""
	}
	standings, err := s.freshStandings(ctx, pairOf(caller, workspaceID))
	if err != nil {
		return clerksync.Standing{}, err
	}
	return standings[0], nil
}

// pairOf returns a caller's pair with a workspace, and the sessions in which the caller asks.
func pairOf(caller auth.Identity, workspaceID string) store.Pair {
	return store.Pair{UserID: caller.UserID, OrganizationID: workspaceID, Sessions: sessionsOf(caller)}
}

// sessionsOf returns the sessions in which a caller asks. A service has none.
func sessionsOf(caller auth.Identity) store.Sessions {
	return store.Sessions{SessionID: caller.SessionID, Impersonator: caller.Impersonator, ImpersonatorSession: caller.ImpersonatorSession}
}

// freshStandings reads the standing of each pair. It looks up strangers at Clerk, then reads all
// standings again, as of one moment: the mirror decides, not Clerk's answer. Before Clerk, the
// primary is asked: a replica may not know a new member yet.
func (s *server) freshStandings(ctx context.Context, pairs ...store.Pair) ([]clerksync.Standing, error) {
	standings, err := s.standings(ctx, pairs...)
	if err == nil && replica.Of(ctx).Replica() != nil && len(strangersAmong(standings)) > 0 {
		replica.Of(ctx).Restart(replica.OutcomeNotThere)
		standings, err = s.standings(ctx, pairs...)
	}
	if err != nil || !s.refresh(ctx, strangersAmong(standings)) {
		return standings, err
	}
	return s.standings(ctx, pairs...)
}

// strangersAmong returns the pairs of strangers.
func strangersAmong(standings []clerksync.Standing) (strangers []store.Pair) {
	for _, standing := range standings {
		if stranger(standing) {
			strangers = append(strangers, store.Pair{UserID: standing.UserID, OrganizationID: standing.OrganizationID})
		}
	}
	return strangers
}

// stranger reports whether only a missing membership keeps the user out. A deleted workspace has
// strangers, too: without a look-up, a quicker answer would show that it is deleted. The check for
// members comes first because it is the cheapest.
func stranger(s clerksync.Standing) bool {
	return !s.Member && s.User.Refusal() == "" && !s.User.SessionEnded && reasonFor(s) == clerksync.ReasonNotAMember
}

// mayAct reports whether the user is a member whose account isn't refused, in a session that hasn't
// ended.
func mayAct(s clerksync.Standing) bool {
	return reasonFor(s) == clerksync.ReasonAllowed && !s.User.SessionEnded
}

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

// staleness returns the problem of a mirror that isn't as fresh as demanded.
func staleness(d clerksync.Decision, demand clerksync.Freshness) error {
	if d.Revision < demand.MinRevision {
		return errRevisionNotReached
	}
	return errStale
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
