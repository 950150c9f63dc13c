package sync

import (
	"math"
	"reflect"
)

// A version says what is newer as long as Clerk's updated_at is true. One from the future (of a delivery that wasn't this
// instance's, say) would win for ever, and a sweep would find nothing to repair. So what Clerk's API goes on showing
// against a higher version counts in the end: Clerk's word is final.

// Contradicted reports whether the mirror has other values for the subject of the facts, which Clerk's API showed, than these, and
// would keep them because of their versions. The facts must have been merged before.
func (m Mirror) Contradicted(f Facts) bool {
	return contradicted(f, f.Users, m.Users) || contradicted(f, f.Memberships, m.Memberships) ||
		contradicted(f, f.Invitations, m.Invitations) || contradicted(f, f.Domains, m.Domains) ||
		contradicted(f, f.Permissions, m.Permissions) || contradicted(f, f.Roles, m.Roles) ||
		contradicted(f, f.Organizations, m.Organizations)
}

// OverruleAll puts what a look-up showed into the mirror, whatever the versions of what it says of its subjects.
func (m Mirror) OverruleAll(facts []Facts, askedAt int64, cause string) Changes {
	return m.observeAll(application{observed: true, overruling: true}, facts, askedAt, cause)
}

func contradicted[T mergeable[T], P registered[T]](f Facts, said []T, objects map[string]T) bool {
	for _, in := range said {
		before, known := objects[in.ObjectID()]
		if !known || in.ObjectID() != f.Subject || before.dead() {
			continue
		}
		after := overrule[T, P](before, in)
		same := withVersionsOf[T, P](before, withoutHistory(after), func(Version, Version) bool { return true })
		if !reflect.DeepEqual(withoutHistory(before), same) {
			return true
		}
	}
	return false
}

// overrule merges as if what is said had the highest version, and leaves it with its own.
func overrule[T mergeable[T], P registered[T]](before, in T) T {
	raised := in
	for _, r := range P(&raised).Registers() {
		if !r.Version.IsZero() {
			r.Version.Rank, r.Version.UpdatedAt = RankFull, math.MaxInt64
		}
	}
	after := before.Merge(raised)
	own, registers := P(&in).Registers(), P(&after).Registers()
	for i, r := range registers {
		if r.Version.UpdatedAt == math.MaxInt64 {
			*r.Version = *own[i].Version
		}
	}
	return withParentsOf(after, in)
}

// withParentsOf returns after, in the organization and of the user that in names.
func withParentsOf[T any](after, in T) T {
	switch after := any(&after).(type) {
	case *Membership:
		in := any(&in).(*Membership) //nolint:forcetypeassert // both are states of one object
		after.OrganizationID, after.UserID = in.OrganizationID, in.UserID
	case *Invitation:
		after.OrganizationID = any(&in).(*Invitation).OrganizationID //nolint:forcetypeassert // as above
	case *Domain:
		after.OrganizationID = any(&in).(*Domain).OrganizationID //nolint:forcetypeassert // as above
	}
	return after
}

// Reference returns what a point look-up of the subject of the facts needs.
func (f Facts) Reference() Reference {
	ref := Reference{ID: f.Subject}
	switch {
	case len(f.Memberships) > 0:
		ref.OrganizationID, ref.UserID = f.Memberships[0].OrganizationID, f.Memberships[0].UserID
	case len(f.Invitations) > 0:
		ref.OrganizationID = f.Invitations[0].OrganizationID
	case len(f.Domains) > 0:
		ref.OrganizationID = f.Domains[0].OrganizationID
	}
	return ref
}
