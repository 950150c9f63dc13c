package clerksim

import (
	"regexp"
	"slices"
	"time"
)

// The keys of the roles that each instance starts with. An organization's creator gets the first,
// an invited user the second.
const (
	RoleAdmin  = "org:admin"
	RoleMember = "org:member"
)

// roleKeyPattern is Clerk's rule for a role's key (Backend API document, POST /organization_roles).
const roleKeyPattern = `^org:[a-z0-9_]+$`

// Role is a copy of one role as the world knows it. Roles belong to the instance, not to an
// organization.
type Role struct {
	// ID is "role_" and 27 characters.
	ID string
	// Key is the role's key, such as "org:admin". It is unique. If it changes, it changes in every
	// membership at once.
	Key string
	// Name is what people call it.
	Name string
	// Description is nil where Clerk says null.
	Description *string
	// Permissions are the keys of its permissions, in the order in which they were given.
	Permissions []string
	// CreatedAt and UpdatedAt have a resolution of milliseconds.
	CreatedAt, UpdatedAt time.Time
}

// NewRole describes a role to create.
type NewRole struct {
	// Key is "org:" and lower-case letters, digits and underscores.
	Key string
	// Name defaults to the key.
	Name string
	// Description is null if empty.
	Description string
	// Permissions are keys of permissions that exist.
	Permissions []string
}

// RoleUpdate says what to change; nil leaves a field as it is.
type RoleUpdate struct {
	// Key is the new key. Memberships follow it, without an event for each of them.
	Key *string
	// Name is the new name.
	Name *string
	// Description becomes null if it points to an empty string.
	Description *string
	// Permissions are the keys that replace the present ones, unless nil.
	Permissions []string
}

// role is the row behind a [Role].
type role struct {
	entry
	Role
	permissions []*permission // replaced, never written to
}

func (r *role) snapshot() Role {
	found := r.Role
	found.Permissions = r.permissionKeys()
	return found
}

func (r *role) permissionKeys() []string {
	keys := make([]string, len(r.permissions))
	for i, p := range r.permissions {
		keys[i] = p.Key
	}
	return keys
}

// elevated reports whether a member with this role can run an organization. Clerk makes each
// organization keep such a member.
func (r *role) elevated() bool {
	return slices.ContainsFunc(r.permissions, func(p *permission) bool { return p.Key == sysManageMembers })
}

// CreateRole adds a role and emits role.created. It refuses a malformed key (ErrInvalid), one that
// is taken (ErrDuplicate) and an unknown permission (ErrNotFound).
func (w *World) CreateRole(params NewRole) (Role, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.createRole(params)
	if err != nil {
		return Role{}, err
	}
	return r.snapshot(), nil
}

// createRole must be called with w.mu held.
func (w *World) createRole(params NewRole) (*role, error) {
	if err := w.freeRoleKey(params.Key, nil); err != nil {
		return nil, err
	}
	permissions, err := w.findPermissions(params.Permissions)
	if err != nil {
		return nil, err
	}
	if params.Name == "" {
		params.Name = params.Key
	}
	r := w.addRole(params.Key, params.Name, permissions)
	r.Description = nullable(params.Description)
	w.emit("role.created", r.id, r.CreatedAt, roleBodyOf(r, w.wireRole(r.Key)))
	return r, nil
}

// UpdateRole changes key, name, description or permissions and emits role.updated, but nothing for
// the role's memberships: their updated_at stays. It refuses an unknown id or
// permission (ErrNotFound), a malformed key and another key for a default role (ErrInvalid), and a
// key that is taken (ErrDuplicate).
func (w *World) UpdateRole(roleID string, update RoleUpdate) (Role, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, err := w.updateRole(roleID, update)
	if err != nil {
		return Role{}, err
	}
	return r.snapshot(), nil
}

// updateRole must be called with w.mu held.
func (w *World) updateRole(roleID string, update RoleUpdate) (*role, error) {
	return w.changeRole(roleID, func(r *role) error {
		permissions, err := w.findPermissions(update.Permissions)
		if err != nil {
			return err
		}
		if update.Key != nil && *update.Key != r.Key {
			if isDefaultRole(r.Key) {
				return refuseParam(ErrInvalid, "key", "%s is a default role of the simulator", r.Key)
			}
			if err := w.freeRoleKey(*update.Key, r); err != nil {
				return err
			}
			r.Key = *update.Key
		}
		if update.Name != nil {
			r.Name = *update.Name
		}
		r.Description = changedText(r.Description, update.Description)
		if update.Permissions != nil {
			r.permissions = permissions
		}
		return nil
	})
}

