package api

import (
	"net/http"
	"net/url"
	"slices"
)

var (
	errQueryMalformed = badRequest("The query is malformed.")
	errQueryUnknown   = badRequest("The query has a parameter that this route doesn't take.")
)

// query holds the query parameters of a request, each given once.
type query map[string]string

// queryOf reads the query of a request about a workspace that may have the given parameters, beside those of freshness. Any
// other one, one given twice and what can't be read are refused: a parameter that was meant to change the answer must not be overlooked.
func queryOf(r *http.Request, allowed ...string) (query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errQueryMalformed
	}
	q := query{}
	for name, given := range values {
		switch {
		case name == paramMinRevision, name == paramMaxStaleness: // read by freshnessOf
			continue
		case !slices.Contains(allowed, name):
			return nil, errQueryUnknown
		case len(given) > 1:
			return nil, badRequest(name + " must be given once.")
		}
		q[name] = given[0]
	}
	return q, nil
}

// withoutQuery admits requests to a route that takes no query parameter at all, not even one of freshness.
func withoutQuery(next func(http.ResponseWriter, *http.Request, string) error) func(http.ResponseWriter, *http.Request, string) error {
	return func(w http.ResponseWriter, r *http.Request, caller string) error {
		values, err := url.ParseQuery(r.URL.RawQuery)
		switch {
		case err != nil:
			return errQueryMalformed
		case len(values) > 0:
			return errQueryUnknown
		}
		return next(w, r, caller)
	}
}

// required returns a parameter that must be given.
func (q query) required(name string) (string, error) {
	if q[name] == "" {
		return "", badRequest(name + " is missing.")
	}
	return q[name], nil
}
