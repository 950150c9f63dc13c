package clerksim

import (
	"cmp"
	"net/http"
	"strings"
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

// instanceDomainBody is a domain under which Clerk serves the instance. The domains of
// organizations are others.
type instanceDomainBody struct {
	Object            string  `json:"object"`
	ID                string  `json:"id"`
	Name              string  `json:"name"`
	IsSatellite       bool    `json:"is_satellite"`
	FrontendAPIURL    string  `json:"frontend_api_url"`
	ProxyURL          *string `json:"proxy_url"`
	DevelopmentOrigin string  `json:"development_origin"`
}

type instanceDomainsBody struct {
	Data       []instanceDomainBody `json:"data"`
	TotalCount int                  `json:"total_count"`
}

// instanceDomains lists the primary domain: the simulated instance has no satellites.
func (a *api) instanceDomains(*http.Request) (any, error) {
	issuer := a.world.cfg.Issuer
	_, host, _ := strings.Cut(issuer, "://")
	return instanceDomainsBody{Data: []instanceDomainBody{{
		Object: "domain", ID: "dmn_" + strings.TrimPrefix(a.world.cfg.InstanceID, "ins_"), Name: strings.TrimPrefix(host, "clerk."), FrontendAPIURL: issuer,
	}}, TotalCount: 1}, nil
}
