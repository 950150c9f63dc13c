package sync

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// A signed event that comes late changes nothing in the mirror: a newer state is there already. But
// it says what was so before. So the audit log gets an entry about the past, of the action
// …restated. Its At is the instant from which on the state held. Its Before and After have the same
// shape as those of other entries about such an object. If the state ended with a newer one that
// the mirror had, a second entry restates that one, because no entry may have recorded it. If a
// membership has ended, its end is restated, too: the entry of that may have been cut.
//
// An access review ([WorkspaceReview]) takes each such entry as true at its instant. So it doesn't
// depend on the order in which events arrived.

// restatedSuffix ends the actions of entries about the past.
const restatedSuffix = ".restated"

// Restates reports whether an entry of this action is about the past. A delivery that has an entry
// about the same object in the log already is replayed: it restates nothing.
func (a Action) Restates() bool { return strings.HasSuffix(string(a), restatedSuffix) }

// recorder makes the audit entries of one kind of objects.
type recorder[T any] struct {
	changed  func(before, after T) []AuditEntry // of an effective change
	restated func(before, in T) []AuditEntry    // of what a late event says; nil for none
}

// late returns the entries of what a state says of the past. An answer of Clerk's API says nothing.
func (r recorder[T]) late(observed bool, before, in T) []AuditEntry {
	if observed || r.restated == nil {
		return nil
	}
	return r.restated(before, in)
}

func restateMembership(before, in Membership) (entries []AuditEntry) {
	add := func(at int64, was, is string) {
		details := func(role string) Details {
			if role == "" {
				return nil
			}
			return Details{"membership_id": in.ID, "role": role}
		}
		entries = append(entries, AuditEntry{
			OrganizationID: max(before.OrganizationID, in.OrganizationID), Target: max(before.UserID, in.UserID),
			Action: ActionMemberRestated, At: at, Before: details(was), After: details(is),
		})
	}
	end := before.end()
	switch {
	case before.Dead() && !before.Role.Written() && in.Role.Written(): // its deletion had only its id
		add(cmp.Or(in.CreatedAt.Value, in.Role.Version.OccurredAt), "", in.Role.Value)
		add(end, in.Role.Value, "")
	case before.foundLate(in.Tombstone): // a read had found it gone later
		add(in.end(), cmp.Or(before.Role.Value, in.Role.Value), "")
	case in.Dead() || !in.Role.Written() || !before.Role.Written():
	default:
		restate(before.Role, in.Role, cmp.Or(in.CreatedAt.Value, in.Role.Version.OccurredAt), before.Dead(), func(at int64, was, is string) {
			if at < end {
				add(at, was, is)
			}
		})
		if before.Dead() && len(entries) > 0 {
			add(end, before.Role.Value, "")
		}
	}
	return entries
}

func restateUser(before, in User) (entries []AuditEntry) {
	add := func(at int64, name string, is bool) {
		if at >= before.end() {
			return
		}
		i := slices.IndexFunc(entries, func(e AuditEntry) bool { return e.At == at })
		if i < 0 {
			i = len(entries)
			entries = append(entries, AuditEntry{Target: in.ID, Action: ActionUserRestated, At: at, After: Details{}})
		}
		entries[i].After[name] = is
	}
	if before.foundLate(in.Tombstone) {
		add(in.end(), "deleted", true)
	}
	flag := func(name string, was, is Field[bool]) {
		v, k := is.Version, was.Version
		switch {
		case before.Dead() && !was.Written() && is.Value:
			add(v.OccurredAt, name, true)
		case !is.Value && !was.Value && v.UpdatedAt == k.UpdatedAt && (v.Kind == KindCreated || k.Kind != KindObserved):
			// nearly all late events of users: no entry says that the flag was ever set
		default:
			restate(was, is, cmp.Or(in.CreatedAt.Value, v.OccurredAt), before.Dead(), func(at int64, _, value bool) { add(at, name, value) })
		}
	}
	flag("banned", before.Banned, in.Banned)
	flag("deprovisioned", before.Deprovisioned, in.Deprovisioned)
	return entries
}

func restateOrganization(before, in Organization) []AuditEntry {
	if !before.foundLate(in.Tombstone) {
		return nil
	}
	return []AuditEntry{{
		OrganizationID: in.ID, Target: in.ID, Action: ActionWorkspaceRestated, At: in.end(),
		Before: organizationDetails(before),
	}}
}

func restateRole(before, in Role) (entries []AuditEntry) {
	if before.Dead() || in.Dead() {
		return nil
	}
	details := func(key string) Details {
		if key == "" {
			return nil
		}
		return Details{"key": key}
	}
	restate(before.Key, in.Key, in.Key.Version.OccurredAt, false, func(at int64, was, is string) {
		entries = append(entries, AuditEntry{
			Target: in.ID, Action: ActionRoleRestated, At: at, Before: details(was), After: details(is),
		})
	})
	return entries
}

// restate restates the value of one field that came late, and the value that followed it. A value
// that the object had from its creation on held since createdAt. If the object has ended, no entry
// records its newer values.
func restate[V comparable](known, late Field[V], createdAt int64, ended bool, add func(at int64, was, is V)) {
	v, k := late.Version, known.Version
	fresh := v.Compare(k) > 0
	switch {
	case v.Rank < RankFull || k.IsZero() || v.Kind == KindDeleted: // a deletion repeats an old value
		return
	case ended:
	case k.Rank < RankFull: // a nested copy was known, and may be of a later instant
		if v.OccurredAt >= k.OccurredAt || late.Value != known.Value {
			return
		}
	case fresh: // its own entry says it
		return
	}
	if late.Value == known.Value && v.UpdatedAt == k.UpdatedAt && (v.Kind == KindCreated || v.Kind == k.Kind) {
		return
	}
	at := v.OccurredAt
	if v.Kind == KindCreated {
		at = createdAt
	}
	var none V
	add(at, none, late.Value)
	renamed := v.UpdatedAt == k.UpdatedAt && k.Kind != KindUpdated // the role of one state had another key when that was shown
	if !fresh && late.Value != known.Value && !renamed {
		add(max(at, k.heldFrom()), late.Value, known.Value)
	}
}

// heldFrom returns an instant at which a state of this version held. An answer and a deletion are
// later than the state that they show.
func (v Version) heldFrom() int64 {
	if v.Kind == KindUpdated {
		return v.OccurredAt
	}
	return v.UpdatedAt
}

// end returns when the object was gone, epoch milliseconds; beyond all instants if it lives.
func (t Tombstone) end() int64 {
	if t.Dead() {
		return t.OccurredAt
	}
	return math.MaxInt64
}

// foundLate reports whether a read found the object gone some time after the given deletion.
func (t Tombstone) foundLate(deletion Tombstone) bool {
	return t.Dead() && !t.Final() && deletion.end() < t.end()
}
