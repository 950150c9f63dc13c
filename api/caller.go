package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// headerOnBehalfOf is where a service names the user that it acts for.
const headerOnBehalfOf = "Rolecall-On-Behalf-Of"

// The kinds of handlers, by the caller that they take. A returned error becomes a problem: a
// handler that returns one has written nothing.
type (
	serviceHandler func(w http.ResponseWriter, r *http.Request, service string) error
	userHandler    func(w http.ResponseWriter, r *http.Request, userID string) error
	memberHandler  func(w http.ResponseWriter, r *http.Request, member clerksync.Standing) error
)

// asService admits services only.
func (s *server) asService(next serviceHandler) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		identity, err := s.callers.Authenticate(r)
		if err != nil {
			return err
		}
		if identity.Service == "" {
			return errServicesOnly
		}
		return next(w, r, identity.Service)
	})
}

// asUser admits users, and services that act for one.
func (s *server) asUser(next userHandler) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		identity, err := s.callers.Authenticate(r)
		if err != nil {
			return err
		}
		if identity.Service == "" {
			return next(w, r, identity.UserID)
		}
		named := r.Header.Values(headerOnBehalfOf)
		if len(named) != 1 || !strings.HasPrefix(named[0], clerksync.UserPrefix) || named[0] == clerksync.UserPrefix || !clerksync.Storable(named[0]) {
			return errUsersOnly
		}
		return next(w, r.WithContext(context.WithValue(r.Context(), serviceKey{}, identity.Service)), named[0])
	})
}

type serviceKey struct{}

// serviceOf returns the service that acts for the user, or "" if the user asks themselves.
func serviceOf(r *http.Request) string {
	service, _ := r.Context().Value(serviceKey{}).(string) // or none
	return service
}

// asMember admits members of the workspace in the path whose role has the permission.
func (s *server) asMember(permission string, next memberHandler) http.Handler {
	return s.asUser(func(w http.ResponseWriter, r *http.Request, userID string) error {
		v, err := s.judge(r, userID, mux.Vars(r)["workspace_id"], permission)
		if err != nil {
			return err
		}
		return admit(w, r, v, next)
	})
}

// admit hands a request on if its verdict lets it. The answer says how fresh it is, also a refusal.
func admit(w http.ResponseWriter, r *http.Request, v verdict, next memberHandler) error {
	writeFreshness(w, v.standing, v.decision)
	if v.refused != nil {
		return v.refused
	}
	return next(w, r, v.standing)
}

// asManager admits callers who may change the membership in the path: members with members:manage.
// The own membership takes the permission for oneself instead. A repeat by a caller who may not ask
// any more is admitted only if the repeated command itself took that right: a member left, or an
// admin stepped down.
func (s *server) asManager(forOneself string, next memberHandler) http.Handler {
	return s.asUser(func(w http.ResponseWriter, r *http.Request, userID string) error {
		permission, oneself := policy.MembersManage, mux.Vars(r)["user_id"] == userID
		if oneself {
			permission = forOneself
		}
		v, err := s.judge(r, userID, mux.Vars(r)["workspace_id"], permission)
		if err != nil {
			return err
		}
		if v.refused != nil && oneself && mayBeOwnDoing(r.Method, v) {
			again, err := s.asksAgain(w, r, userID)
			if err != nil {
				return err
			}
			if again {
				return next(w, r, v.standing) // the Commander doesn't carry it out again
			}
		}
		return admit(w, r, v, next)
	})
}

// mayBeOwnDoing reports whether a command with the method, about its own actor, can have caused the
// refusal. A role change leaves a member whose role lacks the permission; leaving leaves no member.
func mayBeOwnDoing(method string, v verdict) bool {
	if v.standing.User.Refusal() != "" {
		return false
	}
	switch v.decision.Reason {
	case clerksync.ReasonPermissionMissing, clerksync.ReasonUnknownRole:
		return method == http.MethodPatch
	case clerksync.ReasonNotAMember, clerksync.ReasonWorkspaceDeleted:
		return method == http.MethodDelete
	default:
		return false
	}
}

// asksAgain reports whether the request repeats one that the user made about themselves, and that
// took effect: this is why they may not make it any more. A request that can't be read repeats
// none. The body can be read again.
func (s *server) asksAgain(w http.ResponseWriter, r *http.Request, userID string) (bool, error) {
	if s.cfg.Commander == nil || r.Header.Get(headerKey) == "" {
		return false, nil
	}
	var said []byte
	if r.Method != http.MethodDelete {
		var err error
		if said, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommandBody)); err != nil {
			return false, nil //nolint:nilerr // see above
		}
		r.Body = io.NopCloser(bytes.NewReader(said))
	}
	key, err := keyOf(r, userID, said)
	if err != nil {
		return false, nil //nolint:nilerr // see above
	}
	return store.OwnCommand(r.Context(), s.cfg.DB, userID, key)
}

// handle turns a handler's error into a problem.
func (s *server) handle(next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := next(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// knownEvery bounds how often the mirror is asked about users of tokens that may be invented.
const knownEvery = 200 * time.Millisecond

// knownUser reports whether the mirror knows a member with this id, which may be invented. If it is
// asked too often, it says no.
func (s *server) knownUser(ctx context.Context, userID string) bool {
	if !clerksync.ValidID(clerksync.UserPrefix, userID) || !s.known.Allow() {
		return false
	}
	seats, err := store.Seats(ctx, s.cfg.DB, userID)
	return err == nil && len(seats) > 0
}
