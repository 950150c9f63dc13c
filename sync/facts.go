package sync

// Facts is what one delivery says: the states of the objects that it carries. Subject is the id of the one that the
// event is about; the others are stubs, made of nested copies.
type Facts struct {
	Subject       string
	Users         []User
	Memberships   []Membership
	Invitations   []Invitation
	Domains       []Domain
	Permissions   []Permission
	Roles         []Role
	Organizations []Organization
}

// Alive returns the facts with the word that their subject lives, as of when Clerk was asked: what lifts a tombstone that
// became known before. It is for point look-ups only.
func (f Facts) Alive(askedAt int64) Facts { return f.mark(Tombstone{LiftedAt: askedAt}) }

// Gone returns the facts that an object is gone, as a point look-up that began at askedAt found.
func Gone(r Resource, ref Reference, askedAt int64, cause string) Facts {
	f := Facts{Subject: ref.ID}
	switch r {
	case ResourceOrganization:
		f.Organizations = []Organization{{ID: ref.ID}}
	case ResourceUser:
		f.Users = []User{{ID: ref.ID}}
	case ResourceMembership:
		f.Memberships = []Membership{{ID: ref.ID, OrganizationID: ref.OrganizationID, UserID: ref.UserID}}
	case ResourceInvitation:
		f.Invitations = []Invitation{{ID: ref.ID, OrganizationID: ref.OrganizationID}}
	case ResourceDomain:
		f.Domains = []Domain{{ID: ref.ID, OrganizationID: ref.OrganizationID}}
	case ResourceRole:
		f.Roles = []Role{{ID: ref.ID}}
	case ResourcePermission:
		f.Permissions = []Permission{{ID: ref.ID}}
	}
	return f.mark(Tombstone{OccurredAt: askedAt, DeliveryID: cause, ReceivedAt: askedAt})
}

// mark sets the tombstone of the facts' subject.
func (f Facts) mark(t Tombstone) Facts {
	for i := range f.Organizations {
		if f.Organizations[i].ID == f.Subject {
			f.Organizations[i].Tombstone = t
		}
	}
	for i := range f.Users {
		if f.Users[i].ID == f.Subject {
			f.Users[i].Tombstone = t
		}
	}
	for i := range f.Memberships {
		f.Memberships[i].Tombstone = t
	}
	for i := range f.Invitations {
		f.Invitations[i].Tombstone = t
	}
	for i := range f.Domains {
		f.Domains[i].Tombstone = t
	}
	for i := range f.Roles {
		f.Roles[i].Tombstone = t
	}
	for i := range f.Permissions {
		if f.Permissions[i].ID == f.Subject {
			f.Permissions[i].Tombstone = t
		}
	}
	return f
}

// Own returns what the facts say of their subject alone, without the nested copies of other objects.
func (f Facts) Own() Facts {
	if len(f.Memberships)+len(f.Invitations)+len(f.Domains) > 0 {
		f.Users, f.Organizations = nil, nil
	}
	if len(f.Roles) > 0 {
		f.Permissions = nil
	}
	return f
}

// Version returns the newest version that the facts give to their subject: of an object that the API showed, when it was
// last updated.
func (f Facts) Version() Version {
	var registers []Register
	switch {
	case len(f.Memberships) > 0:
		registers = f.Memberships[0].Registers()
	case len(f.Invitations) > 0:
		registers = f.Invitations[0].Registers()
	case len(f.Domains) > 0:
		registers = f.Domains[0].Registers()
	case len(f.Roles) > 0:
		registers = f.Roles[0].Registers()
	case len(f.Permissions) > 0:
		registers = f.Permissions[0].Registers()
	case len(f.Users) > 0:
		registers = f.Users[0].Registers()
	case len(f.Organizations) > 0:
		registers = f.Organizations[0].Registers()
	}
	return Newest(registers)
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

// AliveAfter returns the facts about a membership with the word that it was alive after others of its pair ended, so that
// it counts. It was so just after: that it was alive when Clerk was asked the answer doesn't prove.
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

// of returns what of the facts is about objects of the mirror.
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

func (f Facts) empty() bool {
	return len(f.Users)+len(f.Memberships)+len(f.Invitations)+len(f.Domains)+len(f.Permissions)+len(f.Roles)+len(f.Organizations) == 0
}
