package api

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gorilla/mux"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// Permissions of the policy that routes ask for themselves.
const (
	permissionNone          = "" // membership alone
	permissionMembersRead   = "members:read"
	permissionMembersManage = "members:manage"
)

// requestTimeout bounds one request, most of which take a millisecond: what waits for longer waits for a database
// that is away, and is told so.
const requestTimeout = 5 * time.Second

//go:embed openapi.yaml
var openAPI []byte

// Config configures the handler.
type Config struct {
	// DB is where the mirror is read. It should serve nothing else, so that reading never waits for writing.
	DB store.DBTX
	// Authenticator tells who is calling.
	Authenticator interface {
		Authenticate(ctx context.Context, r *http.Request) (Identity, error)
	}
	// Grants is the policy: which role may do what.
	Grants clerksync.Grants
	// Logger gets one line for each answer that is our own fault.
	Logger *slog.Logger
	// Decided is told the reason of each decision. Optional.
	Decided func(clerksync.Reason)
	// Refused is told why credentials were refused. Optional.
	Refused func(AuthReason)
	// Refresher asks Clerk about somebody whom the mirror doesn't know as a member, before they are refused. Optional:
	// without one, refusals stand at once.
	Refresher Refresher
	// Refreshed is told what came of asking, as each RefreshOutcome says. Optional. It must not block, and must be
	// safe for concurrent use.
	Refreshed func(RefreshOutcome)
	// Now is the clock by which answers of the Refresher are remembered. Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Decided == nil {
		c.Decided = func(clerksync.Reason) {}
	}
	if c.Refused == nil {
		c.Refused = func(AuthReason) {}
	}
	if c.Refreshed == nil {
		c.Refreshed = func(RefreshOutcome) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil:
		return errors.New("api: DB is missing")
	case c.Authenticator == nil:
		return errors.New("api: Authenticator is missing")
	case len(c.Grants) == 0:
		return errors.New("api: Grants are missing: nobody could do anything")
	case c.Logger == nil:
		return errors.New("api: Logger is missing")
	default:
		return nil
	}
}

type server struct {
	cfg     Config
	lookups *lookups // nil without a Refresher
}

// NewHandler returns the handler of all routes under /v1 and of /openapi.yaml.
func NewHandler(cfg Config) (http.Handler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &server{cfg: cfg, lookups: newLookups(cfg)}
	return s.guard(s.router()), nil
}

// router is the table of contents of the API: one line a route, who may use it, and what answers.
func (s *server) router() *mux.Router {
	r := mux.NewRouter().SkipClean(true)
	r.Handle("/v1/me", s.asUser(s.me)).Methods(http.MethodGet)
	r.Handle("/v1/workspaces/{workspace_id}", s.asMember(permissionNone, s.workspace)).Methods(http.MethodGet)
	r.Handle("/v1/workspaces/{workspace_id}/me", s.asMember(permissionNone, s.workspaceMe)).Methods(http.MethodGet)
	r.Handle("/v1/workspaces/{workspace_id}/members", s.asMember(permissionMembersRead, s.members)).Methods(http.MethodGet)
	r.Handle("/v1/workspaces/{workspace_id}/invitations", s.asMember(permissionMembersManage, s.invitations)).Methods(http.MethodGet)
	r.Handle("/v1/authorize", s.asUser(s.authorize)).Methods(http.MethodGet)
	r.Handle("/v1/authorize", s.asService(s.authorizeMany)).Methods(http.MethodPost)
	r.Handle("/openapi.yaml", http.HandlerFunc(serveOpenAPI)).Methods(http.MethodGet)
	r.NotFoundHandler = s.failWith(errNotFound)
	r.MethodNotAllowedHandler = s.methodNotAllowed(r)
	return r
}

// guard bounds every request, keeps answers out of caches and turns a panic into a problem.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.cfg.Logger.ErrorContext(r.Context(), "request panicked", "method", r.Method, "panic", p, "stack", string(debug.Stack()))
				writeProblem(w, errInternal)
			}
		}()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// methodNotAllowed answers 405 and names the methods that the path has.
func (s *server) methodNotAllowed(routes *mux.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			probe := r.Clone(r.Context())
			probe.Method = method
			var match mux.RouteMatch // without an error: this very handler is a match, too
			if routes.Match(probe, &match) && match.MatchErr == nil {
				w.Header().Add("Allow", method)
			}
		}
		writeProblem(w, errMethodNotAllowed)
	})
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI) // the caller has gone: nothing is left to do
}
