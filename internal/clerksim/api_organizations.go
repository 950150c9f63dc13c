package clerksim

import (
	"encoding/json"
	"net/http"

	"github.com/gorilla/mux"
)

// list answers one page of rows in the usual form. It must be called with the world's lock held.
func list[R row](req *http.Request, rows []R, body func(R) any) (any, error) {
	page, err := parsePage(req.URL.Query())
	if err != nil {
		return nil, err
	}
	return listBody{Data: bodiesOf(take(rows, page), body), TotalCount: len(rows)}, nil
}

func bodiesOf[R row](rows []R, body func(R) any) []json.RawMessage {
	bodies := make([]json.RawMessage, len(rows))
	for i, r := range rows {
		bodies[i] = withUnknownField(r.place().id, body(r))
	}
	return bodies
}

func rowID[R row](r R) string { return r.place().id }

func (a *api) listOrganizations(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	filter, err := parseIDFilter(req.URL.Query(), "organization_id")
	if err != nil {
		return nil, err
	}
	rows := filterRows(a.world.organizations.ordered, filter, rowID)
	return list(req, rows, func(o *organization) any { return a.organizationBody(req, o) })
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
	return withUnknownField(o.id, a.organizationBody(req, o)), nil
}

func (a *api) organizationBody(req *http.Request, o *organization) organizationBody {
	body := a.world.organizationBody(o)
	if req.URL.Query().Get(includeCount) == "true" {
		body.MembersCount = new(o.members.len())
	}
	return body
}

func (a *api) listMemberships(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	return list(req, a.world.memberships.ordered, a.membershipBody)
}

func (a *api) listMembers(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	o, err := a.world.findOrganization(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	filter, err := parseIDFilter(req.URL.Query(), "user_id")
	if err != nil {
		return nil, err
	}
	rows := filterRows(o.members.ordered, filter, func(m *membership) string { return m.user.id })
	return list(req, rows, a.membershipBody)
}

func (a *api) listMembershipsOfUser(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	u, err := a.world.findUser(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return list(req, u.memberships.ordered, a.membershipBody)
}

func (a *api) membershipBody(m *membership) any { return a.world.membershipBody(m) }
