package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"

	strictjson "github.com/go-json-experiment/json"

	"github.com/callmine/rolecall/internal/edge"
)

var (
	errQueryMalformed = badRequest("The query is malformed.")
	errQueryUnknown   = badRequest("The query has a parameter that this route doesn't take.")
)

// query holds the query parameters of a request, each given once.
type query map[string]string

// queryOf reads the query of a request about a workspace that may have the given parameters, beside
// those of freshness. It refuses other parameters, repeated ones and malformed queries: a parameter
// that was meant to change the answer must not be overlooked.
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

// withoutQuery admits requests to a route that takes no query parameter at all, not even one of
// freshness.
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

// maxCommandBody is many times what any command says.
const maxCommandBody = 64 << 10

// readCommand reads the body of a command, one JSON object, into a struct. It returns the bytes.
func readCommand(w http.ResponseWriter, r *http.Request, into any) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errMediaType
	}
	said, err := readObject(w, r, maxCommandBody, into)
	if errors.Is(err, errNotThisObject) {
		return nil, badRequest("The body must be one JSON object with the members of this route and no others, each once.")
	}
	return said, err
}

// errNotThisObject says that a body isn't what its route takes.
var errNotThisObject = errors.New("the body isn't an object of this route")

// readObject reads a request's body of at most limit bytes, one JSON object, into a struct, and
// returns it. It refuses members that are unknown, known but for their case, or given twice: none
// may be overlooked, nor mean one thing here and another to a proxy. Errors are errTooLarge,
// errNotThisObject and edge.ErrCrowded.
func readObject(w http.ResponseWriter, r *http.Request, limit int64, into any) ([]byte, error) {
	said, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if errors.Is(err, edge.ErrCrowded) {
		return nil, err
	}
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(said), []byte("{")) || strictjson.Unmarshal(said, into, strictjson.RejectUnknownMembers(true)) != nil {
		return nil, errNotThisObject
	}
	return said, nil
}
