package sync

// Object is what all objects of the mirror have in common.
type Object interface {
	// ObjectID returns the id at Clerk.
	ObjectID() string
	// Known reports whether anything is known of the object beyond its id.
	Known() bool
	// Dead reports whether the object is gone.
	Dead() bool
}

// Reference is the identity of an object. A look-up finds the object by it.
type Reference struct {
	ID             string // of the object; "" in the look-up of a membership means any of the pair
	OrganizationID string // of memberships, invitations and domains; "" if only the deletion is known
	UserID         string // of memberships; "" if only the deletion is known
}

// ObjectID implements [Object].
func (r Reference) ObjectID() string { return r.ID }

// merge joins the references of two states of one object. The object's parents never change, but a
// state may not name them.
func (r Reference) merge(in Reference) Reference {
	return Reference{
		ID:             in.ID,
		OrganizationID: max(r.OrganizationID, in.OrganizationID),
		UserID:         max(r.UserID, in.UserID),
	}
}

// reference gives generic code access to what an object embeds.
func (r *Reference) reference() *Reference { return r }

// mergeable is an object whose states form a join-semilattice under Merge.
type mergeable[T any] interface {
	Object
	Merge(in T) T
}

// registered is a pointer to an object whose fields are registers.
type registered[T any] interface {
	*T
	state
}

// state is implemented by pointers to objects of all kinds.
type state interface {
	Registers() []Register
	reference() *Reference
	tombstone() *Tombstone
}

func known(s state) bool { return s.tombstone().Dead() || !Newest(s.Registers()).IsZero() }

// Known implements [Object].
func (o Organization) Known() bool { return known(&o) }

// Known implements [Object].
func (u User) Known() bool { return known(&u) }

// Known implements [Object].
func (m Membership) Known() bool { return known(&m) }

// Known implements [Object].
func (i Invitation) Known() bool { return known(&i) }

// Known implements [Object].
func (d Domain) Known() bool { return known(&d) }

// Known implements [Object].
func (r Role) Known() bool { return known(&r) }

// Known implements [Object].
func (p Permission) Known() bool { return known(&p) }
