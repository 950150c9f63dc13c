package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	strictjson "github.com/go-json-experiment/json"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/edge"
)

var errQueryMalformed = badRequest("The query is malformed.")

// maxNameShown bounds, in bytes, how much of an unknown parameter's name is shown to the caller.
const maxNameShown = 60

// unknownParameter names the first of the parameters that a route doesn't take, and those that it
// takes.
func unknownParameter(unknown, allowed []string) *problem {
	name := slices.Min(unknown)
	if len(name) > maxNameShown {
		name = name[:maxNameShown]
	}
	takes := "no query parameters"
	if len(allowed) > 0 {
		takes = "the query parameters " + strings.Join(allowed, ", ")
	}
	return badRequest("The query parameter " + strconv.QuoteToASCII(name) + " is unknown: this route takes " + takes + ".")
}

// isRead reports whether a request changes nothing.
func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// query holds the query parameters of a request, each given once.
type query map[string]string

// queryOf reads the query of a request about a workspace. It allows the given parameters and those
// of freshness, which [query.freshness] or [freshnessOf] reads.
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
	var unknown []string
	for name, given := range values {
		switch {
		case !slices.Contains(allowed, name):
			unknown = append(unknown, name)
		case len(given) > 1:
			return nil, badRequest(name + " must be given once.")
		}
		q[name] = given[0]
	}
	if len(unknown) > 0 {
		return nil, unknownParameter(unknown, allowed)
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

// workspace returns the workspace that the query names or, without the parameter, the active one.
// An empty name isn't none: a proxy may have filled it from a variable that it doesn't have.
func (q query) workspace(caller auth.Identity) (string, error) {
	if _, named := q["workspace_id"]; named {
		return q.required("workspace_id")
	}
	return activeWorkspace(caller)
}

// maxCommandBody is many times the size of any command.
const maxCommandBody = 64 << 10

// readCommand reads the body of a command, one JSON object, into a struct, and returns its bytes.
func readCommand(w http.ResponseWriter, r *http.Request, into any) ([]byte, error) {
	if !hasJSON(r) {
		return nil, errMediaType
	}
	raw, err := readObject(w, r, maxCommandBody, into)
	if errors.Is(err, errNotThisObject) {
		return nil, badRequest("The body must be one JSON object with the members of this route and no others, each once.")
	}
	return raw, err
}

// hasJSON reports whether the media type of a body is application/json, with or without parameters.
func hasJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// errNotThisObject means that a body isn't an object of the route.
var errNotThisObject = errors.New("the body isn't an object of this route")

// readObject reads a body of at most limit bytes, one JSON object, into a struct, and returns its
// bytes. It refuses unknown members, duplicates, and names in another case. An ignored member could
// be an intended change, and a proxy might read such a body differently. Its errors are
// errTooLarge, errNotThisObject and edge.ErrCrowded.
func readObject(w http.ResponseWriter, r *http.Request, limit int64, into any) ([]byte, error) {
	return decodeObject(w, r, limit, into, strictjson.RejectUnknownMembers(true))
}

// decodeObject reads a body as [readObject] does, under the given options alone.
func decodeObject(w http.ResponseWriter, r *http.Request, limit int64, into any, options ...strictjson.Options) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if errors.Is(err, edge.ErrCrowded) {
		return nil, err
	}
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || strictjson.Unmarshal(raw, into, options...) != nil {
		return nil, errNotThisObject
	}
	return raw, nil
}
