package clerksim

import (
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
