package sync

import (
	"slices"
	"time"
)

// check is one condition of access. A decision goes through the checks in their order, and the
// first one that refuses gives the reason. [Inquiry.Explain] goes through all of them by the same
// functions: so a decision and its explanation can't disagree.
type check uint8

const (
	checkKnown         check = iota // the pair has or had a membership
	checkWorkspace                  // the organization isn't deleted
	checkAccount                    // the account may do anything at all
	checkMembership                 // the user is a member now
	checkRole                       // the role has any permission
	checkGrant                      // the role has this one
	checkImpersonation              // the policy doesn't withhold it from who acts as the user
	checkFreshness                  // the mirror is as fresh as demanded
	checks                          // their number
)

// refusal returns the first check of a standing that refuses, from the given one on, and its
// reason. The reason is "" if none refuses. An empty permission asks for membership alone.
func (g Grants) refusal(from check, s *Standing, permission string) (check, Reason) {
	switch from { // each case continues with the next one
	case checkKnown:
		if !s.EverMember {
			return checkKnown, ReasonNotAMember
		}
		fallthrough
	case checkWorkspace:
		if s.OrganizationDead {
			return checkWorkspace, ReasonWorkspaceDeleted
		}
		fallthrough
	case checkAccount:
		if refusal := s.User.Refusal(); refusal != "" {
			return checkAccount, refusal
		}
		fallthrough
	case checkMembership:
		if !s.Member {
			return checkMembership, ReasonNotAMember
		}
		fallthrough
	case checkRole:
		if permission != "" && len(g[s.Role])+len(s.Permissions) == 0 { // Effective is empty
			return checkRole, ReasonUnknownRole
		}
		fallthrough
	case checkGrant:
		if permission != "" && !slices.Contains(g[s.Role], permission) && !slices.Contains(s.Permissions, permission) {
			return checkGrant, ReasonPermissionMissing
		}
	default:
	}
	return checks, ""
}

// refuses reports whether the mirror isn't as fresh as demanded.
func (f Freshness) refuses(revision int64, asOf, now time.Time) bool {
	return f.behind(revision) || f.old(asOf, now)
}

// behind reports whether the organization hasn't reached the demanded revision.
func (f Freshness) behind(revision int64) bool { return revision < f.MinRevision }

// old reports whether the mirror agreed with Clerk longer ago than demanded.
func (f Freshness) old(asOf, now time.Time) bool {
	return f.MaxStaleness > 0 && (asOf.IsZero() || now.Sub(asOf) > f.MaxStaleness)
}
