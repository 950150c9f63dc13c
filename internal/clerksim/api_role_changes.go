package clerksim

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/gorilla/mux"
)

// roleRequest is a request to create or change a role. Permissions are ids.
type roleRequest struct {
	Name        *string   `json:"name"`
	Key         *string   `json:"key"`
	Description *string   `json:"description"`
	Permissions *[]string `json:"permissions"`
	InRoleSet   *bool     `json:"include_in_initial_role_set"` // there is one set, with all roles
}

// permissionKeys returns the keys of the permissions that are asked for, or nil.
func (a *api) permissionKeys(wanted *[]string) ([]string, error) {
	if wanted == nil {
		return nil, nil
	}
	keys := make([]string, len(*wanted))
	for i, id := range *wanted {
		p, err := a.world.findPermission(id)
		if err != nil {
			return nil, err
		}
		keys[i] = p.Key
	}
	return keys, nil
}

func (a *api) createRole(req *http.Request) (any, error) {
	var wanted roleRequest
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Name == nil {
		return nil, missing("name")
	}
	if wanted.Key == nil {
		return nil, missing("key")
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	keys, err := a.permissionKeys(wanted.Permissions)
	if err != nil {
		return nil, err
	}
	return a.roleAnswer(a.world.createRole(NewRole{
		Key: *wanted.Key, Name: *wanted.Name, Description: *cmp.Or(wanted.Description, new("")), Permissions: keys,
	}))
}

func (a *api) updateRole(req *http.Request) (any, error) {
	var wanted roleRequest
	if err := readOptionalBody(req, &wanted); err != nil {
		return nil, err
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	keys, err := a.permissionKeys(wanted.Permissions)
	if err != nil {
		return nil, err
	}
	return a.roleAnswer(a.world.updateRole(mux.Vars(req)["id"], RoleUpdate{
		Key: wanted.Key, Name: wanted.Name, Description: wanted.Description, Permissions: keys,
	}))
}

func (a *api) deleteRole(req *http.Request) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	return a.world.deleteRole(mux.Vars(req)["id"])
}

// assignPermission gives a role one more permission.
func (a *api) assignPermission(req *http.Request) (any, error) {
	return a.changePermission(req, func(r *role, p *permission) ([]*permission, error) {
		if slices.Contains(r.permissions, p) {
			return nil, refuse(ErrPermissionAssigned, "%s has %s already", r.Key, p.Key)
		}
		return append(slices.Clone(r.permissions), p), nil
	})
}

// removePermission takes a permission from a role.
func (a *api) removePermission(req *http.Request) (any, error) {
	return a.changePermission(req, func(r *role, p *permission) ([]*permission, error) {
		at := slices.Index(r.permissions, p)
		if at < 0 {
			return nil, refuse(ErrNotFound, "%s doesn't have %s", r.Key, p.Key)
		}
		return slices.Delete(slices.Clone(r.permissions), at, at+1), nil
	})
}

func (a *api) changePermission(
	req *http.Request, change func(*role, *permission) ([]*permission, error),
) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	p, err := a.world.findPermission(mux.Vars(req)["permission_id"])
	if err != nil {
		return nil, err
	}
	return a.roleAnswer(a.world.changeRole(mux.Vars(req)["id"], func(r *role) (err error) {
		permissions, err := change(r, p)
		if err == nil {
			r.permissions = permissions
		}
		return err
	}))
}

func (a *api) roleAnswer(r *role, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return withUnknownField(r.id, a.roleBody(r)), nil
}

func (a *api) createPermission(req *http.Request) (any, error) {
	var wanted struct {
		Name        *string `json:"name"`
		Key         *string `json:"key"`
		Description *string `json:"description"`
	}
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Name == nil {
		return nil, missing("name")
	}
	if wanted.Key == nil {
		return nil, missing("key")
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	p, err := a.world.createPermission(*wanted.Key, *wanted.Name, *cmp.Or(wanted.Description, new("")))
	if err != nil {
		return nil, err
	}
	return withUnknownField(p.id, permissionBodyOf(p)), nil
}

func (a *api) deletePermission(req *http.Request) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	return a.world.deletePermission(mux.Vars(req)["id"])
}
