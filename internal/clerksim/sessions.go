package clerksim

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// sessionLife is how long a session of a new instance lives at most.
const sessionLife = 7 * 24 * time.Hour

// SessionStatus is how far a session is.
type SessionStatus string

// The states of a session in this package.
const (
	SessionActive  SessionStatus = "active"
	SessionRevoked SessionStatus = "revoked" // by the application or in the dashboard
	SessionEnded   SessionStatus = "ended"   // the user signed out
	SessionRemoved SessionStatus = "removed" // the user signed out of one of several sessions in a browser
)

// Session is a copy of one session as the world knows it.
type Session struct {
	// ID is "sess_" and 27 characters; ClientID is "client_" and 27 characters.
	ID, ClientID string
	// UserID is the user who acts, or seems to: see Actor.
	UserID string
	// Status is how far the session is.
	Status SessionStatus
	// OrganizationID is the active organization, or empty for none.
	OrganizationID string
	// Actor is who acts as the user, or nil if the user acts.
	Actor *Actor
	// CreatedAt and UpdatedAt have a resolution of milliseconds.
	CreatedAt, UpdatedAt time.Time
}

// Actor is who acts as a user. All of it becomes the claim act of the session's tokens.
type Actor struct {
	// ID is the actor's id, usually of a user.
	ID string `json:"sub"`
	// SessionID is the actor's own session. The dashboard gives it, and the Backend API only if the
	// application does.
	SessionID string `json:"sid,omitempty"`
	// Issuer is where the actor is signed in. The dashboard gives it.
	Issuer string `json:"iss,omitempty"`
}

// NewSession describes a session to create.
type NewSession struct {
	// UserID is the user who signs in.
	UserID string
	// OrganizationID is the active organization, or empty for none. The user must be a member.
	OrganizationID string
	// Actor impersonates the user, as the actor token does by which such a session begins.
	Actor *Actor
}

// session is the row behind a [Session].
type session struct {
	entry
	Session
	user *user
}

// CreateSession signs a user in and emits session.created. It refuses an unknown user, and an
// organization that the user isn't a member of (ErrNotFound). It refuses an actor without an id
// (ErrInvalid).
func (w *World) CreateSession(params NewSession) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.createSession(params)
	if err != nil {
		return Session{}, err
	}
	return s.Session, nil
}

// createSession must be called with w.mu held.
func (w *World) createSession(params NewSession) (*session, error) {
	u, err := w.findUser(params.UserID)
	if err != nil {
		return nil, err
	}
	if err := w.checkActive(params.OrganizationID, u.id); err != nil {
		return nil, err
	}
	if params.Actor != nil && params.Actor.ID == "" {
		return nil, refuseParam(ErrInvalid, "actor", "an actor needs a sub")
	}
	now := w.now()
	s := &session{entry: w.newEntry("sess_", now), user: u}
	s.Session = Session{
		ID: s.id, ClientID: newID(w.rng, "client_"), UserID: u.id, Status: SessionActive, OrganizationID: params.OrganizationID,
		Actor: params.Actor, CreatedAt: now, UpdatedAt: now,
	}
	w.sessions.insert(s)
	w.emit("session.created", s.id, now, w.sessionEventBody(s))
	return s, nil
}

// Activate makes an organization the active one of a session, or none. Clerk has no event for it.
// It refuses an unknown session, and an organization that the user isn't a member of (ErrNotFound).
func (w *World) Activate(sessionID, organizationID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.findSession(sessionID)
	if err != nil {
		return err
	}
	if err := w.checkActive(organizationID, s.UserID); err != nil {
		return err
	}
	s.OrganizationID, s.UpdatedAt = organizationID, w.now()
	return nil
}

// checkActive refuses an organization that can't be active in a user's session.
func (w *World) checkActive(organizationID, userID string) error {
	if organizationID == "" {
		return nil
	}
	_, err := w.findMembership(organizationID, userID)
	return err
}

// RevokeSession ends a session as the application does, and emits session.revoked. It refuses an
// unknown session (ErrNotFound) and one that has ended (ErrInvalid).
func (w *World) RevokeSession(sessionID string) (Session, error) {
	return w.finish(sessionID, SessionRevoked)
}

// EndSession ends a session as a user does who signs out, and emits session.ended. It refuses what
// [World.RevokeSession] refuses.
func (w *World) EndSession(sessionID string) (Session, error) {
	return w.finish(sessionID, SessionEnded)
}

// RemoveSession ends a session as a user does who signs out of one of several accounts, and emits
// session.removed. It refuses what [World.RevokeSession] refuses.
func (w *World) RemoveSession(sessionID string) (Session, error) {
	return w.finish(sessionID, SessionRemoved)
}

func (w *World) finish(sessionID string, status SessionStatus) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.finishSession(sessionID, status)
	if err != nil {
		return Session{}, err
	}
	return s.Session, nil
}

