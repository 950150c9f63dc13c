package client

import (
	"slices"
	"sync"
	"time"
)

// Members keeps in memory who is a member of which workspace, from the batches of [Client.Follow].
// The zero value knows no member. It is safe for concurrent use.
//
// It needs the feed from its beginning. Until it has caught up for the first time, no one is a
// member. While the feed is read anew (Batch.Anew), it answers from what it knew before.
//
// It goes by the rules of the mirror. A membership counts while its workspace and its user live,
// and the user is neither banned nor deprovisioned. Of a user's memberships in a workspace, the one
// that began last counts, also after its end: after a rejoin, the end of the former membership may
// come after the beginning of the new one. Where Clerk dated two memberships the wrong way round,
// that may leave a member out until the next change of that member; it never lets a removed one in.
type Members struct {
	mu      sync.RWMutex
	known   book
	rebuilt *book // takes the place of known once it has caught up; nil for none
	until   time.Time
}

// Departure says that a user isn't a member of a workspace any more, or can't act there.
type Departure struct {
	WorkspaceID string
	UserID      string
}

// Apply takes the next batch, and returns who has ceased to be a member by it: removed or gone, by
// the deletion of a workspace, or by a ban, a deletion or a deprovisioning of the user. When the
// feed was read from its beginning, and has been caught up with, all are returned who ever were
// members and aren't any more: one of them may have been let in while it was read.
func (m *Members) Apply(b Batch) []Departure {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.Anew {
		m.rebuilt = &book{}
	}
	into := &m.known
	if m.rebuilt != nil {
		into = m.rebuilt
	}
	var gone []Departure
	for _, change := range b.Changes {
		gone = append(gone, into.apply(change)...)
	}
	m.until = b.CompleteUntil
	if m.rebuilt == nil {
		return gone
	}
	if b.More {
		return nil
	}
	before := m.known
	m.known, m.rebuilt = *m.rebuilt, nil
	return m.known.gone(&before)
}

// Role returns a member's role, by the key that it had when the member got it, and whether the user
// is a member who may act.
func (m *Members) Role(workspaceID, userID string) (role string, member bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.known.role(workspaceID, userID)
}

// Of returns the roles of a workspace's members by the ids of their users.
func (m *Members) Of(workspaceID string) map[string]string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.known.members(workspaceID)
}

// CompleteUntil returns the instant up to which the members are known: the last batch's.
func (m *Members) CompleteUntil() time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.until
}

// book is what the changes so far say.
type book struct {
	workspaces map[string]*workspaceBook
	users      map[string]*userBook
}

type workspaceBook struct {
	deleted bool // its memberships come back with it, if it had only seemed to be
	members map[string][]bookedMembership
}

type userBook struct {
	deleted, banned, deprovisioned bool

	workspaces map[string]struct{} // in which the user ever was
}

type bookedMembership struct {
	id    string
	began time.Time
	role  string
	ended bool
}

func (b *book) workspace(id string) *workspaceBook {
	if b.workspaces == nil {
		b.workspaces = map[string]*workspaceBook{}
	}
	w := b.workspaces[id]
	if w == nil {
		w = &workspaceBook{members: map[string][]bookedMembership{}}
		b.workspaces[id] = w
	}
	return w
}

func (b *book) user(id string) *userBook {
	if b.users == nil {
		b.users = map[string]*userBook{}
	}
	u := b.users[id]
	if u == nil {
		u = &userBook{workspaces: map[string]struct{}{}}
		b.users[id] = u
	}
	return u
}

func (b *book) role(workspaceID, userID string) (role string, member bool) {
	w, u := b.workspaces[workspaceID], b.users[userID]
	if w == nil || u == nil || w.deleted || u.deleted || u.banned || u.deprovisioned {
		return "", false
	}
	of := w.members[userID]
	if len(of) == 0 || of[len(of)-1].ended {
		return "", false
	}
	return of[len(of)-1].role, true
}

func (b *book) members(workspaceID string) map[string]string {
	members := map[string]string{}
	if w := b.workspaces[workspaceID]; w != nil {
		for userID := range w.members {
			if role, ok := b.role(workspaceID, userID); ok {
				members[userID] = role
			}
		}
	}
	return members
}

// apply takes a change, and returns whose membership ceased to count.
func (b *book) apply(c FeedChange) []Departure {
	var before []Departure
	for _, concerned := range b.concerned(c) {
		if _, member := b.role(concerned.WorkspaceID, concerned.UserID); member {
			before = append(before, concerned)
		}
	}
	b.note(c)
	var gone []Departure
	for _, was := range before {
		if _, member := b.role(was.WorkspaceID, was.UserID); !member {
			gone = append(gone, was)
		}
	}
	return gone
}

