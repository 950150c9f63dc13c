package sync

import (
	"cmp"
	"fmt"
	"slices"
)

// Change is one change after which a refused request would be allowed.
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

// admitMember proposes a membership of a user whom the mirror knows.
func (q *Inquiry) admitMember() *Change {
	user, organization := q.Standing.UserID, q.Standing.OrganizationID
	if !q.Provenance.UserKnown || !q.Provenance.OrganizationKnown {
		return nil
	}
	c := Change{Kind: ChangeAddMember, Subject: user, Words: "make " + user + " a member of " + organization}
	if q.Permission == "" {
		return &c
	}
	if c.Role = q.leastRole(""); c.Role == "" {
		return nil
	}
	c.Words += " with the role " + c.Role
	return &c
}

// givePermission proposes a role that has the permission. If none has it, the policy must grant it
// to the present one.
func (q *Inquiry) givePermission() *Change {
	user, role := q.Standing.UserID, q.Standing.Role
	if given := q.leastRole(role); given != "" {
		return &Change{Kind: ChangeGiveRole, Subject: user, Role: given, Words: fmt.Sprintf("give %s the role %s", user, given)}
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
	c := Change{Kind: ChangeWaitForSweep, Subject: q.Standing.OrganizationID, Words: "wait for the next clean sweep, or run rolecall reconcile"}
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

// leastRole returns the role with the fewest permissions of those that have the one asked for, or
// "". It isn't the present one: a role that was deleted and made again may have the same key.
func (q *Inquiry) leastRole(present string) string {
	roles := slices.DeleteFunc(q.RolesWith(), func(role string) bool { return role == present })
	if len(roles) == 0 {
		return ""
	}
	return slices.MinFunc(roles, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(q.effective(a)), len(q.effective(b))), cmp.Compare(a, b))
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
