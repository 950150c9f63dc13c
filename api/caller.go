package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// headerOnBehalfOf is where a service names the user that it acts for.
const headerOnBehalfOf = "Rolecall-On-Behalf-Of"

// Headers of every answer about a workspace.
const (
	headerRevision = "Rolecall-Revision" // counts the workspace's changes
	headerAsOf     = "Rolecall-As-Of"    // RFC 3339: see sync.Standing; absent if never
)

// The kinds of handlers, by what is known of the caller. A returned error becomes a problem; after one, nothing may
// have been written.
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
		if len(named) != 1 || !strings.HasPrefix(named[0], userIDPrefix) || named[0] == userIDPrefix || !storable(named[0]) {
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
		writeFreshness(w, v.standing, v.decision)
		if v.refused != nil {
			return v.refused
		}
		return next(w, r, v.standing)
	})
}

// knownEvery bounds how often the mirror is asked about users of tokens that may be invented.
const knownEvery = 200 * time.Millisecond

// knownUser reports whether the mirror knows a member of this id, which may be invented. It denies that of all if it is asked too
// often.
func (s *server) knownUser(ctx context.Context, userID string) bool {
	if !clerkID(userIDPrefix, userID) || !s.known.Allow() {
		return false
	}
	seats, err := store.Seats(ctx, s.cfg.DB, userID)
	return err == nil && len(seats) > 0
}

// handle turns a handler's error into a problem.
func (s *server) handle(next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := next(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// standing reads what the mirror knows about a user in a workspace, after a look-up at Clerk if that isn't a membership.
func (s *server) standing(ctx context.Context, userID, workspaceID string) (clerksync.Standing, error) {
	pair := store.Pair{UserID: userID, OrganizationID: workspaceID}
	if !storable(workspaceID) { // no workspace has such an id: ask about none
		pair.OrganizationID = ""
	}
	standings, err := s.freshStandings(ctx, pair)
	if err != nil {
		return clerksync.Standing{}, err
	}
	return standings[0], nil
}

// decide decides whether a user may do something in a workspace, by the mirror as it is.
func (s *server) decide(ctx context.Context, userID, workspaceID, permission string) (clerksync.Decision, error) {
	standing, err := s.standing(ctx, userID, workspaceID)
	if err != nil {
		return clerksync.Decision{}, err
	}
	decision := s.cfg.Grants().Decide(standing, permission)
	s.cfg.Decided(decision.Reason)
	return decision, nil
}

// writeFreshness tells a member how fresh the answer is, also a refusal. Whoever isn't one, or may do nothing at all,
// learns nothing of the workspace.
func writeFreshness(w http.ResponseWriter, standing clerksync.Standing, decision clerksync.Decision) {
	if decision.Reason == clerksync.ReasonNotAMember || decision.Reason == clerksync.ReasonWorkspaceDeleted || standing.User.Refusal() != "" {
		return
	}
	w.Header().Set(headerRevision, strconv.FormatInt(standing.Revision, 10))
	if !standing.AsOf.IsZero() {
		w.Header().Set(headerAsOf, standing.AsOf.UTC().Format(time.RFC3339Nano))
	}
}

// maxID bounds ids and permissions in requests; Clerk's ids have some 32 characters.
const maxID = 255

// storable reports whether a text from a request can be an id or a permission: Postgres refuses NUL and what isn't UTF-8.
func storable(s string) bool {
	return s != "" && len(s) <= maxID && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// The prefixes of Clerk's ids.
const (
	userIDPrefix         = "user_"
	organizationIDPrefix = "org_"
)

// clerkID reports whether Clerk could have made the id: its prefix and up to 64 letters and digits. Any other one names
// nothing at Clerk, and might change the address that it becomes a part of.
func clerkID(prefix, id string) bool {
	rest, found := strings.CutPrefix(id, prefix)
	if !found || rest == "" || len(rest) > 64 {
		return false
	}
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return true
}
