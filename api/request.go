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

// queryOf reads the query of a request about a workspace. It allows the given parameters and those
// of freshness, which [freshnessOf] reads.
func queryOf(r *http.Request, allowed ...string) (query, error) {
	return readQuery(r, append(allowed, paramMinRevision, paramMaxStaleness))
}

// readQuery reads a query of the allowed parameters. It refuses other parameters, repeated ones and
// malformed queries: an overlooked parameter could have been meant to change the answer.
func readQuery(r *http.Request, allowed []string) (query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errQueryMalformed
	}
	q := query{}
	for name, given := range values {
		switch {
		case !slices.Contains(allowed, name):
			return nil, errQueryUnknown
		case len(given) > 1:
			return nil, badRequest(name + " must be given once.")
		}
		q[name] = given[0]
	}
	return q, nil
}

// withoutQuery refuses requests with any query parameter, also one of freshness.
func withoutQuery[Caller any](next func(http.ResponseWriter, *http.Request, Caller) error) func(http.ResponseWriter, *http.Request, Caller) error {
	return func(w http.ResponseWriter, r *http.Request, caller Caller) error {
		if _, err := readQuery(r, nil); err != nil {
			return err
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

// maxCommandBody is many times the size of any command.
const maxCommandBody = 64 << 10

// readCommand reads the body of a command, one JSON object, into a struct, and returns its bytes.
func readCommand(w http.ResponseWriter, r *http.Request, into any) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errMediaType
	}
	raw, err := readObject(w, r, maxCommandBody, into)
	if errors.Is(err, errNotThisObject) {
		return nil, badRequest("The body must be one JSON object with the members of this route and no others, each once.")
	}
	return raw, err
}

// errNotThisObject means that a body isn't an object of the route.
var errNotThisObject = errors.New("the body isn't an object of this route")

// readObject reads a body of at most limit bytes, one JSON object, into a struct, and returns its
// bytes. It refuses unknown members, duplicates, and names in another case. An ignored member could
// be an intended change, and a proxy might read such a body differently. Its errors are
// errTooLarge, errNotThisObject and edge.ErrCrowded.
func readObject(w http.ResponseWriter, r *http.Request, limit int64, into any) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if errors.Is(err, edge.ErrCrowded) {
		return nil, err
	}
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || strictjson.Unmarshal(raw, into, strictjson.RejectUnknownMembers(true)) != nil {
		return nil, errNotThisObject
	}
	return raw, nil
}