// finishSession must be called with w.mu held.
func (w *World) finishSession(sessionID string, status SessionStatus) (*session, error) {
	s, err := w.findSession(sessionID)
	if err != nil {
		return nil, err
	}
	if s.Status != SessionActive {
		return nil, refuse(ErrInvalid, "the session %s is %s", s.id, s.Status)
	}
	now := w.now()
	s.Status, s.UpdatedAt = status, now
	w.emit("session."+string(status), s.id, now, w.sessionEventBody(s))
	return s, nil
}

// dropSessions ends the sessions of a user who is banned or deleted. Clerk doesn't say whether
// events tell, so there are none: the harder case.
func (w *World) dropSessions(u *user, now time.Time) {
	for _, s := range w.sessions.ordered {
		if s.user == u && s.Status == SessionActive {
			s.Status, s.UpdatedAt = SessionRevoked, now
		}
	}
}

// Session returns a session; ok is false if there never was such a session.
func (w *World) Session(sessionID string) (found Session, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s, ok := w.sessions.find(sessionID)
	if !ok {
		return Session{}, false
	}
	return s.Session, true
}

// TokenOf makes a token of an active session, with its user, active organization and actor. The
// options are those of [World.SessionToken]. It refuses an unknown session (ErrNotFound), and one
// that has ended (ErrInvalid).
func (w *World) TokenOf(sessionID string, options TokenOptions) (string, error) {
	s, known := w.Session(sessionID)
	switch {
	case !known:
		return "", fmt.Errorf("make session token: %w", refuse(ErrNotFound, "no session %s", sessionID))
	case s.Status != SessionActive:
		return "", fmt.Errorf("make session token: %w", refuse(ErrInvalid, "the session %s is %s", sessionID, s.Status))
	}
	options.SessionID, options.OrganizationID = s.ID, s.OrganizationID
	if s.Actor != nil {
		options.Claims = maps.Clone(options.Claims)
		if options.Claims == nil {
			options.Claims = map[string]any{}
		}
		options.Claims["act"] = s.Actor
	}
	return w.SessionToken(s.UserID, options)
}

func (w *World) findSession(sessionID string) (*session, error) {
	s, ok := w.sessions.find(sessionID)
	if !ok {
		return nil, refuse(ErrNotFound, "no session %s", sessionID)
	}
	return s, nil
}

// sessionBody is a session in its events and in the Backend API.
type sessionBody struct {
	AbandonAt                int64     `json:"abandon_at"`
	Actor                    *Actor    `json:"actor"`
	ClientID                 string    `json:"client_id"`
	CreatedAt                int64     `json:"created_at"`
	ExpireAt                 int64     `json:"expire_at"`
	ID                       string    `json:"id"`
	LastActiveAt             int64     `json:"last_active_at"`
	LastActiveOrganizationID *string   `json:"last_active_organization_id"`
	LatestActivity           *activity `json:"latest_activity"`
	Object                   string    `json:"object"`
	Status                   string    `json:"status"`
	UpdatedAt                int64     `json:"updated_at"`
	UserID                   string    `json:"user_id"`
}

// activity is where a session was used last.
type activity struct {
	Object    string `json:"object"`
	ID        string `json:"id"`
	IsMobile  bool   `json:"is_mobile"`
	IPAddress string `json:"ip_address"`
	City      string `json:"city"`
}

func sessionBodyOf(s *session) sessionBody {
	body := sessionBody{
		AbandonAt: s.CreatedAt.Add(4 * sessionLife).UnixMilli(), Actor: s.Actor, ClientID: s.ClientID, CreatedAt: s.CreatedAt.UnixMilli(),
		ExpireAt: s.CreatedAt.Add(sessionLife).UnixMilli(), ID: s.id, LastActiveAt: s.UpdatedAt.UnixMilli(),
		LastActiveOrganizationID: nullable(s.OrganizationID), Object: "session", Status: string(s.Status),
		UpdatedAt: s.UpdatedAt.UnixMilli(), UserID: s.UserID,
	}
	if accident(s.id+" activity", 2) == 0 {
		body.LatestActivity = &activity{Object: "session_activity", ID: "activity_" + s.id, IPAddress: "203.0.113.20", City: "Aarhus"}
	}
	return body
}

// sessionEventBody is a session in its events. They also have its user, who was null in seen
// bodies, and is there in the examples of Clerk's document.
func (w *World) sessionEventBody(s *session) any {
	body := struct {
		sessionBody
		User any `json:"user"`
	}{sessionBody: sessionBodyOf(s)}
	if accident(s.id+" user", 2) == 0 {
		body.User = w.userBody(s.user)
	}
	return body
}

// sessionsOf returns the sessions that a list asks for, the oldest first.
func (w *World) sessionsOf(userID, clientID, status string) []*session {
	return slices.DeleteFunc(slices.Clone(w.sessions.ordered), func(s *session) bool {
		return userID != "" && s.UserID != userID || clientID != "" && s.ClientID != clientID || status != "" && string(s.Status) != status
	})
}
