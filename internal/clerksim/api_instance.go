package clerksim

import "net/http"

type instanceBody struct {
	Object          string   `json:"object"`
	ID              string   `json:"id"`
	EnvironmentType string   `json:"environment_type"`
	AllowedOrigins  []string `json:"allowed_origins"`
	WorkspaceID     *string  `json:"workspace_id"`
}

func (a *api) instance(*http.Request) (any, error) {
	return instanceBody{
		Object: "instance", ID: a.world.cfg.InstanceID, EnvironmentType: a.world.cfg.EnvironmentType,
	}, nil
}

func (a *api) jwks(*http.Request) (any, error) { return a.world.KeySet() }

func (a *api) listRoles(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	return list(req, a.world.roles.ordered, func(r *role) any { return roleBodyOf(r, a.world.wireRole(r.Key)) })
}

func (a *api) listPermissions(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	return list(req, a.world.permissions.ordered, func(p *permission) any { return permissionBodyOf(p) })
}
