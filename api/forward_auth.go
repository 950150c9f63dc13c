package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// extAuthz is the beginning of the paths at which Envoy asks. The rest is the original path.
const extAuthz = "/v1/ext-authz"

// forwardAuth is the door at which most proxies ask whether they may pass a request on. The query
// of the asking request is ignored: some proxies add that of the original request.
func (s *server) forwardAuth() http.Handler { return s.door(readForwarded) }

// extAuthzDoor takes the questions of Envoy, before their paths are judged as paths of the API.
func (s *server) extAuthzDoor(next http.Handler) http.Handler {
	door := s.door(readExtAuthz)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, extAuthz+"/") {
			asked := request.Of(r.Context())
			asked.SetRoute(extAuthz + "/{path}")
			asked.HidePath() // it is the product's
			door.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// door answers whether a proxy may pass a request on: 200 if it may, and any other status if not.
func (s *server) door(read func(*http.Request) (originalRequest, error)) http.Handler {
	return s.fromReplicas(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := read(r)
		if err == nil {
			err = proven(w, r, func() error { return s.passOn(w, r, q) })
		}
		if err == nil {
			return
		}
		if page := s.signInPage(q, err); page != "" {
			w.Header().Set("Location", page)
			w.WriteHeader(http.StatusFound)
			return
		}
		s.fail(w, r, err)
	}))
}

// passOn answers 200 if a request may be passed on, and returns the refusal otherwise.
func (s *server) passOn(w http.ResponseWriter, r *http.Request, q originalRequest) error {
	route, workspaceID := s.cfg.Policy().Routes.Find(q.method, q.path)
	switch {
	case route == nil:
		return errNoRoute
	case route.Public:
		nameAdmitted(w.Header(), clerksync.Decision{})
		return nil // net/http answers 200
	}
	identity, byCookie, err := s.callers.AuthenticateBrowser(r, s.cfg.Cookies)
	if err != nil {
		return err
	}
	request.Of(r.Context()).SetCaller(identity.Service)
	switch {
	case identity.Service != "":
		return errForUsers
	case byCookie && q.mayChange() && !s.cfg.Cookies.FromOwnPage(r.Header):
		return errCrossSite
	}
	if workspaceID, err = s.workspaceOf(r.Context(), q, route, workspaceID, identity); err != nil {
		return err
	}
	v, err := s.judgeBy(r, identity, workspaceID, route.Permission, noDemand)
	if err != nil {
		return err
	}
	writeFreshness(w, v.standing, v.decision)
	if v.refused != nil {
		return v.refused
	}
	nameAdmitted(w.Header(), v.decision)
	return nil
}

// noDemand demands no freshness: a demand in the query would be the client's.
func noDemand() (clerksync.Freshness, error) { return clerksync.Freshness{}, nil }

// workspaceOf returns the id of the workspace that a request is about. It is "", which no workspace
// has, if the host names none: a stranger to a workspace and the caller of none get the same
// answer.
func (s *server) workspaceOf(ctx context.Context, q originalRequest, route *policy.Route, inPath string, caller auth.Identity) (string, error) {
	switch route.Workspace {
	case policy.WorkspaceInPath:
		return inPath, nil
	case policy.WorkspaceInHeader:
		return q.workspaceHeader(route.Header)
	case policy.WorkspaceInHost:
		slug, _, _ := strings.Cut(strings.ToLower(q.host), ".")
		if !clerksync.Storable(slug) {
			return "", nil
		}
		return readFrom(ctx, s.cfg.DecideDB, func(ctx context.Context, db store.DBTX) (string, error) { return store.WorkspaceBySlug(ctx, db, slug) })
	case policy.WorkspaceInToken:
	}
	return activeWorkspace(caller)
}

// signInPage returns where to send a browser that has no usable session, or "" if the refusal
// stands. The page sends the browser back to the original address, on the host of the request.
func (s *server) signInPage(q originalRequest, refused error) string {
	if s.cfg.SignInURL == nil || q.host == "" || !q.navigates() || !endedOrMissing(refused) {
		return ""
	}
	page := *s.cfg.SignInURL
	query := page.Query()
	query.Set("redirect_url", q.scheme+"://"+q.host+q.target)
	page.RawQuery = query.Encode()
	return page.String()
}

// endedOrMissing reports whether signing in would help against a refusal.
func endedOrMissing(refused error) bool {
	if p, ok := errors.AsType[*problem](refused); ok {
		return p.Type == errSessionEnded.Type
	}
	e, ok := errors.AsType[*auth.Error](refused)
	return ok && (e.Reason == auth.ReasonMissing || e.Reason == auth.ReasonExpired)
}
