package api

import (
	"net/http"
	"net/url"
	"slices"
)

// query holds the query parameters of a request, each given once.
type query map[string]string

// queryOf reads the query of a request about a workspace that may have the given parameters, beside those of freshness. Any other one, one given twice and what can't
// be read are refused: a parameter that was meant to change the answer must not be overlooked.
func queryOf(r *http.Request, allowed ...string) (query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("The query is malformed.")
	}
	q := query{}
	for name, given := range values {
		switch {
		case name == paramMinRevision, name == paramMaxStaleness: // read by freshnessOf
			continue
		case !slices.Contains(allowed, name):
			return nil, badRequest("The query has a parameter that this route doesn't take.")
		case len(given) > 1:
			return nil, badRequest(name + " must be given once.")
		}
		q[name] = given[0]
	}
	return q, nil
}

// required returns a parameter that must be given.
func (q query) required(name string) (string, error) {
	if q[name] == "" {
		return "", badRequest(name + " is missing.")
	}
	return q[name], nil
}