// SetRolePermissions is [World.UpdateRole] of the permissions alone.
func (w *World) SetRolePermissions(roleID string, permissionKeys ...string) (Role, error) {
	return w.UpdateRole(roleID, RoleUpdate{Permissions: append([]string{}, permissionKeys...)})
}

// DeleteRole removes a role and emits role.deleted. It refuses an unknown id (ErrNotFound), and a
// default role or one in use (ErrRoleInUse).
func (w *World) DeleteRole(roleID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.deleteRole(roleID)
	return err
}

// deleteRole returns Clerk's answer, which is also the event's data. It must be called with w.mu
// held.
func (w *World) deleteRole(roleID string) (deletedBody, error) {
	r, err := w.findRole(roleID)
	if err != nil {
		return deletedBody{}, err
	}
	now := w.now()
	inUse := slices.ContainsFunc(w.memberships.ordered, func(m *membership) bool { return m.role == r }) ||
		slices.ContainsFunc(w.invitations.ordered, func(i *invitation) bool {
			return i.role == r && i.statusAt(now) == InvitationPending
		})
	if inUse || isDefaultRole(r.Key) {
		return deletedBody{}, refuse(ErrRoleInUse, "%s is given to members, or promised to invited people", r.Key)
	}
	w.roles.remove(r)
	deleted := deletedBody{Object: "role", ID: r.id, Deleted: true}
	w.emit("role.deleted", r.id, now, deleted)
	return deleted, nil
}

// Role returns the role with a key; ok is false if there is none.
func (w *World) Role(key string) (found Role, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := w.roleByKey(key)
	if r == nil {
		return Role{}, false
	}
	return r.snapshot(), true
}

// changeRole must be called with w.mu held.
func (w *World) changeRole(roleID string, change func(*role) error) (*role, error) {
	r, err := w.findRole(roleID)
	if err != nil {
		return nil, err
	}
	if err := change(r); err != nil {
		return nil, err
	}
	r.UpdatedAt = w.now()
	w.emit("role.updated", r.id, r.UpdatedAt, roleBodyOf(r, w.wireRole(r.Key)))
	return r, nil
}

func (w *World) findRole(roleID string) (*role, error) {
	r, ok := w.roles.find(roleID)
	if !ok {
		return nil, refuse(ErrNotFound, "no role %s", roleID)
	}
	return r, nil
}

func (w *World) addRole(key, name string, permissions []*permission) *role {
	now := w.now()
	r := &role{entry: w.newEntry("role_", now), permissions: permissions}
	r.Role = Role{ID: r.id, Key: key, Name: name, CreatedAt: now, UpdatedAt: now}
	w.roles.insert(r)
	return r
}

// roleByKey returns nil for an unknown key. It looks at each role, of which an instance has a
// handful.
func (w *World) roleByKey(key string) *role {
	for _, r := range w.roles.ordered {
		if r.Key == key {
			return r
		}
	}
	return nil
}

func (w *World) findRoleByKey(key string) (*role, error) {
	if r := w.roleByKey(key); r != nil {
		return r, nil
	}
	return nil, refuseParam(ErrNotFound, "role", "no role %q", key)
}

func (w *World) freeRoleKey(key string, except *role) error {
	if valid, err := regexp.MatchString(roleKeyPattern, key); err != nil || !valid {
		return refuseParam(ErrInvalid, "key", "a role's key must match %s", roleKeyPattern)
	}
	if owner := w.roleByKey(key); owner != nil && owner != except {
		return refuseParam(ErrDuplicate, "key", "the key %q is taken", key)
	}
	return nil
}

func isDefaultRole(key string) bool { return key == RoleAdmin || key == RoleMember }

// wireRole is a role's key as this instance sends it; see [Config.Legacy].
func (w *World) wireRole(key string) string {
	if !w.cfg.Legacy {
		return key
	}
	switch key {
	case RoleAdmin:
		return "admin"
	case RoleMember:
		return "basic_member"
	default:
		return key
	}
}
