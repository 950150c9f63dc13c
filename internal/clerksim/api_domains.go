package clerksim

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// domainOrders are the orders that the Backend API document lists beside created_at.
func domainOrders() orders[*domain] {
	return orders[*domain]{"name": func(x, y *domain) int { return strings.Compare(x.Name, y.Name) }}
}

// listDomains lists the domains of the whole instance, or of some organizations.
func (a *api) listDomains(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	filter, err := parseIDFilter(req.URL.Query(), "organization_id")
	if err != nil {
		return nil, err
	}
	return a.domainList(req, filterRows(a.world.domains.ordered, filter, func(d *domain) string { return d.organization.id }))
}

func (a *api) listDomainsOf(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	o, err := a.world.findOrganization(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return a.domainList(req, o.domains.ordered)
}

// domainRequest is a request to create or change a domain.
type domainRequest struct {
	Name           *string `json:"name"`
	EnrollmentMode *string `json:"enrollment_mode"`
	Verified       *bool   `json:"verified"`
}

// createDomain adds a domain, which is verified unless the request says otherwise.
func (a *api) createDomain(req *http.Request) (any, error) {
	var wanted domainRequest
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Name == nil {
		return nil, missing("name")
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	return domainAnswer(a.world.addDomain(mux.Vars(req)["id"], *wanted.Name, DomainUpdate{
		EnrollmentMode: wanted.EnrollmentMode, Verified: cmp.Or(wanted.Verified, new(true)),
	}))
}

func (a *api) updateDomain(req *http.Request) (any, error) {
	var wanted domainRequest
	if err := readOptionalBody(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Name != nil {
		return nil, refuseParam(ErrUnsimulated, "name", "a domain keeps its name")
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	id, err := a.domainID(req)
	if err != nil {
		return nil, err
	}
	return domainAnswer(a.world.updateDomain(id, DomainUpdate{EnrollmentMode: wanted.EnrollmentMode, Verified: wanted.Verified}))
}

func (a *api) deleteDomain(req *http.Request) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	id, err := a.domainID(req)
	if err != nil {
		return nil, err
	}
	return a.world.deleteDomain(id)
}

// domainID is the id of the domain that a path names. Under another organization's path, it isn't
// found.
func (a *api) domainID(req *http.Request) (string, error) {
	o, err := a.world.findOrganization(mux.Vars(req)["id"])
	if err != nil {
		return "", err
	}
	id := mux.Vars(req)["domain_id"]
	if _, ok := o.domains.find(id); !ok {
		return "", refuse(ErrNotFound, "no domain %s in %s", id, o.id)
	}
	return id, nil
}

func domainAnswer(d *domain, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return withUnknownField(d.id, domainBodyOf(d)), nil
}

// domainList lists all rows, or only those that are verified, or only those that aren't.
func (a *api) domainList(req *http.Request, rows []*domain) (any, error) {
	switch verified := req.URL.Query().Get("verified"); verified {
	case "":
	case "true", "false":
		rows = matching(rows, func(d *domain) bool { return (d.Verification == VerificationDone) == (verified == "true") })
	default:
		return nil, refuseParam(ErrInvalid, "verified", "verified must be true or false, not %q", verified)
	}
	return list(a, req, rows, domainOrders(), func(d *domain) any { return domainBodyOf(d) })
}
