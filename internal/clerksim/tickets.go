package clerksim

import "slices"

// Invitations returns all invitations of the organizations that exist, oldest first, each with its
// status of this moment.
func (w *World) Invitations() []Invitation {
	w.mu.RLock()
	defer w.mu.RUnlock()
	now := w.now()
	all := make([]Invitation, w.invitations.len())
	for i, row := range w.invitations.ordered {
		all[i] = row.snapshot(now)
	}
	return all
}

// AcceptTicket accepts an invitation by the ticket in its link, as Clerk's own pages do. The user
// with the invited address joins; without one, a new user with these names does. It emits
// user.created for a new user, and then what [World.Accept] emits. It refuses an unknown ticket
// (ErrNotFound) and all that Accept refuses; then there is no new user.
func (w *World) AcceptTicket(ticket, firstName, lastName string) (User, Membership, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(w.invitations.ordered, func(i *invitation) bool { return i.Ticket == ticket })
	if at < 0 {
		return User{}, Membership{}, refuseParam(ErrNotFound, "ticket", "no invitation has this ticket")
	}
	i, now := w.invitations.ordered[at], w.now()
	if status := i.statusAt(now); status != InvitationPending {
		return User{}, Membership{}, refuse(ErrInvitationNotPending, "%s is %s", i.id, status)
	}
	u := w.userWithAddress(i.Email)
	if u == nil {
		if err := i.organization.hasRoom(); err != nil {
			return User{}, Membership{}, err
		}
		var err error
		if u, err = w.createUser(NewUser{FirstName: firstName, LastName: lastName, Emails: []string{i.Email}}); err != nil {
			return User{}, Membership{}, err
		}
	}
	m, err := w.accept(i, u, now)
	if err != nil {
		return User{}, Membership{}, err
	}
	return u.clone(), m.snapshot(), nil
}

// userWithAddress returns nil if no user has the address.
func (w *World) userWithAddress(address string) *user {
	at := slices.IndexFunc(w.users.ordered, func(u *user) bool { return u.hasAddress(address) })
	if at < 0 {
		return nil
	}
	return w.users.ordered[at]
}
