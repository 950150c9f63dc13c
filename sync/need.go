package sync

import "time"

// MembersManage is the permission to invite, promote and remove members.
const MembersManage = "members:manage"

// Need is a reason why a workspace needs a person's attention. The values are stored and shown, and
// are labels of a metric; never change them.
type Need string

// The needs. docs/operate.md says what each means and what to do.
const (
	NeedNoManager          Need = "no_manager"          // no member may manage members; it may have no member at all
	NeedSingleManager      Need = "single_manager"      // exactly one member may manage members
	NeedOverSeatLimit      Need = "over_seat_limit"     // it has more memberships than Clerk allows it
	NeedUnknownRole        Need = "unknown_role"        // the role of some members grants them nothing
	NeedExpiredInvitations Need = "expired_invitations" // some invitations have expired, and weren't repeated
)

// Needs lists all needs, the most urgent first.
func Needs() []Need {
	return []Need{NeedNoManager, NeedSingleManager, NeedUnknownRole, NeedOverSeatLimit, NeedExpiredInvitations}
}

// AboutManagers reports whether the need is one of managers. Such needs aren't looked for if no
// role can manage members.
func (n Need) AboutManagers() bool { return n == NeedNoManager || n == NeedSingleManager }

// Roster says of a workspace what its needs depend on. It counts members who may act: see
// [Grants.Decide]. Seats are the exception.
type Roster struct {
	Members            int64
	Managers           int64 // members who may use MembersManage
	UnknownRole        int64 // members to whom every permission is refused with ReasonUnknownRole
	Seats              Seats // as Clerk counts them; Taken is 0 without a limit
	ExpiredInvitations int64 // that expired within [ExpiredFor], and whose address wasn't invited again

	// NoneCanManage says that no role of any workspace has MembersManage. Then the policy is
	// the matter, and no workspace.
	NoneCanManage bool
}

// ExpiredFor is how long an expired invitation needs attention. Later, the person has probably
// found another way, or isn't expected any more.
const ExpiredFor = 30 * 24 * time.Hour

// Needs lists the workspace's needs, in the order of [Needs].
func (r Roster) Needs() []Need {
	var needs []Need
	for _, n := range []struct {
		need Need
		is   bool
	}{
		{NeedNoManager, r.Managers == 0 && !r.NoneCanManage},
		{NeedSingleManager, r.Managers == 1},
		{NeedUnknownRole, r.UnknownRole > 0},
		{NeedOverSeatLimit, r.Seats.Limit > 0 && r.Seats.Taken > r.Seats.Limit},
		{NeedExpiredInvitations, r.ExpiredInvitations > 0},
	} {
		if n.is {
			needs = append(needs, n.need)
		}
	}
	return needs
}

// Acting is a group of members of one workspace who may act and have the same role.
type Acting struct {
	Role        string   // present canonical key
	Permissions []string // Clerk's own permissions of the role
	Members     int64
}

// Count adds members to the managers and to the members of an unknown role, as [Grants.Decide]
// decides about them. Members doesn't change.
func (r *Roster) Count(g Grants, group Acting) {
	d := g.Decide(Standing{EverMember: true, Member: true, Role: group.Role, Permissions: group.Permissions}, MembersManage)
	switch {
	case d.Allowed:
		r.Managers += group.Members
	case d.Reason == ReasonUnknownRole:
		r.UnknownRole += group.Members
	}
}

// Evidence says how far the mirror can be believed when workspaces are judged. Instants are by the
// database's clock, and zero if there is none.
type Evidence struct {
	Now               time.Time
	CleanSince        time.Time // when the last clean sweep of everything began
	UncleanSince      time.Time // when the first sweep began after it that isn't clean: it runs, or was stopped
	WaitingSince      time.Time // when the delivery was received that came first of those that wait
	DatabaseChangedAt time.Time
	PolicySaved       bool // whether a process has saved a policy
}

// Unjudged says why nothing can be said about any workspace.
type Unjudged string

// The reasons, in the order in which they are looked for. "" says that workspaces can be judged.
const (
	UnjudgedNeverSwept      Unjudged = "never_swept"      // no sweep was clean: members may be missing
	UnjudgedDatabaseChanged Unjudged = "database_changed" // as the alarm of this name: changes may be missing
	UnjudgedNoPolicy        Unjudged = "no_policy"        // no process has saved a policy
	UnjudgedNotYet          Unjudged = "not_yet"          // no round has gone through
)

// Unjudged returns why no workspace can be judged; "" if they can.
func (e Evidence) Unjudged() Unjudged {
	switch {
	case e.CleanSince.IsZero():
		return UnjudgedNeverSwept
	case !e.DatabaseChangedAt.IsZero() && !e.CleanSince.After(e.DatabaseChangedAt):
		return UnjudgedDatabaseChanged
	case !e.PolicySaved:
		return UnjudgedNoPolicy
	default:
		return ""
	}
}

// settleNeeds is how long a finding must have held before it counts. Deliveries of one change, such
// as of two roles that are swapped, come within seconds of each other.
const settleNeeds = time.Minute

// CreatedBefore returns the instant before which a workspace must have been created to be judged:
// only those have been swept. Of a younger one, a delivery may be missing.
func (e Evidence) CreatedBefore() time.Time { return e.CleanSince }

// SettledBefore returns the instant before which a finding must have been made to count, if it
// still holds. While a sweep isn't clean, or a delivery waits, the mirror may be half of a state.
// So findings that are younger don't count.
func (e Evidence) SettledBefore() time.Time {
	before := e.Now.Add(-settleNeeds)
	for _, half := range []time.Time{e.UncleanSince, e.WaitingSince} {
		if !half.IsZero() && half.Before(before) {
			before = half
		}
	}
	return before
}
