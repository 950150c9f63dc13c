package sync

import (
	"cmp"
	"reflect"
	"slices"
)

// Mirror is a set of objects by id: all of the mirror, or the part that some deliveries are about.
type Mirror struct {
	Organizations map[string]Organization
	Users         map[string]User
	Memberships   map[string]Membership
	Invitations   map[string]Invitation
	Domains       map[string]Domain
	Roles         map[string]Role
	Permissions   map[string]Permission
}

// NewMirror returns an empty mirror.
func NewMirror() Mirror {
	return Mirror{
		Organizations: map[string]Organization{}, Users: map[string]User{}, Memberships: map[string]Membership{},
		Invitations: map[string]Invitation{}, Domains: map[string]Domain{}, Roles: map[string]Role{},
		Permissions: map[string]Permission{},
	}
}

// Changes are the result of applying deliveries or observations.
type Changes struct {
	Mirror                  // the objects that changed, as they are now
	Entries    []AuditEntry // of the changes
	Drift      []Drift      // what observations showed to be wrong
	RolesMoved bool         // members may have other roles or permissions now, without an event for each of them

	EndedSessions []EndedSession
}

// Difference says how an object differs between the mirror and Clerk's API.
type Difference string

// The differences. The values are stored and shown; never change them.
const (
	Missing Difference = "missing" // Clerk has it; here it is unknown, known from nested copies only, or dead
	Stale   Difference = "stale"   // known here, with other values
	Extra   Difference = "extra"   // alive here; Clerk doesn't list it
	Behind  Difference = "behind"  // Clerk shows a state older than what is applied here: nothing is wrong here
)

// Drift is one object in which mirror and Clerk differ.
type Drift struct {
	ID         string
	Difference Difference
}

// ApplyAll applies the deliveries that are in StateReceived, in the order in which they occurred.
// facts has what each of them says. ApplyAll sets their states, and returns the changes.
func (m Mirror) ApplyAll(deliveries []Delivery, facts []Facts) Changes {
	order := make([]int, len(deliveries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(deliveries[a].OccurredAt, deliveries[b].OccurredAt), cmp.Compare(deliveries[a].ID, deliveries[b].ID))
	})
	changes := Changes{Mirror: NewMirror()}
	for _, i := range order {
		d := &deliveries[i]
		if d.State != StateReceived {
			continue
		}
		a := m.apply(application{}, facts[i], changes.Mirror)
		if session := facts[i].EndedSession; session.ID != "" {
			a.state = StateApplied // also if it had ended before: the mirror isn't asked
			changes.EndedSessions = append(changes.EndedSessions, session)
		}
		d.State = a.state
		changes.add(a, d.ID, d.OccurredAt)
	}
	return changes
}

// ObserveAll merges what one page or look-up of Clerk's API showed. askedAt is when it was asked
// for, in epoch milliseconds. Values that the mirror has already keep their versions, so that a
// sweep without findings writes nothing.
func (m Mirror) ObserveAll(facts []Facts, askedAt int64, cause string) Changes {
	return m.observeAll(application{observed: true}, facts, askedAt, cause)
}

func (m Mirror) observeAll(how application, facts []Facts, askedAt int64, cause string) Changes {
	changes := Changes{Mirror: NewMirror()}
	for _, f := range facts {
		a := m.apply(how, f, changes.Mirror)
		changes.add(a, cause, askedAt)
		if a.difference != "" {
			changes.Drift = append(changes.Drift, Drift{ID: f.Subject, Difference: a.difference})
		}
	}
	return changes
}

func (c *Changes) add(a application, cause string, at int64) {
	for _, e := range a.entries {
		e.Cause, e.At = cause, cmp.Or(e.At, at)
		c.Entries = append(c.Entries, e)
	}
	c.RolesMoved = c.RolesMoved || a.rolesMoved
}

// apply merges what one delivery or observation says into the mirror, and adds every changed object
// to changed.
//
// The state is StateApplied if the object of the event has changed. Else it is StateSuperseded: a
// newer delivery had overtaken it, or the object was gone. A late event of a deleted object still
// fills in fields that no event had written, so that the result doesn't depend on the order. It
// never brings the object back.
func (m Mirror) apply(a application, f Facts, changed Mirror) application {
	a.subject, a.state = f.Subject, StateSuperseded
	f = m.unnamed(f)
	if a.observed && !a.overruling {
		f.Users = yieldFlags(m.Users, f.Users)
	}
	merge(&a, f.Users, m.Users, changed.Users, recorder[User]{auditUser, restateUser})
	merge(&a, f.Memberships, m.Memberships, changed.Memberships, recorder[Membership]{auditMembership, restateMembership})
	merge(&a, f.Invitations, m.Invitations, changed.Invitations, recorder[Invitation]{changed: auditInvitation})
	merge(&a, f.Domains, m.Domains, changed.Domains, unrecorded[Domain]())
	merge(&a, f.Permissions, m.Permissions, changed.Permissions, unrecorded[Permission]())
	merge(&a, f.Roles, m.Roles, changed.Roles, recorder[Role]{auditRole, restateRole})
	merge(&a, f.Organizations, m.Organizations, changed.Organizations, recorder[Organization]{auditOrganization, restateOrganization})
	return a
}

