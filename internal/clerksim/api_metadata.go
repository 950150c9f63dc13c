package clerksim

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/gorilla/mux"
)

// metadataRequest are the fields of a request that have metadata.
type metadataRequest struct {
	Public  json.RawMessage `json:"public_metadata"`
	Private json.RawMessage `json:"private_metadata"`
}

// metadataVersion is the version of the API since which an object's metadata is changed by routes
// of its own only. Clients of earlier versions replace it by a PATCH of the object.
const metadataVersion = "2026-05-12"

// checkVersion refuses metadata in the PATCH of an object, unless the client's version of the API
// has it.
func (r metadataRequest) checkVersion(req *http.Request, unsafe json.RawMessage) error {
	version := req.Header.Get("Clerk-API-Version")
	if r.Public == nil && r.Private == nil && unsafe == nil || version != "" && version < metadataVersion {
		return nil
	}
	return refuse(ErrUnsimulated, "metadata has routes of its own since %s: PATCH or PUT …/metadata", metadataVersion)
}

// organizationMetadata returns the handler that merges or replaces an organization's metadata.
func (a *api) organizationMetadata(how combination) func(*http.Request) (any, error) {
	return func(req *http.Request) (any, error) {
		var wanted metadataRequest
		if err := readOptionalBody(req, &wanted); err != nil {
			return nil, err
		}
		a.world.mu.Lock()
		defer a.world.mu.Unlock()
		o, err := a.world.findOrganization(mux.Vars(req)["id"])
		if err != nil {
			return nil, err
		}
		changed, err := metadata{o.PublicMetadata, o.PrivateMetadata}.combine(how, wanted.Public, wanted.Private)
		if err != nil {
			return nil, err
		}
		after := o.Organization
		after.PublicMetadata, after.PrivateMetadata = changed.public, changed.private
		a.world.saveOrganization(o, after)
		return withUnknownField(o.id, a.world.organizationBody(o)), nil
	}
}

// memberMetadata merges a membership's metadata. Clerk has no route that replaces it.
func (a *api) memberMetadata(req *http.Request) (any, error) {
	var wanted metadataRequest
	if err := readOptionalBody(req, &wanted); err != nil {
		return nil, err
	}
	return a.changeMember(func() (*membership, error) {
		m, err := a.world.findMembership(mux.Vars(req)["id"], mux.Vars(req)["user_id"])
		if err != nil {
			return nil, err
		}
		changed, err := m.metadata.combine(mergeMetadata, wanted.Public, wanted.Private)
		if err != nil {
			return nil, err
		}
		a.world.setMetadata(m, changed)
		return m, nil
	})
}

// userMetadata returns the handler that merges or replaces a user's metadata.
func (a *api) userMetadata(how combination) func(*http.Request) (any, error) {
	return func(req *http.Request) (any, error) {
		var wanted struct {
			metadataRequest
			Unsafe json.RawMessage `json:"unsafe_metadata"`
		}
		if err := readOptionalBody(req, &wanted); err != nil {
			return nil, err
		}
		a.world.mu.Lock()
		defer a.world.mu.Unlock()
		u, err := a.world.changeUser(mux.Vars(req)["id"], func(u *user, _ time.Time) error {
			changed, err := u.metadata().combine(how, wanted.Public, wanted.Private, wanted.Unsafe)
			if err != nil {
				return err
			}
			u.PublicMetadata, u.PrivateMetadata, u.UnsafeMetadata = changed.public, changed.private, changed.unsafe
			return nil
		})
		if err != nil {
			return nil, err
		}
		return a.userAnswer(u), nil
	}
}