// concerned returns the members whom a change may make none.
func (b *book) concerned(c FeedChange) (pairs []Departure) {
	switch c.area() {
	case "member":
		return []Departure{{c.WorkspaceID, c.UserID}}
	case "workspace":
		for userID := range b.workspace(c.WorkspaceID).members {
			pairs = append(pairs, Departure{c.WorkspaceID, userID})
		}
	case "user":
		for workspaceID := range b.user(c.UserID).workspaces {
			pairs = append(pairs, Departure{workspaceID, c.UserID})
		}
	}
	return pairs
}

func (b *book) note(c FeedChange) {
	switch c.Kind {
	case "workspace.created":
		b.workspace(c.WorkspaceID).deleted = false
	case "workspace.deleted":
		b.workspace(c.WorkspaceID).deleted = true
	case "member.joined", "member.role_changed", "member.removed", "member.left":
		b.user(c.UserID).workspaces[c.WorkspaceID] = struct{}{}
		w := b.workspace(c.WorkspaceID)
		w.members[c.UserID] = noted(w.members[c.UserID], c)
	case "user.banned", "user.unbanned", "user.deprovisioned", "user.restored", "user.deleted":
		b.user(c.UserID).note(c)
	}
}

// noted notes a change of one of a pair's memberships, which are in the order of their beginnings.
// Of two that began in the same millisecond, the one that has ended is the former. The last one
// stays when it has ended: it keeps those before it from counting.
func noted(of []bookedMembership, c FeedChange) []bookedMembership {
	ends := c.Kind == "member.removed" || c.Kind == "member.left"
	at := slices.IndexFunc(of, func(m bookedMembership) bool { return m.id == c.MembershipID })
	if c.MembershipID == "" {
		at = len(of) - 1
	}
	switch {
	case at >= 0:
		of[at].ended = ends
		if !ends {
			of[at].role = c.Role
		}
	case ends: // of a membership of which the feed has nothing else: it began before it ended
		return of
	default:
		of = append(of, bookedMembership{id: c.MembershipID, began: c.At, role: c.Role})
	}
	slices.SortStableFunc(of, func(a, b bookedMembership) int {
		switch {
		case !a.began.Equal(b.began) || a.ended == b.ended:
			return a.began.Compare(b.began)
		case a.ended:
			return -1
		default:
			return 1
		}
	})
	return withoutFormer(of)
}

// withoutFormer drops the memberships that have ended, except the last one.
func withoutFormer(of []bookedMembership) []bookedMembership {
	kept := of[:0]
	for i, m := range of {
		if !m.ended || i == len(of)-1 {
			kept = append(kept, m)
		}
	}
	return kept
}

// note notes a change of the account. A change that doesn't say what holds now means what its kind
// says: a user who had been deleted, and is restored, had only seemed to be.
func (u *userBook) note(c FeedChange) {
	switch {
	case c.Deleted != nil || c.Banned != nil || c.Deprovisioned != nil:
		u.deleted = said(c.Deleted, u.deleted)
		u.banned = said(c.Banned, u.banned)
		u.deprovisioned = said(c.Deprovisioned, u.deprovisioned)
	case c.Kind == "user.deleted":
		u.deleted = true
	case c.Kind == "user.restored" && u.deleted:
		u.deleted = false
	case c.Kind == "user.restored":
		u.deprovisioned = false
	case c.Kind == "user.deprovisioned":
		u.deprovisioned = true
	default:
		u.banned = c.Kind == "user.banned"
	}
}

func said(says *bool, otherwise bool) bool {
	if says != nil {
		return *says
	}
	return otherwise
}

// gone returns those whom this book or one before it knows, and who aren't members by this one.
func (b *book) gone(before *book) (gone []Departure) {
	for workspaceID, w := range b.workspaces {
		for userID := range w.members {
			if _, member := b.role(workspaceID, userID); !member {
				gone = append(gone, Departure{workspaceID, userID})
			}
		}
	}
	for workspaceID, w := range before.workspaces {
		for userID := range w.members {
			if !b.knows(workspaceID, userID) {
				gone = append(gone, Departure{workspaceID, userID})
			}
		}
	}
	return gone
}

// knows reports whether a user ever was a member of a workspace.
func (b *book) knows(workspaceID, userID string) bool {
	w := b.workspaces[workspaceID]
	return w != nil && len(w.members[userID]) > 0
}
