package sync

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// An access review says who had which role in which workspace at an instant. It is rebuilt from
// the audit log alone: from the entries up to that instant, in the order in which things happened
// ([LoggedEntry.At], then Seq). First come the entries about roles, then those of one workspace
// after the other. Those about a workspace's users may come before or after it, but before its
// rows.
//
// Every entry is taken as true at its instant. Where a delivery came late, an entry restates the
// past (restate.go). So the review of an instant may still change until all deliveries about it
// have come.

// WorkspaceActions lists the actions of the entries of a workspace that its review is made of.
func WorkspaceActions() []Action {
	return []Action{
		ActionWorkspaceCreated, ActionWorkspaceRenamed, ActionWorkspaceDeleted, ActionWorkspaceRestated,
		ActionMemberJoined, ActionMemberRoleChanged, ActionMemberRemoved, ActionMemberLeft, ActionMemberRestated,
		ActionInvitationSent, ActionInvitationAccepted, ActionInvitationRevoked, ActionInvitationExpired,
	}
}

// UserActions lists the actions of the instance's entries about users that reviews are made of.
func UserActions() []Action {
	return []Action{
		ActionUserBanned, ActionUserUnbanned, ActionUserDeprovisioned, ActionUserRestored, ActionUserDeleted, ActionUserRestated,
	}
}

// RoleActions lists the actions of the instance's entries about roles that reviews are made of.
func RoleActions() []Action { return []Action{ActionRoleChanged, ActionRoleRestated} }

// Access is one membership of an access review.
type Access struct {
	OrganizationID string
	UserID         string
	MembershipID   string
	Role           string     // the role's key as it was then; "" if no entry says it
	JoinedAt       time.Time  // when the membership began
	RoleSince      time.Time  // since when the user had the role
	Cause          string     // of the entry that says the role: a delivery, a command, or the sweep or look-up that found it
	InvitedBy      string     // user_… or service:NAME whose invitation the user had accepted; "" if none is known
	User           UserStatus // a member who is refused everywhere is listed, and marked
}

// FoundLate reports whether a sweep or a look-up found the role, because the delivery about it
// never came. The role may then be older than RoleSince says.
func (a Access) FoundLate() bool { return wasRead(a.Cause) }

// details are what entries say of members, invitations, users, roles and workspaces.
type details struct {
	MembershipID  string `json:"membership_id"`
	Role          string `json:"role"`
	Key           string `json:"key"`
	Name          string `json:"name"`
	InviterID     string `json:"inviter_id"`
	Banned        *bool  `json:"banned"`
	Deprovisioned *bool  `json:"deprovisioned"`
	Deleted       *bool  `json:"deleted"`
}

func (e LoggedEntry) read(raw json.RawMessage) (d details, given bool, err error) {
	if raw == nil {
		return d, false, nil
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, false, fmt.Errorf("audit entry %d of chain %q has details that Rolecall never records; verify the log: %w",
			e.Seq, e.OrganizationID, err)
	}
	return d, true, nil
}

// states reads what was so before the entry, and what is so after it. given is false if nothing is.
func (e LoggedEntry) states() (was, is details, given bool, err error) {
	if was, _, err = e.read(e.Before); err != nil {
		return was, is, false, err
	}
	is, given, err = e.read(e.After)
	return was, is, given, err
}

// WorkspaceReview is the review of one workspace. Make it with [Accounts.Workspace].
type WorkspaceReview struct {
	OrganizationID string
	Name           string // as it was then; "" if no entry says it
	Deleted        bool   // then no user has access

	accounts    *Accounts
	members     map[string]*reviewed   // by user: the membership that was created last
	invitations map[string]sentBy      // pending ones by id
	accepted    map[string]acceptation // by user: invitations whose membership isn't known yet

	named, last int64 // numbers of the entries that named the workspace, and of the last one about it
}

type reviewed struct {
	Access

	roleAt time.Time // when an entry named the role
	ended  bool
	holds  []int64 // numbers of the entries that say all this
}

type sentBy struct {
	inviter string
	at      time.Time
	holds   []int64 // numbers of the invitation's entries
}

type acceptation struct {
	sentBy

	accepted time.Time
}

// Workspace begins the review of a workspace. The accounts must have taken all entries about
// roles. They must take those about the workspace's users before its [WorkspaceReview.Rows] are
// asked for.
func (a *Accounts) Workspace(organizationID string) *WorkspaceReview {
	return &WorkspaceReview{
		OrganizationID: organizationID, accounts: a, members: map[string]*reviewed{},
		invitations: map[string]sentBy{}, accepted: map[string]acceptation{},
	}
}

