package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// headerOnBehalfOf is the header in which a service names the user it acts for.
const headerOnBehalfOf = "Rolecall-On-Behalf-Of"

// The kinds of handlers, by the caller that they take. A handler that returns an error has written
// nothing; the error becomes a problem.
type (
	callerHandler  func(w http.ResponseWriter, r *http.Request, caller auth.Identity) error
	serviceHandler func(w http.ResponseWriter, r *http.Request, service auth.Identity) error
	userHandler    func(w http.ResponseWriter, r *http.Request, userID string) error
	memberHandler  func(w http.ResponseWriter, r *http.Request, member clerksync.Standing) error
)

// identify returns the caller of a request, and notes it in the request's record.
func (s *server) identify(r *http.Request) (auth.Identity, error) {
	identity, err := s.callers.Authenticate(r)
	if err == nil {
		request.Of(r.Context()).SetCaller(identity.Service)
	}
	return identity, err
}

// asService admits services with the scope only.
func (s *server) asService(scope auth.Scope, next serviceHandler) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		identity, err := s.identify(r)
		if err != nil {
			return err
		}
		if identity.Service == "" {
			return errServicesOnly
		}
		if !identity.Rights.Has(scope) {
			return scopeMissing(scope)
		}
		return next(w, r, identity)
	})
}

// asCaller admits users, and services with the scope authorize in their own names. It takes no
// query.
func (s *server) asCaller(next callerHandler) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		identity, err := s.identify(r)
		if err != nil {
			return err
		}
		if identity.Service != "" && !identity.Rights.Has(auth.ScopeAuthorize) {
			return scopeMissing(auth.ScopeAuthorize)
		}
		if _, err = readQuery(r, nil); err == nil {
			err = next(w, r, identity)
		}
		if err != nil && !errors.Is(err, errSessionEnded) && errors.Is(s.inSession(r.Context(), identity), errSessionEnded) {
			return errSessionEnded // which comes before anything that is wrong with the request
		}
		return err
	})
}

// asUser admits users, and services with the scope that act for a user.
func (s *server) asUser(scope auth.Scope, next userHandler) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		identity, err := s.identify(r)
		if err != nil {
			return err
		}
		return forUser(w, r, identity, scope, next)
	})
}

// forUser passes a request on in the name of its user, or of the user for whom a service with the
// scope acts.
func forUser(w http.ResponseWriter, r *http.Request, identity auth.Identity, scope auth.Scope, next userHandler) error {
	if identity.Service == "" {
		return next(w, withCaller(r, identity), identity.UserID)
	}
	if !identity.Rights.Has(scope) {
		return scopeMissing(scope)
	}
	named := r.Header.Values(headerOnBehalfOf)
	if len(named) != 1 || !strings.HasPrefix(named[0], clerksync.UserPrefix) || named[0] == clerksync.UserPrefix || !clerksync.Storable(named[0]) {
		return errUsersOnly
	}
	identity.UserID = named[0]
	return next(w, withCaller(r, identity), identity.UserID)
}

type callerKey struct{}

// withCaller returns the request with its caller, for [callerOf].
func withCaller(r *http.Request, caller auth.Identity) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, caller))
}

// callerOf returns the caller of a route for users. Of a service, UserID is the user for whom it
// acts.
func callerOf(r *http.Request) auth.Identity {
	caller, _ := r.Context().Value(callerKey{}).(auth.Identity) // every route for users has one
	return caller
}

// activeWorkspace returns the workspace that a caller means who names none: the organization that
// the user has chosen in the session. A service has none, so it must name one.
func activeWorkspace(caller auth.Identity) (string, error) {
	switch {
	case caller.Service != "":
		return "", badRequest("workspace_id is missing.")
	case caller.ActiveOrganization == "":
		return "", errNoActiveWorkspace
	default:
		return caller.ActiveOrganization, nil
	}
}

// inAllWorkspaces refuses services that are limited to some workspaces, on a route about no single
// one.
func inAllWorkspaces(next userHandler) userHandler {
	return func(w http.ResponseWriter, r *http.Request, userID string) error {
		if !callerOf(r).Rights.Everywhere() {
			return errWorkspaceNotListed
		}
		return next(w, r, userID)
	}
}

