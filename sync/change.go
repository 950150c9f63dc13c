package sync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Change is one change after which a refused request would be allowed. Clerk accepts it, as far as
// the mirror knows, and it takes no permission away that Words doesn't name.
type Change struct {
	Kind    ChangeKind
	Subject string // the user, organization or role that would change
	Role    string // that the user would get; "" for none
	Words   string // what to do, as an imperative
}

// ChangeKind is the sort of a change. The values are part of the API.
type ChangeKind string

// The sorts of changes.
const (
	ChangeGiveRole         ChangeKind = "give_role"         // subject: the user
	ChangeAddMember        ChangeKind = "add_member"        // subject: the user
	ChangeUnbanUser        ChangeKind = "unban_user"        // subject: the user
	ChangeRestoreUser      ChangeKind = "restore_user"      // subject: the user, whom directory sync deprovisioned
	ChangeGrantPermission  ChangeKind = "grant_permission"  // subject: the role, in the policy
	ChangeWaitForSweep     ChangeKind = "wait_for_sweep"    // subject: the organization
	ChangeWaitForRevision  ChangeKind = "wait_for_revision" // subject: the organization
	ChangeEndImpersonation ChangeKind = "end_impersonation" // subject: the user
)

// change returns the single change after which the refused request would be allowed, or nil. Two
// facts that fail need two changes. Nothing brings a deleted account or organization back: Clerk
// uses no id twice.
func (q *Inquiry) change(r Reasoning) *Change {
	var failing []Fact
	for _, f := range r.Facts {
		if f.Fails() {
			failing = append(failing, f)
		}
	}
	if len(failing) != 1 {
		return nil
	}
	switch failing[0].Name {
	case FactAccount:
		return q.admitAccount()
	case FactMembership:
		return q.admitMember()
	case FactRole, FactGrant:
		return q.givePermission()
	case FactFreshness:
		return q.wait()
	case FactImpersonation:
		user := q.Standing.UserID
		return &Change{Kind: ChangeEndImpersonation, Subject: user, Words: "let " + user + " do it without an impersonator"}
	default:
		return nil
	}
}

func (q *Inquiry) admitAccount() *Change {
	user := q.Standing.UserID
	switch status := q.Standing.User; {
	case status.Dead, status.Banned && status.Deprovisioned:
		return nil
	case status.Banned:
		return &Change{Kind: ChangeUnbanUser, Subject: user, Words: "unban " + user}
	default:
		return &Change{Kind: ChangeRestoreUser, Subject: user, Words: "assign " + user + " to the application again in the directory that deprovisioned them"}
	}
}

// admitMember proposes a membership of a user whom the mirror knows. Clerk refuses one in a full
// organization, so that two changes are needed: the fact says that it is full.
func (q *Inquiry) admitMember() *Change {
	user, organization := q.Standing.UserID, q.Standing.OrganizationID
	if !q.Provenance.UserKnown || !q.Provenance.OrganizationKnown || q.Provenance.Seats.Full() {
		return nil
	}
	c := Change{Kind: ChangeAddMember, Subject: user, Words: "make " + user + " a member of " + organization}
	if q.Permission == "" {
		return &c
	}
	given, ok := q.leastRole()
	if !ok {
		return nil
	}
	c.Role = given.role
	c.Words += " with the role " + c.Role
	return &c
}

// givePermission proposes a role that has the permission, and says what the user would lose by it.
// If no role has the permission, the policy must grant it to the present one.
func (q *Inquiry) givePermission() *Change {
	user, role := q.Standing.UserID, q.Standing.Role
	if given, ok := q.leastRole(); ok {
		return &Change{Kind: ChangeGiveRole, Subject: user, Role: given.role, Words: fmt.Sprintf("give %s the role %s%s", user, given.role, given.lossWords())}
	}
	if !q.Provenance.Policy.Grantable || len(q.RolesWith()) > 0 {
		return nil
	}
	return &Change{
		Kind: ChangeGrantPermission, Subject: role,
		Words: fmt.Sprintf("grant %s to %s in the policy, if it isn't misspelt: no role has it", q.Permission, role),
	}
}

