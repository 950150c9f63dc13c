package playground

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/callmine/rolecall/internal/clerksim"
)

// session is a person who is signed in in a window.
type session struct {
	clerkID, userID string
	workspaceID     string // the active one; "" before one was chosen
	workspaceName   string // as the person saw it last: its later names are none of theirs
	said            string // is shown once, on the next page
}

// sessions are those of all windows, by the cookie's value, which nobody can guess.
type sessions struct{ byKey sync.Map }

// change runs a function on a session, unless it has ended. It returns the session.
func (s *sessions) change(key string, change func(*session)) (session, bool) {
	for {
		kept, ok := s.byKey.Load(key)
		if !ok {
			return session{}, false
		}
		changed := kept.(session) //nolint:forcetypeassert // nothing else is stored
		change(&changed)
		if s.byKey.CompareAndSwap(key, kept, changed) {
			return changed, true
		}
	}
}

// cookieName differs by window and by port: browsers send the cookies of a host to all its ports.
func cookieName(r *http.Request, window string) string {
	_, port, _ := net.SplitHostPort(r.Host) // an error means that there is no port
	return "callmine" + port + strings.ReplaceAll(window, "/", "-")
}

// sessionKey returns the key that a request brings, or "".
func sessionKey(r *http.Request, window string) string {
	if cookie, err := r.Cookie(cookieName(r, window)); err == nil {
		return cookie.Value
	}
	return ""
}

// signIn signs a person in at Clerk and in a window, in place of anybody else there. The workspace
// is the active one, unless it is "". The session gets a new key, which nobody can know before.
func (p *Playground) signIn(w http.ResponseWriter, r *http.Request, window, userID, workspaceID string) error {
	if err := p.errClerkDown(); err != nil {
		return err
	}
	began, err := p.cfg.Simulator.World().CreateSession(clerksim.NewSession{UserID: userID})
	if errors.Is(err, clerksim.ErrNotFound) {
		return refusal(http.StatusBadRequest, "There is no such person")
	}
	if err != nil {
		return err
	}
	p.signOut(r, window)
	key := rand.Text()
	p.sessions.byKey.Store(key, session{clerkID: began.ID, userID: userID, workspaceID: workspaceID})
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // there is no TLS on this machine's own address
		Name: cookieName(r, window), Value: key, Path: cmp.Or(window, "/"), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return nil
}

// signOut ends the session of a window, also at Clerk.
func (p *Playground) signOut(r *http.Request, window string) {
	if found, ok := p.sessions.change(sessionKey(r, window), func(*session) {}); ok {
		p.sessions.byKey.Delete(sessionKey(r, window))
		_, _ = p.cfg.Simulator.World().EndSession(found.clerkID) // an error means that it has ended
	}
}

// errClerkDown is what Clerk's own pages answer while Clerk is down.
func (p *Playground) errClerkDown() error {
	if p.cfg.Simulator.Switches().ClerkDown {
		return refusal(http.StatusServiceUnavailable, "Clerk is down, and its own pages with it")
	}
	return nil
}
