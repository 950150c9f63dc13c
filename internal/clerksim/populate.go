package clerksim

import "time"

// Populate adds many organizations and many members, each a user of their own, dealt to the
// organizations in turn. The first member of each is its creator and admin. Populate emits nothing,
// as if there had been no endpoint yet. The objects are a millisecond apart, the last one a
// millisecond old, so that their order is clear. A hundred thousand members take about a second.
func (w *World) Populate(organizations, members int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.now().Add(-time.Duration(organizations+members+1) * time.Millisecond)
	tick := func() time.Time {
		at = at.Add(time.Millisecond)
		return at
	}
	made := make([]*organization, organizations)
	for i := range made {
		made[i] = w.addOrganization(NewOrganization{PublicMetadata: emptyObject(), PrivateMetadata: emptyObject()}, tick())
	}
	admin, member := w.roleByKey(RoleAdmin), w.roleByKey(RoleMember)
	for i := range members {
		now := tick()
		u := w.addUser(NewUser{}, emptyUserMetadata(), now)
		if organizations == 0 {
			continue
		}
		o, role := made[i%organizations], member
		if i < organizations {
			o.CreatedBy, role = u.id, admin
		}
		w.join(o, u, role, emptyMetadata(), now)
	}
}
