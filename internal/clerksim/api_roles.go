package clerksim

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

func (a *api) listRoles(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	return list(a, req, a.world.roles.ordered, orders[*role]{
		"name": func(x, y *role) int { return strings.Compare(x.Name, y.Name) },
		"key":  func(x, y *role) int { return strings.Compare(x.Key, y.Key) },
	}, a.roleBody)
}

func (a *api) role(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	r, err := a.world.findRole(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return withUnknownField(r.id, a.roleBody(r)), checkVisible(req, r.id)
}

func (a *api) roleBody(r *role) any { return roleBodyOf(r, a.world.wireRole(r.Key)) }

func (a *api) listPermissions(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	return list(a, req, a.world.permissions.ordered, orders[*permission]{
		"name": func(x, y *permission) int { return strings.Compare(x.Name, y.Name) },
		"key":  func(x, y *permission) int { return strings.Compare(x.Key, y.Key) },
	}, func(p *permission) any { return permissionBodyOf(p) })
}

func (a *api) permission(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	p, err := a.world.findPermission(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return withUnknownField(p.id, permissionBodyOf(p)), checkVisible(req, p.id)
}

// listRoleSets lists the one role set of an instance without further ones; see [roleSet].
func (a *api) listRoleSets(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	return list(a, req, a.world.roleSets.ordered, orders[*roleSet]{
		"name": func(x, y *roleSet) int { return strings.Compare(x.name, y.name) },
		"key":  func(x, y *roleSet) int { return strings.Compare(x.key, y.key) },
	}, func(s *roleSet) any { return a.world.roleSetBody(s) })
}
