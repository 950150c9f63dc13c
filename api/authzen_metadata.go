package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/callmine/rolecall/internal/request"
)

// echoRequestID returns the header X-Request-ID as it was sent, with every answer of AuthZEN: the
// standard wants that, also of an id that package request doesn't take.
func echoRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent := r.Header.Values(request.Header); len(sent) > 0 && ofAuthZEN(r) {
			w.Header()[request.Header] = slices.Clone(sent)
		}
		next.ServeHTTP(w, r)
	})
}

// ofAuthZEN reports whether a request is for AuthZEN's surface, also if there is no such route.
func ofAuthZEN(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/access/v1/") || r.URL.Path == pathAuthZENMetadata
}

// authZENMetadata tells which parts of AuthZEN are served, and where. It has no capabilities: none
// are registered that would fit.
type authZENMetadata struct {
	PolicyDecisionPoint       string `json:"policy_decision_point"`
	AccessEvaluationEndpoint  string `json:"access_evaluation_endpoint"`
	AccessEvaluationsEndpoint string `json:"access_evaluations_endpoint"`
	SearchSubjectEndpoint     string `json:"search_subject_endpoint"`
	SearchResourceEndpoint    string `json:"search_resource_endpoint"`
	SearchActionEndpoint      string `json:"search_action_endpoint"`
}

// metadata answers GET /.well-known/authzen-configuration, without authentication. Clients compare
// the address in it with the one that they asked, so a process that doesn't know its own has none.
func (s *server) metadata(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r, nil); err != nil {
		return err
	}
	base := s.cfg.PublicURL
	if base == "" {
		return errNotFound
	}
	return write(w, authZENMetadata{
		PolicyDecisionPoint: base, AccessEvaluationEndpoint: base + pathEvaluation, AccessEvaluationsEndpoint: base + pathEvaluations,
		SearchSubjectEndpoint: base + pathSubjectSearch, SearchResourceEndpoint: base + pathResourceSearch, SearchActionEndpoint: base + pathActionSearch,
	})
}
