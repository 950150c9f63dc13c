package sync

// Object is what all objects of the mirror have in common.
type Object interface {
	// ObjectID returns the id at Clerk.
	ObjectID() string
	// Known reports whether anything is known of the object beyond its id.
	Known() bool
}

// mergeable is an object whose states form a join-semilattice under Merge.
type mergeable[T any] interface {
	Object
	Merge(in T) T
	dead() bool
}

func known(registers []Register, t Tombstone) bool { return t.Dead() || !Newest(registers).IsZero() }

// What follows is the same for each kind of object.

// ObjectID implements [Object].
func (o Organization) ObjectID() string { return o.ID }

// ObjectID implements [Object].
func (u User) ObjectID() string { return u.ID }

// ObjectID implements [Object].
func (m Membership) ObjectID() string { return m.ID }

// ObjectID implements [Object].
func (i Invitation) ObjectID() string { return i.ID }

// ObjectID implements [Object].
func (d Domain) ObjectID() string { return d.ID }

// ObjectID implements [Object].
func (r Role) ObjectID() string { return r.ID }

// ObjectID implements [Object].
func (p Permission) ObjectID() string { return p.ID }

// Known implements [Object].
func (o Organization) Known() bool { return known(o.Registers(), o.Tombstone) }

// Known implements [Object].
func (u User) Known() bool { return known(u.Registers(), u.Tombstone) }

// Known implements [Object].
func (m Membership) Known() bool { return known(m.Registers(), m.Tombstone) }

// Known implements [Object].
func (i Invitation) Known() bool { return known(i.Registers(), i.Tombstone) }

// Known implements [Object].
func (d Domain) Known() bool { return known(d.Registers(), d.Tombstone) }

// Known implements [Object].
func (r Role) Known() bool { return known(r.Registers(), r.Tombstone) }

// Known implements [Object].
func (p Permission) Known() bool { return known(p.Registers(), p.Tombstone) }

func (o Organization) dead() bool { return o.Tombstone.Dead() }
func (u User) dead() bool         { return u.Tombstone.Dead() }
func (m Membership) dead() bool   { return m.Tombstone.Dead() }
func (i Invitation) dead() bool   { return i.Tombstone.Dead() }
func (d Domain) dead() bool       { return d.Tombstone.Dead() }
func (r Role) dead() bool         { return r.Tombstone.Dead() }
func (p Permission) dead() bool   { return p.Tombstone.Dead() }
