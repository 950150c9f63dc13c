package sync

import "reflect"

// Mirror is a set of objects by id: the part of the mirror tables that some deliveries are about, or all of it.
type Mirror struct {
	Organizations map[string]Organization
	Users         map[string]User
	Memberships   map[string]Membership
}

// NewMirror returns an empty mirror.
func NewMirror() Mirror {
	return Mirror{
		Organizations: map[string]Organization{}, Users: map[string]User{}, Memberships: map[string]Membership{},
	}
}

// Apply merges what one delivery says into the mirror, and adds every object that this changed to changed.
//
// It returns StateApplied if the object that the event is about became another one, else StateSuperseded: a newer
// delivery had overtaken it, or the object was gone. A late event of a deleted object still fills in fields that
// nobody had written, so that the result doesn't depend on the order, but it never brings the object back.
func (m Mirror) Apply(f Facts, changed Mirror) State {
	var subject effect
	for _, in := range f.Organizations {
		subject = merge(m.Organizations, changed.Organizations, in)
	}
	for _, in := range f.Users {
		subject = merge(m.Users, changed.Users, in)
	}
	for _, in := range f.Memberships {
		subject = merge(m.Memberships, changed.Memberships, in)
	}
	if subject.changed && !subject.wasDead {
		return StateApplied
	}
	return StateSuperseded
}

// effect says what merging did to one object.
type effect struct{ changed, wasDead bool }

// mergeable is an object whose states form a join-semilattice under Merge.
type mergeable[T any] interface {
	Object
	Merge(in T) T
	dead() bool
}

func merge[T mergeable[T]](objects, changed map[string]T, in T) effect {
	before := objects[in.Key()]
	after := before.Merge(in)
	if reflect.DeepEqual(before, after) {
		return effect{}
	}
	objects[in.Key()], changed[in.Key()] = after, after
	return effect{changed: true, wasDead: before.dead()}
}
