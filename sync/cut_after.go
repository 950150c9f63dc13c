package sync

import (
	"slices"
	"time"
)

// CutAfter says which entries of a chain still hold, of those up to a cut. From these alone, two
// readers must learn what all of them say:
//
//   - a review of any later instant, which takes entries in the order in which things happened;
//   - a consumer who reads the change feed from its beginning. It gets the entries of effective
//     changes only, in the order in which they were recorded.
//
// A late delivery may let the two read different things of one user. Then all entries about that
// user in the chain still hold.
//
// So do they of a user of whom a later entry says something about the time before the cut. If a
// deleted workspace comes back later, all entries about its members still hold.
//
// Invitations still hold until it is known what came of them: a member who joins after the cut may
// have been invited before.
//
// entries are all entries of the chain up to the cut that are still there, by number. late are the
// targets of entries after the cut: of those that happened before the last one of these, and of
// those by which a workspace came back. Of an accepted invitation, it is the user who accepted.
// inUse are the numbers of the vouchers that are needed.
func CutAfter(organizationID string, accounts *Accounts, entries []LoggedEntry, late []string, inUse []int64) (holds map[int64]bool, err error) {
	h := holding{}
	h.add(inUse...)
	if organizationID == "" {
		return h, h.instance(entries, setOf(late))
	}
	return h, h.workspace(accounts.Workspace(organizationID), entries, setOf(late))
}

// LastHappened returns when the last of some entries happened.
func LastHappened(entries []LoggedEntry) (at time.Time) {
	for _, e := range entries {
		if e.At.After(at) {
			at = e.At
		}
	}
	return at
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// holding has the numbers of the entries that still hold.
type holding map[int64]bool

func (h holding) add(seqs ...int64) {
	for _, seq := range seqs {
		h[seq] = true
	}
}

// instance keeps the entries about roles, and those about users who are refused.
func (h holding) instance(entries []LoggedEntry, late map[string]bool) error {
	var reviewed, fed Accounts
	of := map[string][]int64{} // numbers of the entries about a user
	for _, e := range happened(entries) {
		if err := reviewed.Take(e); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if !e.Action.Restates() {
			if err := fed.Take(e); err != nil {
				return err
			}
		}
		switch e.Action.area() {
		case "role":
			h.add(e.Seq)
		case "user":
			of[e.Target] = append(of[e.Target], e.Seq)
		}
	}
	for userID, seqs := range of {
		_, inReview := reviewed.refused[userID]
		_, inFeed := fed.refused[userID]
		if inReview || inFeed || late[userID] {
			h.add(seqs...)
		}
	}
	return nil
}

// workspace keeps what says how the workspace is called, whether it is there, whom invitations wait
// for, and of each member since when, in which role, and by whose invitation.
func (h holding) workspace(review *WorkspaceReview, entries []LoggedEntry, late map[string]bool) error {
	for _, e := range happened(entries) {
		if err := review.Take(e); err != nil {
			return err
		}
	}
	var fed fedWorkspace
	for _, e := range entries {
		if err := fed.take(e); err != nil {
			return err
		}
	}
	h.add(review.holds()...)
	h.add(fed.existence)
	comesBack := (review.Deleted || fed.deleted) && late[review.OrganizationID]
	if comesBack || !review.Deleted {
		h.add(review.awaited(LastHappened(entries), late)...)
	}
	for userID, seqs := range aboutUsers(entries) {
		held := review.current(userID)
		if held != nil {
			h.add(held.holds...)
		}
		if comesBack || !fed.readsAlike(userID, held) || late[userID] {
			h.add(seqs...)
		}
	}
	return nil
}

// aboutUsers returns, by user, the numbers of the entries about memberships and about invitations
// that the user accepted.
func aboutUsers(entries []LoggedEntry) map[string][]int64 {
	of, invitations := map[string][]int64{}, map[string][]int64{}
	for _, e := range entries {
		switch e.Action.area() {
		case "member":
			of[e.Target] = append(of[e.Target], e.Seq)
		case "invitation":
			invitations[e.Target] = append(invitations[e.Target], e.Seq)
			if e.Action == ActionInvitationAccepted {
				of[deref(e.Actor)] = append(of[deref(e.Actor)], invitations[e.Target]...)
			}
		}
	}
	return of
}

func happened(entries []LoggedEntry) []LoggedEntry {
	return slices.SortedFunc(slices.Values(entries), LoggedEntry.Happened)
}

// fedWorkspace is what a consumer of the change feed makes of a workspace's chain. The zero value
// takes the first entry.
type fedWorkspace struct {
	deleted     bool
	existence   int64                      // number of the entry that says so; 0 if it never seemed to be deleted
	memberships map[string][]fedMembership // by user
}

type fedMembership struct {
	id          string // "" if an old entry doesn't say it
	ended       bool
	first, role LoggedEntry // the first entry, and the last one that names the role
	began       time.Time   // at this instant at the latest; zero if the feed only has its end
}

func (w *fedWorkspace) take(e LoggedEntry) error {
	switch e.Action {
	case ActionWorkspaceDeleted:
		w.deleted, w.existence = true, e.Seq
	case ActionWorkspaceCreated:
		if w.existence > 0 { // it had only seemed to be deleted
			w.deleted, w.existence = false, e.Seq
		}
	case ActionMemberJoined, ActionMemberRoleChanged, ActionMemberRemoved, ActionMemberLeft:
		was, is, given, err := e.states()
		if err != nil {
			return err
		}
		id := is.MembershipID
		if !given {
			id = was.MembershipID
		}
		if w.memberships == nil {
			w.memberships = map[string][]fedMembership{}
		}
		w.memberships[e.Target] = fed(w.memberships[e.Target], id, e, !given)
	default: // no member's, or of the past
	}
	return nil
}

func fed(of []fedMembership, id string, e LoggedEntry, ends bool) []fedMembership {
	at := slices.IndexFunc(of, func(m fedMembership) bool { return m.id == id })
	if at < 0 {
		at = len(of)
		of = append(of, fedMembership{id: id, first: e})
	}
	of[at].ended = ends
	if !ends {
		of[at].role = e
		if e.At.After(of[at].began) {
			of[at].began = e.At
		}
	}
	return of
}

// readsAlike reports whether a consumer, too, takes the membership that a review gives the user for
// the only one that hasn't ended, and learns of it from the entries that the review holds. held is
// nil if the review gives the user none.
func (w *fedWorkspace) readsAlike(userID string, held *reviewed) bool {
	all := w.memberships[userID]
	if slices.ContainsFunc(all, func(m fedMembership) bool { return m.id == "" }) {
		return false // each reader takes it for another membership
	}
	at := slices.IndexFunc(all, func(m fedMembership) bool { return !m.ended })
	if at < 0 || w.deleted || held == nil {
		return (at < 0 || w.deleted) && held == nil
	}
	alive := all[at]
	for i, m := range all { // of several, the one counts that began last, also after its end
		if i != at && (!m.ended || !m.began.Before(alive.first.At)) {
			return false
		}
	}
	return slices.Contains(held.holds, alive.first.Seq) && slices.Contains(held.holds, alive.role.Seq)
}
