package clerksim

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Membership is a copy of one membership as the world knows it.
type Membership struct {
	// ID is "orgmem_" and 27 characters. A user who leaves and joins again gets a new one.
	ID string
	// OrganizationID and UserID are the ids of the organization and its member.
	OrganizationID, UserID string
	// Role is the key of the role, such as "org:admin".
	Role string
	// PublicMetadata and PrivateMetadata are JSON objects: at first those of the user's invitation,
	// else {}.
	PublicMetadata, PrivateMetadata json.RawMessage
	// CreatedAt and UpdatedAt have a resolution of milliseconds. A role's new permissions don't
	// touch them.
	CreatedAt, UpdatedAt time.Time
}

// membership is the row behind a [Membership].
type membership struct {
	entry
	organization *organization
	user         *user
	role         *role
	metadata     metadata
	createdAt    time.Time
	updatedAt    time.Time
	scim         bool // a directory manages it
}

func (m *membership) snapshot() Membership {
	return Membership{
		ID: m.id, OrganizationID: m.organization.id, UserID: m.user.id, Role: m.role.Key,
		PublicMetadata: m.metadata.public, PrivateMetadata: m.metadata.private, CreatedAt: m.createdAt, UpdatedAt: m.updatedAt,
	}
}

// AddMember makes a user a member and emits organizationMembership.created. Role is a key; empty is
// [RoleMember]. It refuses unknown ids and roles (ErrNotFound), a second membership
// (ErrAlreadyMember) and a full organization (ErrQuota). Like at Clerk, banned and deprovisioned
// users can be members.
func (w *World) AddMember(organizationID, userID, roleKey string) (Membership, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, err := w.addMember(organizationID, userID, cmp.Or(roleKey, RoleMember), emptyMetadata())
	if err != nil {
		return Membership{}, err
	}
	return m.snapshot(), nil
}

// addMember must be called with w.mu held.
func (w *World) addMember(organizationID, userID, roleKey string, checked metadata) (*membership, error) {
	o, err := w.findOrganization(organizationID)
	if err != nil {
		return nil, err
	}
	u, err := w.findUser(userID)
	if err != nil {
		return nil, err
	}
	r, err := w.findRoleByKey(roleKey)
	if err != nil {
		return nil, err
	}
	if err := o.admit(u); err != nil {
		return nil, err
	}
	m := w.join(o, u, r, checked, w.now())
	w.emit("organizationMembership.created", m.id, m.createdAt, w.membershipBody(m))
	return m, nil
}

// admit refuses a second membership, and a member beyond the limit.
func (o *organization) admit(u *user) error {
	if _, joined := o.byUser[u.id]; joined {
		return refuse(ErrAlreadyMember, "%s is a member of %s already", u.id, o.id)
	}
	return o.hasRoom()
}

// hasRoom refuses a member beyond the limit.
func (o *organization) hasRoom() error {
	if o.MaxMembers > 0 && o.members.len() >= o.MaxMembers {
		return refuse(ErrQuota, "%s allows %d members", o.id, o.MaxMembers)
	}
	return nil
}

// SetRole promotes or demotes a member and emits organizationMembership.updated. It refuses a user
// who isn't a member and an unknown role (ErrNotFound), and to demote the last member who may
// manage the organization (ErrLastAdmin).
func (w *World) SetRole(organizationID, userID, roleKey string) (Membership, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, err := w.setRole(organizationID, userID, roleKey)
	if err != nil {
		return Membership{}, err
	}
	return m.snapshot(), nil
}

// setRole must be called with w.mu held.
func (w *World) setRole(organizationID, userID, roleKey string) (*membership, error) {
	m, err := w.findMembership(organizationID, userID)
	if err != nil {
		return nil, err
	}
	r, err := w.findRoleByKey(roleKey)
	if err != nil {
		return nil, err
	}
	if !r.elevated() && m.isLastElevated() {
		return nil, refuse(ErrLastAdmin, "%s is the last who may manage %s", userID, organizationID)
	}
	m.role, m.updatedAt = r, w.now()
	w.emit("organizationMembership.updated", m.id, m.updatedAt, w.membershipBody(m))
	return m, nil
}

// setMetadata changes a membership's metadata and emits organizationMembership.updated.
func (w *World) setMetadata(m *membership, checked metadata) {
	m.metadata, m.updatedAt = checked, w.now()
	w.emit("organizationMembership.updated", m.id, m.updatedAt, w.membershipBody(m))
}

// RemoveMember ends a membership and emits organizationMembership.deleted: the membership in full,
// with the updated_at that it had before. It refuses a user who isn't a member (ErrNotFound), and
// to remove the last member who may manage the organization (ErrLastAdmin).
func (w *World) RemoveMember(organizationID, userID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.removeMember(organizationID, userID)
	return err
}

// removeMember returns the membership that it ended. It must be called with w.mu held.
func (w *World) removeMember(organizationID, userID string) (*membership, error) {
	m, err := w.findMembership(organizationID, userID)
	if err != nil {
		return nil, err
	}
	if m.isLastElevated() {
		return nil, refuse(ErrLastAdmin, "%s is the last who may manage %s", userID, organizationID)
	}
	w.leave(m)
	w.emit("organizationMembership.deleted", m.id, w.now(), w.membershipBody(m))
	return m, nil
}

// Membership returns the membership of a user in an organization; ok is false if there is none.
func (w *World) Membership(organizationID, userID string) (found Membership, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	m, err := w.findMembership(organizationID, userID)
	if err != nil {
		return Membership{}, false
	}
	return m.snapshot(), true
}

func (w *World) findMembership(organizationID, userID string) (*membership, error) {
	o, err := w.findOrganization(organizationID)
	if err != nil {
		return nil, err
	}
	m, ok := o.byUser[userID]
	if !ok {
		return nil, refuse(ErrNotFound, "%s is not a member of %s", userID, organizationID)
	}
	return m, nil
}

// checkManager refuses a user who may not act for an organization. It accepts no user at all: then
// the Backend API acts.
func (w *World) checkManager(o *organization, userID string) error {
	if userID == "" {
		return nil
	}
	if _, err := w.findUser(userID); err != nil {
		return err
	}
	if m, joined := o.byUser[userID]; !joined || !m.role.elevated() {
		return refuse(ErrNotAdmin, "%s may not manage %s", userID, o.id)
	}
	return nil
}

// isLastElevated reports whether no other member may manage the organization.
func (m *membership) isLastElevated() bool {
	return m.role.elevated() && !slices.ContainsFunc(m.organization.members.ordered, func(other *membership) bool {
		return other != m && other.role.elevated()
	})
}

// join adds a checked membership and emits nothing.
func (w *World) join(o *organization, u *user, r *role, checked metadata, now time.Time) *membership {
	m := &membership{
		entry: w.newEntry("orgmem_", now), organization: o, user: u, role: r, metadata: checked, createdAt: now, updatedAt: now,
	}
	w.memberships.insert(m)
	o.members.insert(m)
	o.byUser[u.id] = m
	u.memberships.insert(m)
	return m
}

func (w *World) leave(m *membership) {
	w.memberships.remove(m)
	m.organization.members.remove(m)
	delete(m.organization.byUser, m.user.id)
	m.user.memberships.remove(m)
}

// removeWithParent ends the memberships of an organization or a user that is being deleted.
func (w *World) removeWithParent(members []*membership, now time.Time) {
	for _, m := range slices.Clone(members) {
		w.leave(m)
		if w.cfg.MembershipEventsOnDelete {
			w.emit("organizationMembership.deleted", m.id, now, w.membershipBody(m))
		}
	}
}
