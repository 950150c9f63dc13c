package clerksim

import "net/http"

// listDomains lists those of the whole instance, or of some organizations, or only those that are verified, or not.
func (a *api) listDomains(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	query := req.URL.Query()
	filter, err := parseIDFilter(query, "organization_id")
	if err != nil {
		return nil, err
	}
	rows := filterRows(a.world.domains.ordered, filter, func(d *domain) string { return d.organization.id })
	switch verified := query.Get("verified"); verified {
	case "":
	case "true":
		rows = domainsWith(rows, true)
	case "false":
		rows = domainsWith(rows, false)
	default:
		return nil, refuseParam(ErrInvalid, "verified", "verified must be true or false, not %q", verified)
	}
	return list(req, rows, func(d *domain) any { return domainBodyOf(d) })
}

func domainsWith(rows []*domain, verified bool) []*domain {
	var matching []*domain
	for _, d := range rows {
		if (d.Verification == VerificationDone) == verified {
			matching = append(matching, d)
		}
	}
	return matching
}
