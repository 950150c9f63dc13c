package sync

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The functions of this file say in words what a fact is, and where it came from. The words have
// ids and keys in them, and no names that strangers chose.

func (q *Inquiry) describe(f Fact) (detail string, from Origin) {
	known := q.Provenance
	switch f.Name {
	case FactAccount:
		return q.accountWords(f), known.Account
	case FactWorkspace:
		return q.workspaceWords(f), known.Organization
	case FactMembership:
		return q.membershipWords(), known.Membership.Origin
	case FactRole:
		return q.roleWords(f), known.Membership.Role
	case FactGrant:
		return q.grantWords(f)
	case FactFreshness:
		return q.freshnessWords(), known.AsOf
	default:
		return q.impersonationWords()
	}
}

func (q *Inquiry) accountWords(f Fact) string {
	status := q.Standing.User
	switch {
	case !f.Applies:
		return q.Standing.UserID + " isn't known here"
	case status.Dead:
		return "deleted"
	case status.Banned && status.Deprovisioned:
		return "banned, and deprovisioned by directory sync"
	case status.Banned:
		return "banned"
	case status.Deprovisioned:
		return "deprovisioned by directory sync"
	default:
		return "active, not banned"
	}
}

func (q *Inquiry) workspaceWords(f Fact) string {
	switch {
	case !f.Applies:
		return q.Standing.OrganizationID + " isn't known here"
	case q.Standing.OrganizationDead:
		return q.Standing.OrganizationID + " was deleted"
	default:
		return q.Standing.OrganizationID + " exists"
	}
}

func (q *Inquiry) membershipWords() string {
	m := q.Provenance.Membership
	invited := ""
	if m.InvitedBy != "" {
		invited = ", invited by " + m.InvitedBy
	}
	switch {
	case q.Standing.Member && m.ID != "":
		return m.ID + invited
	case q.Standing.Member:
		return "a member"
	case m.Ended:
		return m.ID + " has ended" + invited + q.fullWords()
	default:
		return "never a member here" + q.fullWords()
	}
}

// fullWords says that Clerk refuses a further member.
func (q *Inquiry) fullWords() string {
	seats := q.Provenance.Seats
	if !seats.Full() || q.Standing.OrganizationDead {
		return ""
	}
	return fmt.Sprintf("; the workspace is full: %d of %d seats are taken", seats.Taken, seats.Limit)
}

func (q *Inquiry) roleWords(f Fact) string {
	m := q.Provenance.Membership
	switch {
	case !q.Standing.Member && m.RoleHad != "":
		return "was " + m.RoleHad
	case !q.Standing.Member:
		return "none: not a member"
	}
	role := q.Standing.Role
	if m.NamedRole != "" && m.NamedRole != role {
		role += ", which was " + m.NamedRole + " when it was given"
	}
	if f.Fails() {
		role += ": this role has no permission at all" + q.otherRoles("; ")
	}
	return role
}

// grantWords says which role has the permission, and where that is written.
func (q *Inquiry) grantWords(f Fact) (words string, from Origin) {
	policy := Origin{Since: q.Provenance.Policy.ReadAt, Cause: CausePolicy}
	m := q.Provenance.Membership
	switch {
	case q.Permission == "":
		return "none is needed: the question is about membership alone", Origin{}
	case q.Standing.Member && !f.Applies:
		return "none: the role has no permission at all", policy
	case !q.Standing.Member && m.RoleHad == "":
		return "no role" + q.otherRoles("; "), policy
	}
	role, permissions, verb := q.Standing.Role, q.Standing.Permissions, "is granted"
	if !q.Standing.Member {
		role, permissions, verb = m.RoleHad, m.PermissionsHad, "was theirs, and is granted"
	}
	switch {
	case slices.Contains(q.Grants[role], q.Permission):
		return fmt.Sprintf("%s %s %s%s", role, verb, q.Permission, q.place(role)), policy
	case slices.Contains(permissions, q.Permission):
		return fmt.Sprintf("%s %s %s (a permission of the role at Clerk)", role, verb, q.Permission), q.Provenance.AtClerk
	default:
		return fmt.Sprintf("%s isn't granted %s%s", role, q.Permission, q.otherRoles("; ")), policy
	}
}

// otherRolesTold bounds how many roles are named.
const otherRolesTold = 5

// otherRoles names the roles that have the permission, and where that is written.
func (q *Inquiry) otherRoles(before string) string {
	roles := q.RolesWith()
	if len(roles) == 0 {
		return before + "no role has it"
	}
	named := roles[:min(len(roles), otherRolesTold)]
	places := make([]string, len(named))
	for i, role := range named {
		places[i] = role + q.place(role)
	}
	verb := " has it"
	if len(roles) > 1 {
		verb = " have it"
	}
	list := strings.Join(places, ", ")
	if more := len(roles) - len(named); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return before + list + verb
}

// place says in parentheses where a role gets the permission.
func (q *Inquiry) place(role string) string {
	switch place := q.Provenance.Policy.Places[Grant{role, q.Permission}]; {
	case !slices.Contains(q.Grants[role], q.Permission):
		return " (at Clerk)"
	case place != "":
		return " (" + place + ")"
	default:
		return " (policy)"
	}
}

func (q *Inquiry) freshnessWords() string {
	s, demand := q.Standing, q.Freshness
	if s.Revision == 0 {
		return "nothing is known of " + s.OrganizationID + demandedWords(demand)
	}
	agreed := "never known to agree with Clerk"
	if !s.AsOf.IsZero() {
		agreed = "agreed with Clerk " + agoWords(q.Now.Sub(s.AsOf))
	}
	return fmt.Sprintf("%s, revision %d%s", agreed, s.Revision, demandedWords(demand))
}

// demandedWords says what the question demands of the mirror.
func demandedWords(demand Freshness) string {
	words := ""
	if demand.MaxStaleness > 0 {
		words = "; asked for: at most " + plural(int64(demand.MaxStaleness/time.Second), "second") + " ago"
	}
	if demand.MinRevision > 0 {
		words += fmt.Sprintf("; asked for: revision %d at least", demand.MinRevision)
	}
	return words
}

// agoWords says how long ago something was, in the largest unit that fits twice.
func agoWords(d time.Duration) string {
	if d < 2*time.Second {
		return "just now"
	}
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= 2*unit.length {
			return plural(int64(d/unit.length), unit.name) + " ago"
		}
	}
	return plural(int64(d/time.Second), "second") + " ago"
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func (q *Inquiry) impersonationWords() (words string, from Origin) {
	withheld := slices.Contains(q.Impersonation.Denied, q.Permission)
	if withheld {
		from = Origin{Since: q.Provenance.Policy.ReadAt, Cause: CausePolicy}
	}
	switch by := q.Impersonation.By; {
	case by == "" && withheld:
		return "the user acts; the policy withholds " + q.Permission + " from impersonators", from
	case by == "":
		return "the user acts", from
	case withheld:
		return by + " acts as the user; the policy withholds " + q.Permission + " from impersonators", from
	default:
		return by + " acts as the user", from
	}
}
