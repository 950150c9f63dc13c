package clerksim

import (
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"
)

// paginated is the parameter that makes a list of the usual form out of a bare array.
const paginated = "paginated"

// The bounds of a session token's life in seconds (Backend API document, CreateSessionToken).
const (
	minTokenSeconds = 30
	maxTokenSeconds = 315_360_000
)

// listSessions answers with a bare array, unless it is asked for pages. Clerk has deprecated a list
// that names neither a user nor a client, and still answers it.
func (a *api) listSessions(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	query, distorted := req.URL.Query(), distortionOf(req)
	page, err := parsePage(query)
	if err != nil {
		return nil, err
	}
	status := query.Get("status")
	if known := []string{"", "abandoned", "active", "ended", "expired", "removed", "replaced", "revoked"}; !slices.Contains(known, status) {
		return nil, refuseParam(ErrInvalid, "status", "a session can't be %q", status)
	}
	rows := a.world.sessionsOf(query.Get("user_id"), query.Get("client_id"), status)
	if query.Get(paginated) == "true" {
		return list(a, req, rows, nil, func(s *session) any { return sessionBodyOf(s) })
	}
	rows = visible(rows, distorted)
	return arrayOf("[", shorten(take(rows, page), distorted), func(s *session) any { return sessionBodyOf(s) }, "]"), nil
}

func (a *api) session(req *http.Request) (any, error) {
	a.world.mu.RLock()
	defer a.world.mu.RUnlock()
	s, err := a.world.findSession(mux.Vars(req)["id"])
	if err != nil {
		return nil, err
	}
	return sessionAnswer(s), checkVisible(req, s.id)
}

// createSession signs a user in without a browser, as Clerk allows in development instances.
func (a *api) createSession(req *http.Request) (any, error) {
	var wanted struct {
		UserID               string `json:"user_id"`
		ActiveOrganizationID string `json:"active_organization_id"`
	}
	if err := readBody(req, &wanted); err != nil {
		return nil, err
	}
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	s, err := a.world.createSession(NewSession{UserID: wanted.UserID, OrganizationID: wanted.ActiveOrganizationID})
	if err != nil {
		return nil, err
	}
	return sessionAnswer(s), nil
}

func (a *api) revokeSession(req *http.Request) (any, error) {
	a.world.mu.Lock()
	defer a.world.mu.Unlock()
	s, err := a.world.finishSession(mux.Vars(req)["id"], SessionRevoked)
	if err != nil {
		return nil, err
	}
	return sessionAnswer(s), nil
}

// createToken makes a token of an active session. It has no azp, because no browser asked for it.
func (a *api) createToken(req *http.Request) (any, error) {
	var wanted struct {
		ExpiresInSeconds *int `json:"expires_in_seconds"`
	}
	if err := readOptionalBody(req, &wanted); err != nil {
		return nil, err
	}
	options := TokenOptions{OmitAuthorizedParty: true}
	if seconds := wanted.ExpiresInSeconds; seconds != nil {
		if *seconds < minTokenSeconds || *seconds > maxTokenSeconds {
			return nil, refuseParam(ErrInvalid, "expires_in_seconds", "expires_in_seconds must be %d to %d", minTokenSeconds, maxTokenSeconds)
		}
		options.Lifetime = time.Duration(*seconds) * time.Second
	}
	id := mux.Vars(req)["id"]
	if s, known := a.world.Session(id); !known || s.Status != SessionActive {
		return nil, refuse(ErrNotFound, "no active session %s", id)
	}
	token, err := a.world.TokenOf(id, options)
	if err != nil {
		return nil, err
	}
	return tokenBody{Object: "token", JWT: token}, nil
}

// createTemplateToken finds no template: the simulator has none.
func (a *api) createTemplateToken(req *http.Request) (any, error) {
	return nil, refuse(ErrNotFound, "no JWT template %s: the simulator has none", mux.Vars(req)["template"])
}

type tokenBody struct {
	Object string `json:"object"`
	JWT    string `json:"jwt"`
}

func sessionAnswer(s *session) any { return withUnknownField(s.id, sessionBodyOf(s)) }
