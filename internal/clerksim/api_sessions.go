package clerksim

import (
	"net/http"
	"slices"

	"github.com/gorilla/mux"
)

// listSessions answers with a bare array. Clerk has deprecated a list that names neither a user nor
// a client, and still answers it.
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
	rows := visible(a.world.sessionsOf(query.Get("user_id"), query.Get("client_id"), status), distorted)
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

func sessionAnswer(s *session) any { return withUnknownField(s.id, sessionBodyOf(s)) }