// wait proposes what to wait for. A sweep that takes longer than the demanded age is too old when
// it ends.
func (q *Inquiry) wait() *Change {
	behind, old := q.Freshness.behind(q.Standing.Revision), q.Freshness.old(q.Standing.AsOf, q.Now)
	c := Change{Kind: ChangeWaitForSweep, Subject: q.Standing.OrganizationID, Words: "run rolecall reconcile, or wait for the next clean sweep if a process sweeps"}
	switch {
	case behind && old, old && q.Provenance.SweepTook >= q.Freshness.MaxStaleness:
		return nil
	case behind:
		c.Kind, c.Words = ChangeWaitForRevision, fmt.Sprintf("wait until %s reaches revision %d", c.Subject, q.Freshness.MinRevision)
	}
	return &c
}

// RolesWith lists the roles that have the permission by the policy or at Clerk, sorted. Roles that
// the mirror knows to be gone aren't in it.
func (q *Inquiry) RolesWith() []string {
	var roles []string
	for _, role := range q.candidates() {
		if slices.Contains(q.effective(role), q.Permission) {
			roles = append(roles, role)
		}
	}
	return roles
}

// gift is a role that a user could get.
type gift struct {
	role string
	has  []string // its permissions
	lost []string // permissions of the user that the role hasn't
	// unsure says that the mirror doesn't know the role's permissions at Clerk. Of those that the user
	// has from there, only the ones to manage members count as lost.
	unsure bool
}

// lossWords says what the user would lose. It is empty if that is nothing.
func (g gift) lossWords() string {
	switch {
	case len(g.lost) == 0:
		return ""
	case g.unsure:
		return "; they may lose " + strings.Join(g.lost, ", ")
	default:
		return "; they would lose " + strings.Join(g.lost, ", ")
	}
}

// leastRole returns, of the roles that have the permission asked for, the one by which the user
// loses the fewest permissions and, of several, the one with the fewest. It isn't the present one:
// a role that was deleted and made again may have the same key. It takes no permission to manage
// members from the last member who has it.
func (q *Inquiry) leastRole() (least gift, ok bool) {
	held := q.Grants.Effective(q.Standing)
	var gifts []gift
	for _, role := range q.RolesWith() {
		g := gift{role: role, has: q.effective(role), unsure: len(q.Roles[role]) == 0}
		for _, permission := range held {
			known := !g.unsure || slices.Contains(ManagingPermissions(), permission) || slices.Contains(q.Grants[q.Standing.Role], permission)
			if known && !slices.Contains(g.has, permission) {
				g.lost = append(g.lost, permission)
			}
		}
		if present := q.Standing.Member && role == q.Standing.Role; !present && !q.isLastWith(g.lost) {
			gifts = append(gifts, g)
		}
	}
	if len(gifts) == 0 {
		return gift{}, false
	}
	return slices.MinFunc(gifts, func(a, b gift) int {
		return cmp.Or(cmp.Compare(len(a.lost), len(b.lost)), cmp.Compare(len(a.has), len(b.has)), cmp.Compare(a.role, b.role))
	}), true
}

// isLastWith reports whether one of the user's permissions is one to manage members that no other
// member has.
func (q *Inquiry) isLastWith(permissions []string) bool {
	return slices.ContainsFunc(ManagingPermissions(), func(managing string) bool {
		return slices.Contains(permissions, managing) && !slices.Contains(q.Provenance.HeldByOthers, managing)
	})
}

// candidates lists the roles that a member can have: those at Clerk or, if the mirror doesn't know
// them, those of the policy.
func (q *Inquiry) candidates() []string {
	roles := slices.Clone(q.Provenance.RoleKeys)
	if len(roles) == 0 {
		for role := range q.Grants {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// effective lists the permissions of a member with the role of that present key.
func (q *Inquiry) effective(role string) []string {
	s := Standing{Member: true, Role: role}
	for _, holder := range q.Roles[role] {
		if holder.Key == role && len(holder.Permissions) > len(s.Permissions) { // a deleted role has none
			s.Permissions = holder.Permissions
		}
	}
	return q.Grants.Effective(s)
}