// Take takes the next entry of the workspace's chain.
func (w *WorkspaceReview) Take(e LoggedEntry) error {
	was, is, given, err := e.states()
	if err != nil {
		return err
	}
	switch e.Action {
	case ActionWorkspaceCreated, ActionWorkspaceRenamed, ActionWorkspaceDeleted, ActionWorkspaceRestated:
		w.Deleted = !given
		w.last = e.Seq
		if name := cmp.Or(is.Name, was.Name); name != "" {
			w.Name, w.named = name, e.Seq
		}
	case ActionMemberJoined:
		w.joined(e, is)
	case ActionMemberRoleChanged, ActionMemberRestated:
		w.changed(e, was, is, given)
	case ActionMemberRemoved, ActionMemberLeft:
		w.ended(e.Target, was.MembershipID)
	case ActionInvitationSent:
		w.invitations[e.Target] = sentBy{deref(e.Actor), e.At, []int64{e.Seq}}
	case ActionInvitationAccepted:
		w.acceptedBy(e, is)
	case ActionInvitationRevoked, ActionInvitationExpired:
		delete(w.invitations, e.Target)
	default: // of the instance, or a product's own
	}
	return nil
}

// acceptanceLag is how much earlier than a membership its invitation may have been accepted.
const acceptanceLag = time.Minute

func (w *WorkspaceReview) joined(e LoggedEntry, is details) {
	if m := w.members[e.Target]; m != nil && m.MembershipID == is.MembershipID { // it had only seemed to have ended
		m.ended = false
		w.note(m, e, is.Role)
		return
	}
	m := &reviewed{Access: Access{
		OrganizationID: w.OrganizationID, UserID: e.Target, MembershipID: is.MembershipID, JoinedAt: e.At, RoleSince: e.At,
	}}
	if by, ok := w.accepted[e.Target]; ok {
		if !by.at.After(e.At) && by.accepted.Add(acceptanceLag).After(e.At) {
			m.InvitedBy, m.holds = by.inviter, by.holds
		}
		delete(w.accepted, e.Target)
	}
	w.members[e.Target] = m
	w.note(m, e, is.Role)
}

// note notes a role. A restated role stays the same role, also under another key.
func (w *WorkspaceReview) note(m *reviewed, e LoggedEntry, role string) {
	if m.Role == "" || w.accounts.role(m.Role, m.roleAt) != w.accounts.role(role, e.At) {
		m.RoleSince, m.Cause = e.At, e.Cause
	}
	m.Role, m.roleAt = role, e.At
	m.holds = append(m.holds, e.Seq)
}

func (w *WorkspaceReview) changed(e LoggedEntry, was, is details, given bool) {
	m := w.members[e.Target]
	switch {
	case !given:
		w.ended(e.Target, was.MembershipID)
	case m == nil || m.MembershipID != is.MembershipID:
		if e.Action == ActionMemberRestated {
			w.joined(e, is)
		}
	default:
		if e.Action == ActionMemberRestated {
			m.ended = false
		}
		w.note(m, e, is.Role)
	}
}

// ended ends a membership. An entry from before the membership's role was known doesn't name it.
func (w *WorkspaceReview) ended(userID, membershipID string) {
	if m := w.members[userID]; m != nil && (membershipID == "" || m.MembershipID == membershipID) {
		m.ended = true
	}
}

func (w *WorkspaceReview) acceptedBy(e LoggedEntry, is details) {
	sent, known := w.invitations[e.Target]
	delete(w.invitations, e.Target)
	if !known {
		sent = sentBy{inviter: is.InviterID}
	}
	sent.holds = append(sent.holds, e.Seq)
	userID := deref(e.Actor)
	if userID == "" || sent.inviter == "" {
		return
	}
	if m := w.members[userID]; m != nil && !m.ended && m.InvitedBy == "" && !m.JoinedAt.Before(sent.at) {
		m.InvitedBy, m.holds = sent.inviter, append(m.holds, sent.holds...)
		return
	}
	w.accepted[userID] = acceptation{sent, e.At}
}

// holds returns the numbers of the entries that say how the workspace is called, and whether it is
// there.
func (w *WorkspaceReview) holds() []int64 { return []int64{w.last, w.named} }

// awaited returns the numbers of the entries about invitations whose memberships may still come:
// after an instant, or late and of one of the given users.
func (w *WorkspaceReview) awaited(after time.Time, late map[string]bool) (seqs []int64) {
	for _, sent := range w.invitations {
		seqs = append(seqs, sent.holds...)
	}
	for userID, by := range w.accepted {
		if late[userID] || by.accepted.Add(acceptanceLag).After(after) {
			seqs = append(seqs, by.holds...)
		}
	}
	return seqs
}

// current returns the membership that a user has now; nil for none.
func (w *WorkspaceReview) current(userID string) *reviewed {
	if m := w.members[userID]; m != nil && !m.ended && !w.Deleted {
		return m
	}
	return nil
}

// Users returns the ids of those who were members, in any order.
func (w *WorkspaceReview) Users() []string {
	if w.Deleted {
		return nil
	}
	var ids []string
	for id, m := range w.members {
		if !m.ended {
			ids = append(ids, id)
		}
	}
	return ids
}

// Rows returns who had access, in the order of joining.
func (w *WorkspaceReview) Rows() []Access {
	if w.Deleted {
		return nil
	}
	var rows []Access
	for _, m := range w.members {
		if m.ended {
			continue
		}
		row := m.Access
		row.Role = w.accounts.role(m.Role, m.roleAt)
		row.User = w.accounts.refused[m.UserID]
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Access) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.UserID, b.UserID))
	})
	return rows
}
