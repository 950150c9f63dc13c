package clerksim

import (
	"cmp"
	"net/http"
)

type instanceBody struct {
	Object          string   `json:"object"`
	ID              string   `json:"id"`
	EnvironmentType string   `json:"environment_type"`
	AllowedOrigins  []string `json:"allowed_origins"`
	WorkspaceID     *string  `json:"workspace_id"`
}

func (a *api) instance(req *http.Request) (any, error) {
	return instanceBody{
		Object:          "instance",
		ID:              cmp.Or(distortionOf(req).instanceID, a.world.cfg.InstanceID),
		EnvironmentType: a.world.cfg.EnvironmentType,
	}, nil
}

func (a *api) jwks(*http.Request) (any, error) { return a.world.KeySet() }
