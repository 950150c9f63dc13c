package clerksim

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// sysManageMembers is the permission that running an organization needs.
const sysManageMembers = "org:sys_memberships:manage"

// sysPrefix begins the feature of every permission that Clerk owns.
const sysPrefix = "org:sys_"

// permissionKeyPattern is the shape of a permission's key: org:<feature>:<action>.
const permissionKeyPattern = `^org:[a-z0-9_]+:[a-z0-9_]+$`

// Permission is a copy of one permission as the world knows it.
type Permission struct {
	// ID is "perm_" and 27 characters.
	ID string
	// Key is the permission's key, such as "org:invoices:create", or "org:sys_…" for one that Clerk
	// owns.
	Key string
	// Name and Description are for people.
	Name, Description string
	// CreatedAt and UpdatedAt have a resolution of milliseconds.
	CreatedAt, UpdatedAt time.Time
}

// permission is the row behind a [Permission].
type permission struct {
	entry
	Permission
}

func (p *permission) system() bool { return strings.HasPrefix(p.Key, sysPrefix) }

// CreatePermission adds a custom permission and emits permission.created. The name defaults to the
// key. It refuses a malformed key and one of Clerk's own (ErrInvalid), and one that is taken
// (ErrDuplicate).
func (w *World) CreatePermission(key, name string) (Permission, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, err := w.createPermission(key, cmp.Or(name, key), "")
	if err != nil {
		return Permission{}, err
	}
	return p.Permission, nil
}

// createPermission must be called with w.mu held. The description defaults to the name.
func (w *World) createPermission(key, name, description string) (*permission, error) {
	valid, err := regexp.MatchString(permissionKeyPattern, key)
	if err != nil || !valid || strings.HasPrefix(key, sysPrefix) {
		return nil, refuseParam(ErrInvalid, "key", "a permission's key must match %s and not begin with %s",
			permissionKeyPattern, sysPrefix)
	}
	if _, err := w.findPermissions([]string{key}); err == nil {
		return nil, refuseParam(ErrDuplicate, "key", "the key %q is taken", key)
	}
	p := w.addPermission(key, name)
	p.Description = cmp.Or(description, p.Description)
	w.emit("permission.created", p.id, p.CreatedAt, permissionBodyOf(p))
	return p, nil
}

// DeletePermission removes a custom permission and emits permission.deleted. It refuses an unknown
// id (ErrNotFound), and a permission of Clerk's own or of a role (ErrPermissionInUse). Clerk
// doesn't document its events about such roles, so take it from them first.
func (w *World) DeletePermission(permissionID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.deletePermission(permissionID)
	return err
}

// deletePermission returns Clerk's answer, which is also the event's data. It must be called with
// w.mu held.
func (w *World) deletePermission(permissionID string) (deletedBody, error) {
	p, err := w.findPermission(permissionID)
	if err != nil {
		return deletedBody{}, err
	}
	inUse := slices.ContainsFunc(w.roles.ordered, func(r *role) bool { return slices.Contains(r.permissions, p) })
	if inUse || p.system() {
		return deletedBody{}, refuse(ErrPermissionInUse, "%s is part of a role, or Clerk's own", p.Key)
	}
	w.permissions.remove(p)
	deleted := deletedBody{Object: "permission", ID: p.id, Deleted: true}
	w.emit("permission.deleted", p.id, w.now(), deleted)
	return deleted, nil
}

func (w *World) findPermission(permissionID string) (*permission, error) {
	p, ok := w.permissions.find(permissionID)
	if !ok {
		return nil, refuse(ErrNotFound, "no permission %s", permissionID)
	}
	return p, nil
}

// addSystemRoles makes the roles and permissions of every new instance.
func (w *World) addSystemRoles() {
	system := []struct{ key, name string }{
		{"org:sys_profile:manage", "Manage organization"},
		{"org:sys_profile:delete", "Delete organization"},
		{"org:sys_memberships:read", "Read members"},
		{sysManageMembers, "Manage members"},
		{"org:sys_domains:read", "Read domains"},
		{"org:sys_domains:manage", "Manage domains"},
		{"org:sys_billing:read", "Read billing"},
		{"org:sys_billing:manage", "Manage billing"},
	}
	var all, reading []*permission
	for _, s := range system {
		p := w.addPermission(s.key, s.name)
		all = append(all, p)
		if s.key == "org:sys_memberships:read" || s.key == "org:sys_billing:read" {
			reading = append(reading, p)
		}
	}
	w.addRole(RoleAdmin, "Admin", all)
	w.addRole(RoleMember, "Member", reading)
}

func (w *World) addPermission(key, name string) *permission {
	now := w.now()
	p := &permission{entry: w.newEntry("perm_", now)}
	p.Permission = Permission{
		ID: p.id, Key: key, Name: name, Description: name + ".", CreatedAt: now, UpdatedAt: now,
	}
	w.permissions.insert(p)
	return p
}

// findPermissions returns the permissions with these keys, in this order and each once.
func (w *World) findPermissions(keys []string) ([]*permission, error) {
	found := make([]*permission, 0, len(keys))
	for _, key := range keys {
		at := slices.IndexFunc(w.permissions.ordered, func(p *permission) bool { return p.Key == key })
		if at < 0 {
			return nil, refuseParam(ErrNotFound, "permissions", "no permission %q", key)
		}
		if p := w.permissions.ordered[at]; !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found, nil
}