// application is the application of one delivery or observation: how it is applied, and its result.
type application struct {
	observed   bool // Clerk's API showed it
	overruling bool // it counts for the subject, whatever the versions say
	subject    string
	known      bool // there was something about the subject before
	state      State
	entries    []AuditEntry
	difference Difference // of the subject; "" if there is none
	rolesMoved bool
}

// merge brings the objects of one kind into the mirror.
func merge[T mergeable[T], P registered[T]](a *application, said []T, objects, changed map[string]T, record recorder[T]) {
	for _, in := range said {
		id := in.ObjectID()
		before, known := objects[id]
		after := before.Merge(in)
		if a.overruling && id == a.subject {
			after = overrule[T, P](before, in)
		}
		a.known = a.known || known && id == a.subject
		if known {
			a.entries = append(a.entries, record.late(a.observed, before, in)...)
		}
		if !after.Known() || known && (reflect.DeepEqual(before, after) || a.observed && nothingNew[T, P](before, after)) {
			continue // an object that is new has changed in any case, and needs no comparison
		}
		objects[id], changed[id] = after, after
		if before.Dead() && after.Dead() {
			continue
		}
		if id == a.subject {
			a.state = StateApplied
			a.difference = differenceOf[T, P](before, after)
		}
		a.entries = append(a.entries, record.changed(before, after)...)
		a.rolesMoved = a.rolesMoved || movesRoles(before, after)
	}
}

// nothingNew reports whether two states of an object have the same values and were last updated at
// the same instant. Their source doesn't matter then. Nested copies carry no instant, so of these
// only the values are compared.
func nothingNew[T any, P registered[T]](before, after T) bool {
	return reflect.DeepEqual(before, withVersionsOf[T, P](before, after, func(was, is Version) bool {
		return was.Rank == is.Rank && (was.UpdatedAt == is.UpdatedAt || is.Rank == RankStub)
	}))
}

// differenceOf says how an object that Clerk showed differs from what was known. An answer that
// only fills in fields that nothing had written here is no difference. The first sweep after an
// upgrade brings such answers if the new version reads another field.
func differenceOf[T mergeable[T], P registered[T]](before, after T) Difference {
	switch {
	case after.Dead():
		return "" // found to be gone: the sweep that looked for it counts it
	case before.Dead() || Newest(P(&before).Registers()).Rank < RankFull:
		return Missing
	case sameValues[T, P](before, after), fillsIn[T, P](before, after):
		return ""
	default:
		return Stale
	}
}

// fillsIn reports whether after was last updated at the same instant as before, and differs only in
// registers that had never been written.
func fillsIn[T mergeable[T], P registered[T]](before, after T) bool {
	filled := withParentsOf[T, P](after, before)
	was, is := P(&before).Registers(), P(&filled).Registers()
	if Newest(was).UpdatedAt != Newest(is).UpdatedAt {
		return false
	}
	for i := range was {
		if !was[i].Version.IsZero() {
			*is[i].Version = Version{}
		}
	}
	return sameValues[T, P](overrule[T, P](before, filled), after)
}

// withVersionsOf returns after, with before's version in each register whose two versions count as
// the same by the given function.
func withVersionsOf[T any, P registered[T]](before, after T, same func(was, is Version) bool) T {
	was, is := P(&before).Registers(), P(&after).Registers()
	for i := range is {
		if same(*was[i].Version, *is[i].Version) {
			*is[i].Version = *was[i].Version
		}
	}
	return after
}

// withoutHistory returns an object without its earlier values, such as a role's former keys. Most
// kinds keep none.
func withoutHistory[T any](object T) T {
	if o, keeps := any(object).(interface{ withoutHistory() T }); keeps {
		return o.withoutHistory()
	}
	return object
}

// movesRoles reports whether a change may give members other roles or permissions without an event
// for each of them.
func movesRoles[T any](before, after T) bool {
	o, may := any(before).(interface{ movesRoles(after T) bool })
	return may && o.movesRoles(after)
}
