package clerksim

import "maps"

// Directory is the state of the world at one moment, which a mirror has to equal. It is a copy and
// doesn't change.
type Directory struct {
	// Users and Organizations are by id and include deleted ones, with Deleted set and in their
	// last state.
	Users         map[string]User
	Organizations map[string]Organization
	// Roles are the existing roles by key.
	Roles map[string]Role
	// Invitations are by id, each with its status of this moment. Those of a deleted organization
	// don't exist.
	Invitations map[string]Invitation
	// Domains are the existing domains by id.
	Domains map[string]Domain

	memberships map[pair]Membership
}

type pair struct{ organizationID, userID string }

// Directory returns the state of this moment.
func (w *World) Directory() Directory {
	w.mu.RLock()
	defer w.mu.RUnlock()
	d := Directory{
		Users:         maps.Clone(w.goneUsers),
		Organizations: maps.Clone(w.goneOrgs),
		Roles:         make(map[string]Role, w.roles.len()),
		Invitations:   make(map[string]Invitation, w.invitations.len()),
		Domains:       make(map[string]Domain, w.domains.len()),
		memberships:   make(map[pair]Membership, w.memberships.len()),
	}
	for _, u := range w.users.ordered {
		d.Users[u.id] = u.clone()
	}
	for _, o := range w.organizations.ordered {
		d.Organizations[o.id] = o.snapshot()
	}
	for _, r := range w.roles.ordered {
		d.Roles[r.Key] = r.snapshot()
	}
	now := w.now()
	for _, i := range w.invitations.ordered {
		d.Invitations[i.id] = i.snapshot(now)
	}
	for _, row := range w.domains.ordered {
		d.Domains[row.id] = row.Domain
	}
	for _, m := range w.memberships.ordered {
		d.memberships[pair{m.organization.id, m.user.id}] = m.snapshot()
	}
	return d
}

// Membership returns the membership that Clerk has, whatever the state of its user; ok is false if
// there is none.
func (d Directory) Membership(organizationID, userID string) (found Membership, ok bool) {
	found, ok = d.memberships[pair{organizationID, userID}]
	return found, ok
}

// Role returns the key of the role in which a user may act in an organization. It is empty for a
// user whom a product has to refuse: one who isn't a member, or is banned or deprovisioned.
func (d Directory) Role(organizationID, userID string) string {
	user := d.Users[userID]
	if user.Banned || user.Deprovisioned {
		return ""
	}
	return d.memberships[pair{organizationID, userID}].Role
}

// Memberships returns every membership that Clerk has, in no order.
func (d Directory) Memberships() []Membership {
	all := make([]Membership, 0, len(d.memberships))
	for _, m := range d.memberships {
		all = append(all, m)
	}
	return all
}
