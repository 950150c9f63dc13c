package sync

import (
	"slices"
	"time"
)

// Inquiry is one question about a user, an organization and a permission, with all that its answer
// depends on.
type Inquiry struct {
	Standing      Standing
	Permission    string // "" asks for membership alone
	Grants        Grants
	Roles         Roles // of the Clerk instance, as [Grants.Name] needs them
	Freshness     Freshness
	Impersonation Impersonation
	Now           time.Time
	Provenance    Provenance // of the facts; it changes no decision
}

// Reasoning is a decision with the facts on which it rests.
type Reasoning struct {
	Decision Decision
	Facts    []Fact  // one of each name, in the order of [FactNames]
	Change   *Change // the single change that would allow what is refused; nil if there is none
}

// FactName names one of the facts of a [Reasoning]. The values are part of the API.
type FactName string

// The facts.
const (
	FactAccount       FactName = "account"
	FactWorkspace     FactName = "workspace"
	FactMembership    FactName = "membership"
	FactRole          FactName = "role"
	FactGrant         FactName = "grant"
	FactFreshness     FactName = "freshness"
	FactImpersonation FactName = "impersonation"
)

// FactNames lists the facts in the order in which they are told. The reason of a decision has an
// order of its own: see [Grants.Decide].
func FactNames() []FactName {
	return []FactName{FactAccount, FactWorkspace, FactMembership, FactRole, FactGrant, FactFreshness, FactImpersonation}
}

// Fact is one thing on which a decision rests. The decision allows exactly if no fact that applies
// fails.
type Fact struct {
	Name    FactName
	Applies bool   // false: the fact says nothing here, as the role of a user who isn't a member
	Holds   bool   // only if it applies; false refuses
	Detail  string // in words, without names that strangers chose
	Origin
}

// Fails reports whether the fact alone refuses.
func (f Fact) Fails() bool { return f.Applies && !f.Holds }

// factOf says to which fact a check belongs.
func (c check) factOf() FactName {
	switch c {
	case checkAccount:
		return FactAccount
	case checkWorkspace:
		return FactWorkspace
	case checkKnown, checkMembership:
		return FactMembership
	case checkRole:
		return FactRole
	case checkGrant:
		return FactGrant
	case checkImpersonation:
		return FactImpersonation
	default:
		return FactFreshness
	}
}

// Explain answers the inquiry, and says why. The decision is the one that [Grants.Decide], the
// Judge methods and [Grants.Name] make. A fact holds if none of its checks refuses.
func (q Inquiry) Explain() Reasoning {
	d := q.Freshness.Judge(q.Impersonation.Judge(q.Grants.Decide(q.Standing, q.Permission)), q.Now)
	r := Reasoning{Decision: q.Grants.Name(d, q.Roles.Permit)}
	failed := q.failed()
	for _, name := range FactNames() {
		f := Fact{Name: name, Applies: q.applies(name, failed), Holds: !failed[name]}
		f.Holds = f.Holds && f.Applies
		f.Detail, f.Origin = q.describe(f)
		r.Facts = append(r.Facts, f)
	}
	r.Change = q.change(r)
	return r
}

// HideStranger makes a user who never was in the organization look like one whom the mirror doesn't
// know. So a service of some organizations learns nothing of other people's accounts.
func (q *Inquiry) HideStranger() {
	if !q.Standing.EverMember {
		q.Standing.User, q.Provenance.UserKnown, q.Provenance.Account = UserStatus{}, false, Origin{}
	}
}

// failed returns the facts that refuse.
func (q *Inquiry) failed() map[FactName]bool {
	failed := map[FactName]bool{}
	for c, reason := q.Grants.refusal(checkKnown, &q.Standing, q.Permission); reason != ""; {
		failed[c.factOf()] = true
		c, reason = q.Grants.refusal(c+1, &q.Standing, q.Permission)
	}
	if q.Impersonation.denies(q.Permission) {
		failed[checkImpersonation.factOf()] = true
	}
	if q.Freshness.refuses(q.Standing.Revision, q.Standing.AsOf, q.Now) {
		failed[checkFreshness.factOf()] = true
	}
	return failed
}

// applies reports whether a fact says anything about this inquiry. An account and an organization
// that the mirror doesn't know say nothing. Roles and grants say something of members alone, and
// only if a permission is asked for. If the role has no permission at all, the grant says nothing.
func (q *Inquiry) applies(name FactName, failed map[FactName]bool) bool {
	switch name {
	case FactAccount:
		return q.Standing.Member || q.Provenance.UserKnown || failed[name]
	case FactWorkspace:
		return q.Standing.Member || q.Provenance.OrganizationKnown || failed[name]
	case FactRole:
		return q.Standing.Member && q.Permission != ""
	case FactGrant:
		return q.Standing.Member && q.Permission != "" && !failed[FactRole]
	default:
		return true
	}
}

// Fact returns the fact with a name.
func (r Reasoning) Fact(name FactName) Fact {
	i := slices.IndexFunc(r.Facts, func(f Fact) bool { return f.Name == name })
	if i < 0 {
		return Fact{Name: name}
	}
	return r.Facts[i]
}

// Deciding returns the fact that gave the reason of a refusal, and the grant if nothing refuses.
func (r Reasoning) Deciding() Fact {
	switch r.Decision.Reason {
	case ReasonNotAMember:
		return r.Fact(FactMembership)
	case ReasonWorkspaceDeleted:
		return r.Fact(FactWorkspace)
	case ReasonUserDeleted, ReasonUserBanned, ReasonUserDeprovisioned:
		return r.Fact(FactAccount)
	case ReasonUnknownRole:
		return r.Fact(FactRole)
	case ReasonImpersonationDenied:
		return r.Fact(FactImpersonation)
	case ReasonStale:
		return r.Fact(FactFreshness)
	case ReasonAllowed, ReasonPermissionMissing, ReasonUnknownPermission, ReasonWorkspaceNotListed:
		if r.Decision.Permission == "" {
			return r.Fact(FactMembership)
		}
		return r.Fact(FactGrant)
	default:
		return Fact{}
	}
}
