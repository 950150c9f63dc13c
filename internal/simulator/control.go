package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/internal/clerksim"
)

// controlPrefix begins the paths of the control API.
const controlPrefix = "/simulator"

// maxControlBody bounds a request of the control API.
const maxControlBody = 1 << 20

// controlRoute is one route of the control API. The handler's result is sent as JSON with 200, its
// error by [failControl].
type controlRoute struct {
	method, path string
	handle       func(*http.Request) (any, error)
	parameters   []string // of the query; any other is refused
}

func (s *Simulator) controlRoutes() []controlRoute {
	return []controlRoute{
		{http.MethodGet, "/state", s.showState, nil},
		{http.MethodGet, "/switches", s.showSwitches, nil},
		{http.MethodPut, "/switches", s.putSwitches, nil},
		{http.MethodGet, "/mail", s.showMail, []string{"to"}},
		{http.MethodGet, "/webhooks", s.showWebhooks, []string{"type", "organization_id", "user_id", "outcome"}},
		{http.MethodPost, "/webhooks/settle", s.postSettle, nil},
		{http.MethodPost, "/webhooks/recover", s.postRecover, nil},
		{http.MethodPost, "/endpoints", s.postEndpoint, nil},
		{http.MethodPost, "/tokens", s.postToken, nil},
		{http.MethodPost, "/invitations/accept", s.postAccept, nil},
		{http.MethodPost, "/sessions/{id}/end", s.postEndSession, nil},
		{http.MethodPost, "/users/{id}/deprovision", s.postDeprovision, nil},
		{http.MethodPost, "/users/{id}/restore", s.postRestore, nil},
		{http.MethodPost, "/roles", s.postRole, nil},
		{http.MethodPost, "/keys/rotate", s.postRotate, nil},
		{http.MethodPost, "/events", s.postEvent, nil},
	}
}

// control serves the control API: what tests of other services need of a simulated Clerk, and
// Clerk's Backend API hasn't.
func (s *Simulator) control() http.Handler {
	router := mux.NewRouter()
	for _, route := range s.controlRoutes() {
		router.Handle(controlPrefix+route.path, controlEndpoint(route)).Methods(route.method)
	}
	router.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		writeError(w, http.StatusNotFound, "the control API has no path "+req.URL.Path)
	})
	router.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		writeError(w, http.StatusMethodNotAllowed, "no method "+req.Method+" on "+req.URL.Path)
	})
	return router
}

func controlEndpoint(route controlRoute) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Body = http.MaxBytesReader(w, req.Body, maxControlBody)
		answer, err := any(nil), checkQuery(req.URL.Query(), route.parameters)
		if err == nil {
			answer, err = route.handle(req)
		}
		if err != nil {
			failControl(w, err)
			return
		}
		writeJSON(w, http.StatusOK, answer)
	})
}

func checkQuery(query url.Values, known []string) error {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(known, name) {
			return badInput("unknown parameter %s: the control API knows %s", name, strings.Join(append(known, "no other"), ", "))
		}
		if len(query[name]) > 1 {
			return badInput("the parameter %s is there twice", name)
		}
	}
	return nil
}

// inputError is a request that the control API can't read.
type inputError struct{ text string }

func (e *inputError) Error() string { return e.text }

func badInput(format string, args ...any) error { return &inputError{fmt.Sprintf(format, args...)} }

// readControl reads a body of JSON, in which every field is known. An empty body is an empty
// object.
func readControl(req *http.Request, into any) error {
	text, err := io.ReadAll(req.Body)
	if err != nil {
		return badInput("the body can't be read: %v", err)
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		text = []byte("{}")
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badInput("the body isn't the JSON object that this path takes: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badInput("something follows the JSON object in the body")
	}
	return nil
}

// failControl is the one place where an error of the control API becomes a response.
func failControl(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if _, ok := errors.AsType[*inputError](err); ok {
		status = http.StatusBadRequest
	}
	if refusal, ok := errors.AsType[*clerksim.Error](err); ok {
		if status = http.StatusUnprocessableEntity; refusal.Code == clerksim.ErrNotFound {
			status = http.StatusNotFound
		}
	}
	writeError(w, status, err.Error())
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer can't be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the caller may have hung up
}
