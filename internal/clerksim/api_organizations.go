package clerksim

import (
	"cmp"
	"net/http"
	"regexp"
	"strings"

	"github.com/gorilla/mux"
)

const includeCount = "include_members_count"

func organizationFilters() []string {
	return []string{"organization_id", "user_id", "query", includeCount}
}

// The limits of an organization's name and slug (Backend API document, POST /organizations).
const (
	maxName     = 256
	slugPattern = `^[a-z0-9-]*$`
)

// organizationRequest is the part of a request to create or update an organization that the
// simulator uses.
type organizationRequest struct {
	Name       *string `json:"name"`
	Slug       *string `json:"slug"`
	MaxMembers *int    `json:"max_allowed_memberships"`
}

func (r organizationRequest) validate() error {
	if r.Name != nil && (*r.Name == "" || len(*r.Name) > maxName) {
		return refuseParam(ErrInvalid, "name", "name must have 1 to %d characters", maxName)
	}
	if r.Slug != nil {
		if valid, err := regexp.MatchString(slugPattern, *r.Slug); err != nil || !valid {
			return refuseParam(ErrInvalid, "slug", "a slug must match %s", slugPattern)
		}
	}
	if r.MaxMembers != nil && *r.MaxMembers < 0 {
		return refuseParam(ErrInvalid, "max_allowed_memberships", "max_allowed_memberships must be 0 or more")
	}
	return nil
}

// creationRequest is an [organizationRequest] with the fields that only a creation has.
type creationRequest struct {
	organizationRequest
	metadataRequest
	CreatedBy *string `json:"created_by"`
}

func (a *api) createOrganization(req *http.Request) (any, error) {
	var wanted creationRequest
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Name == nil {
		return nil, missing("name")
	}
	if err := wanted.validate(); err != nil {
		return nil, err
	}
	params := NewOrganization{
		Name: *wanted.Name, PublicMetadata: unlessNull(wanted.Public), PrivateMetadata: unlessNull(wanted.Private),
	}
	params.Slug = *cmp.Or(wanted.Slug, new(""))
	params.CreatedBy = *cmp.Or(wanted.CreatedBy, new(""))
	params.MaxMembers = *cmp.Or(wanted.MaxMembers, new(0))
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	o, err := a.world.createOrganization(params)
	if err != nil {
		return nil, err
	}
	return withUnknownField(o.id, a.world.organizationBody(o)), nil
}

func (a *api) updateOrganization(req *http.Request) (any, error) {
	var wanted struct {
		organizationRequest
		metadataRequest
	}
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if err := wanted.validate(); err != nil {
		return nil, err
	}
	if err := wanted.checkVersion(req, nil); err != nil {
		return nil, err
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	o, err := a.world.updateOrganization(mux.Vars(req)["id"], OrganizationUpdate{
		Name: wanted.Name, Slug: wanted.Slug, MaxMembers: wanted.MaxMembers,
		PublicMetadata: unlessNull(wanted.Public), PrivateMetadata: unlessNull(wanted.Private),
	})
	if err != nil {
		return nil, err
	}
	return withUnknownField(o.id, a.world.organizationBody(o)), nil
}

func (a *api) deleteOrganization(req *http.Request) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	return a.world.deleteOrganization(mux.Vars(req)["id"])
}

func (a *api) listOrganizations(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	query := req.URL.Query()
	byID, err := parseIDFilter(query, "organization_id")
	if err != nil {
		return nil, err
	}
	byUser, err := parseIDFilter(query, "user_id")
	if err != nil {
		return nil, err
	}
	rows := a.world.organizations.pick(byID)
	if part := query.Get("query"); part != "" || !byUser.empty() {
		rows = matching(rows, func(o *organization) bool { return byUser.matchesAny(o.hasMember) && o.answersTo(part) })
	}
	return list(a, req, rows, organizationOrders(), func(o *organization) any { return a.organizationBody(req, o) })
}

// organizationOrders are the orders that the Backend API document lists beside created_at.
func organizationOrders() orders[*organization] {
	return orders[*organization]{
		"name":          func(x, y *organization) int { return strings.Compare(x.Name, y.Name) },
		"members_count": func(x, y *organization) int { return cmp.Compare(x.members.len(), y.members.len()) },
	}
}

func (o *organization) hasMember(userID string) bool {
	_, joined := o.byUser[userID]
	return joined
}

// answersTo reports whether a query finds the organization: by its whole id, or a part of its name
// or slug.
func (o *organization) answersTo(query string) bool {
	return query == o.id || containsFold(o.Name, query) || containsFold(o.Slug, query)
}

func (a *api) organization(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	idOrSlug := mux.Vars(req)["id"]
	o, ok := a.world.slugs[idOrSlug]
	if !ok {
		var err error
		if o, err = a.world.findOrganization(idOrSlug); err != nil {
			return nil, err
		}
	}
	return withUnknownField(o.id, a.organizationBody(req, o)), checkVisible(req, o.id)
}

func (a *api) organizationBody(req *http.Request, o *organization) organizationBody {
	body := a.world.organizationBody(o)
	if req.URL.Query().Get(includeCount) == "true" {
		body.MembersCount = new(o.members.len())
	}
	return body
}