// asMember admits members of the workspace in the path whose role has the permission. Services that
// act for a member need the scope.
func (s *server) asMember(scope auth.Scope, permission string, next memberHandler) http.Handler {
	return s.asUser(scope, s.member(permission, next))
}

// member passes a request on if its user is a member of the workspace in the path whose role has
// the permission.
func (s *server) member(permission string, next memberHandler) userHandler {
	return func(w http.ResponseWriter, r *http.Request, _ string) error {
		v, err := s.judge(r, callerOf(r), mux.Vars(r)["workspace_id"], permission)
		if err != nil {
			return err
		}
		return admit(w, r, v, next)
	}
}

// admit passes a request on if its verdict allows it. Every answer to a member says how fresh it
// is, including a refusal.
func admit(w http.ResponseWriter, r *http.Request, v verdict, next memberHandler) error {
	writeFreshness(w, v.standing, v.decision)
	if v.refused != nil {
		return v.refused
	}
	return next(w, r, v.standing)
}

// asManager admits callers who may change the membership in the path. They need members:manage, or
// ownPermission for their own membership. A member who has left, or an admin who has stepped down,
// may repeat that very request with its key, and gets the first answer again.
func (s *server) asManager(ownPermission string, next memberHandler) http.Handler {
	return s.asUser(auth.ScopeCommands, func(w http.ResponseWriter, r *http.Request, userID string) error {
		permission := policy.MembersManage
		own := mux.Vars(r)["user_id"] == userID
		if own {
			permission = ownPermission
		}
		v, err := s.judge(r, callerOf(r), mux.Vars(r)["workspace_id"], permission)
		if err != nil {
			return err
		}
		if v.refused != nil && own && mayBeOwnDoing(r.Method, v) {
			again, err := s.asksAgain(w, r, userID)
			if err != nil {
				return err
			}
			if again {
				return next(w, r, v.standing) // the Commander only repeats the answer
			}
		}
		return admit(w, r, v, next)
	})
}

// mayBeOwnDoing reports whether the caller's own command with this method can be the reason of the
// refusal. After changing their own role, callers may lack the permission. After leaving, they
// aren't members.
func mayBeOwnDoing(method string, v verdict) bool {
	if v.standing.User.Refusal() != "" {
		return false
	}
	switch v.decision.Reason {
	case clerksync.ReasonPermissionMissing, clerksync.ReasonUnknownPermission, clerksync.ReasonUnknownRole:
		return method == http.MethodPatch
	case clerksync.ReasonNotAMember, clerksync.ReasonWorkspaceDeleted:
		return method == http.MethodDelete
	default:
		return false
	}
}

// asksAgain reports whether the request repeats a completed command of the user about themselves,
// by which the user has lost the permission. A request that can't be read counts as no repeat.
// asksAgain leaves the body readable.
func (s *server) asksAgain(w http.ResponseWriter, r *http.Request, userID string) (bool, error) {
	if s.cfg.Commander == nil || r.Header.Get(headerKey) == "" {
		return false, nil
	}
	var raw []byte
	if r.Method != http.MethodDelete {
		var err error
		if raw, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommandBody)); err != nil {
			return false, nil //nolint:nilerr // see above
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
	}
	key, err := keyOf(r, userID, raw)
	if err != nil {
		return false, nil //nolint:nilerr // see above
	}
	return store.OwnCommand(r.Context(), s.cfg.DB, userID, key)
}

// handle turns a handler's error into a problem.
func (s *server) handle(next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := proven(w, r, func() error { return next(w, r) }); err != nil {
			s.fail(w, r, err)
		}
	})
}

// knownEvery is the least time between two questions to the mirror about users whom unverified
// tokens name.
const knownEvery = 200 * time.Millisecond

// knownUser reports whether the mirror knows a member with this id. Because callers can invent ids,
// it answers false when it is asked too often.
func (s *server) knownUser(ctx context.Context, userID string) bool {
	if !clerksync.ValidID(clerksync.UserPrefix, userID) || !s.known.Allow() {
		return false
	}
	memberships, err := store.MembershipsOfUser(ctx, s.cfg.DB, userID, store.Position{}, 1)
	return err == nil && len(memberships) > 0
}
