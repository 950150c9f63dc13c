package sync

import "slices"

// Facts are the states of the objects that one delivery or answer carries. Subject is the id of its
// own object; the others are stubs, made of nested copies.
type Facts struct {
	Subject       string
	Users         []User
	Memberships   []Membership
	Invitations   []Invitation
	Domains       []Domain
	Permissions   []Permission
	Roles         []Role
	Organizations []Organization

	// EndedSession is the session that the event has ended, or zero. It is no object: it has no state
	// but its end.
	EndedSession EndedSession
}

// Alive returns the facts, and adds that their subject was alive when Clerk was asked. This lifts a
// tombstone that became known earlier, unless it is final. Only a look-up may say so.
func (f Facts) Alive(askedAt int64) Facts { return f.mark(Tombstone{LiftedAt: askedAt}) }

// Gone returns facts that say that an object is gone, as a look-up found that began at askedAt.
func Gone(r Resource, ref Reference, askedAt int64, cause string) Facts {
	f := Facts{Subject: ref.ID}
	alone, owned := Reference{ID: ref.ID}, Reference{ID: ref.ID, OrganizationID: ref.OrganizationID}
	switch r {
	case ResourceOrganization:
		f.Organizations = []Organization{{Reference: alone}}
	case ResourceUser:
		f.Users = []User{{Reference: alone}}
	case ResourceMembership:
		f.Memberships = []Membership{{Reference: ref}}
	case ResourceInvitation:
		f.Invitations = []Invitation{{Reference: owned}}
	case ResourceDomain:
		f.Domains = []Domain{{Reference: owned}}
	case ResourceRole:
		f.Roles = []Role{{Reference: alone}}
	case ResourcePermission:
		f.Permissions = []Permission{{Reference: alone}}
	}
	return f.mark(Tombstone{OccurredAt: askedAt, DeliveryID: cause, ReceivedAt: askedAt})
}

// mark sets the tombstone of the facts' subject.
func (f Facts) mark(t Tombstone) Facts {
	if o := f.subject(); o != nil {
		*o.tombstone() = t
	}
	return f
}

// Own returns the part of the facts about their subject, without nested copies of other objects.
func (f Facts) Own() Facts {
	if len(f.Memberships)+len(f.Invitations)+len(f.Domains) > 0 {
		f.Users, f.Organizations = nil, nil
	}
	if len(f.Roles) > 0 {
		f.Permissions = nil
	}
	return f
}

// Version returns the newest version that the facts give to their subject. Of an answer, it says
// when the object was last updated.
func (f Facts) Version() Version {
	if o := f.subject(); o != nil {
		return Newest(o.Registers())
	}
	return Version{}
}

// Reference returns the reference by which a look-up finds the subject of the facts.
func (f Facts) Reference() Reference {
	if o := f.subject(); o != nil {
		return *o.reference()
	}
	return Reference{ID: f.Subject}
}

// subject returns the object that the facts are about; nil if they have none.
func (f Facts) subject() state {
	for _, o := range f.objects() {
		if o.reference().ID == f.Subject {
			return o
		}
	}
	return nil
}

// objects lists all objects of the facts.
func (f Facts) objects() []state {
	return slices.Concat(
		states(f.Users), states(f.Memberships), states(f.Invitations), states(f.Domains), states(f.Permissions), states(f.Roles),
		states(f.Organizations),
	)
}

func states[T any, P registered[T]](said []T) []state {
	states := make([]state, len(said))
	for i := range said {
		states[i] = P(&said[i])
	}
	return states
}

// AliveAfter returns the facts about a membership, and adds that it was alive just after other
// memberships of its pair ended. So it is the one that counts. AliveAfter doesn't add that the
// membership lived when Clerk was asked, because an old state proves less.
func (f Facts) AliveAfter(ended ...Membership) Facts {
	memberships := make([]Membership, len(f.Memberships))
	for i, m := range f.Memberships {
		for _, e := range ended {
			m.AliveAt = max(m.AliveAt, e.Tombstone.OccurredAt+aliveMargin+1)
		}
		memberships[i] = m
	}
	f.Memberships = memberships
	return f
}

// of returns the facts about objects that the mirror has.
func (f Facts) of(m Mirror) Facts {
	return Facts{
		Subject: f.Subject, Users: in(f.Users, m.Users), Memberships: in(f.Memberships, m.Memberships),
		Invitations: in(f.Invitations, m.Invitations), Domains: in(f.Domains, m.Domains),
		Permissions: in(f.Permissions, m.Permissions), Roles: in(f.Roles, m.Roles), Organizations: in(f.Organizations, m.Organizations),
	}
}

func in[T Object](said []T, objects map[string]T) []T {
	var kept []T
	for _, o := range said {
		if _, ok := objects[o.ObjectID()]; ok {
			kept = append(kept, o)
		}
	}
	return kept
}

func (f Facts) empty() bool { return len(f.objects()) == 0 }
