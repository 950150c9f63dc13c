package sync

import (
	"cmp"
	"reflect"
	"slices"
)

// Mirror is a set of objects by id: the part of the mirror tables that some deliveries are about, or all of it.
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

// ApplyAll applies deliveries that are in StateReceived, each with what it says, in the order in which they occurred. It
// sets their states, and returns the objects that changed and the audit entries of the changes.
func (m Mirror) ApplyAll(deliveries []Delivery, facts []Facts) (changed Mirror, entries []AuditEntry) {
	order := make([]int, len(deliveries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(deliveries[a].OccurredAt, deliveries[b].OccurredAt), cmp.Compare(deliveries[a].ID, deliveries[b].ID))
	})
	changed = NewMirror()
	for _, i := range order {
		d := &deliveries[i]
		if d.State != StateReceived {
			continue
		}
		var made []AuditEntry
		d.State, made = m.Apply(facts[i], changed)
		for _, e := range made {
			e.Cause = d.ID
			if e.At == 0 {
				e.At = d.OccurredAt
			}
			entries = append(entries, e)
		}
	}
	return changed, entries
}

// Apply merges what one delivery says into the mirror, and adds every object that this changed to changed. It returns
// the audit entries of the changes, without a cause.
//
// The state is StateApplied if the object that the event is about became another one, else StateSuperseded: a newer
// delivery had overtaken it, or the object was gone. A late event of a deleted object still fills in fields that
// nobody had written, so that the result doesn't depend on the order, but it never brings the object back.
func (m Mirror) Apply(f Facts, changed Mirror) (State, []AuditEntry) {
	a := application{subject: f.Subject, state: StateSuperseded}
	merge(&a, f.Users, m.Users, changed.Users, auditUser)
	merge(&a, f.Memberships, m.Memberships, changed.Memberships, auditMembership)
	merge(&a, f.Invitations, m.Invitations, changed.Invitations, auditInvitation)
	merge(&a, f.Domains, m.Domains, changed.Domains, noAudit)
	merge(&a, f.Permissions, m.Permissions, changed.Permissions, noAudit)
	merge(&a, f.Roles, m.Roles, changed.Roles, auditRole)
	merge(&a, f.Organizations, m.Organizations, changed.Organizations, auditOrganization)
	return a.state, a.entries
}

// application is what applying one delivery amounts to.
type application struct {
	subject string
	state   State
	entries []AuditEntry
}

// merge brings what a delivery says of objects of one kind into the mirror.
func merge[T mergeable[T]](a *application, said []T, objects, changed map[string]T, audit func(before, after T) []AuditEntry) {
	for _, in := range said {
		id := in.ObjectID()
		before := objects[id]
		after := before.Merge(in)
		if !after.Known() || reflect.DeepEqual(before, after) {
			continue
		}
		objects[id], changed[id] = after, after
		if before.dead() {
			continue
		}
		if id == a.subject {
			a.state = StateApplied
		}
		a.entries = append(a.entries, audit(before, after)...)
	}
}
