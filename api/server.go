package api

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/time/rate"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/api/policy"
	"github.com/callmine/rolecall/internal/bounded"
	"github.com/callmine/rolecall/internal/changefeed"
	"github.com/callmine/rolecall/internal/replica"
	"github.com/callmine/rolecall/internal/request"
	"github.com/callmine/rolecall/internal/rounds"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// requestTimeout bounds one request. Most take a millisecond. A request that takes longer is
// waiting for an unreachable database, and gets a 503.
const requestTimeout = 5 * time.Second

//go:embed openapi.yaml
var openAPI []byte

// Config configures the handler.
type Config struct {
	// DB is the database from which the mirror is read. It should serve nothing else, so that reads
	// never wait for writes. Required.
	DB store.DBTX
	// DecideDB is the database from which decisions are read, so that they never wait for other
	// reads. Its sessions should keep plans (pgpool.Needs.ByKey); two are enough. Defaults to DB.
	DecideDB store.DBTX
	// Replicas answer, in place of DB and DecideDB, requests that change nothing. Optional.
	Replicas *replica.Set
	// Snapshot runs read on a database that stands still meanwhile, for explanations. Defaults to DB
	// itself, which is right only if DB is a transaction that sees one moment.
	Snapshot func(ctx context.Context, read func(store.DBTX) error) error
	// EventDB is the database to which services' entries of the audit log are appended, because DB
	// may be read-only. Defaults to DB.
	EventDB store.DBTX
	// Appended is called with each such entry, before its sender learns of it. Optional.
	Appended func(clerksync.LoggedEntry)
	// Authenticator identifies callers. Required.
	Authenticator interface {
		Authenticate(ctx context.Context, r *http.Request) (auth.Identity, error)
	}
	// Policy returns the policy in force, which says what each role may do. It may return another
	// policy at any time, but must not change a returned one. It must be safe for concurrent use.
	// Required.
	Policy func() *policy.Policy
	// Feed has the changes that services follow. Optional: without it, the route answers 503.
	Feed *changefeed.Feed
	// Cookies reads the sessions of browsers at the doors of forward authentication. The zero value
	// reads none.
	Cookies auth.SessionCookies
	// SignInURL is the page to which those doors send browsers without a session. Optional: without
	// it, they are refused.
	SignInURL *url.URL
	// Logger gets a line for each error that isn't the caller's fault, and for each refused caller.
	// Required.
	Logger *slog.Logger
	// Decided is called with the reason of each decision. Optional.
	Decided func(clerksync.Reason)
	// Stale is called for each request that is refused because the mirror was compared with Clerk
	// longer ago than it demands. Optional.
	Stale func()
	// Refused is called with the reason of each refusal of credentials. Optional.
	Refused func(auth.Reason)
	// Entries watches whether users are admitted. Defaults to the handler's own watch.
	Entries *auth.Entries
	// Refresher looks up strangers at Clerk before they are refused. Optional: without it,
	// strangers are refused at once.
	Refresher Refresher
	// Commander carries out commands. Optional: without it, commands are refused.
	Commander Commander
	// BrowserOrigins are the origins whose pages may call the API from a browser, compared exactly
	// with the header Origin. Defaults to none.
	BrowserOrigins []string
	// ExportStall is how long the reader of an export may take for a batch of 200 entries before it
	// is cut off. Defaults to 30 seconds.
	ExportStall time.Duration
	// RevisionWait is how long a request waits for min_revision. Defaults to one second.
	RevisionWait time.Duration
	// PublicURL is the address under which clients reach the handler, such as
	// https://rolecall.example.com. The metadata of AuthZEN name it. Optional: without it, there are
	// no metadata.
	PublicURL string
	// Now is the clock by which the mirror and tokens age. An appended event may not be in its
	// future. Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Decided == nil {
		c.Decided = func(clerksync.Reason) {}
	}
	if c.Refused == nil {
		c.Refused = func(auth.Reason) {}
	}
	if c.Stale == nil {
		c.Stale = func() {}
	}
	if c.Appended == nil {
		c.Appended = func(clerksync.LoggedEntry) {}
	}
	if c.Entries == nil {
		c.Entries = auth.NewEntries(c.Now)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.DecideDB == nil {
		c.DecideDB = c.DB
	}
	if c.EventDB == nil {
		c.EventDB = c.DB
	}
	if c.Snapshot == nil {
		c.Snapshot = func(_ context.Context, read func(store.DBTX) error) error { return read(c.DB) }
	}
	if c.RevisionWait == 0 {
		c.RevisionWait = defaultRevisionWait
	}
	if c.ExportStall == 0 {
		c.ExportStall = defaultExportStall
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.DB == nil:
		return errors.New("api: DB is missing")
	case c.Authenticator == nil:
		return errors.New("api: Authenticator is missing")
	case c.Policy == nil || len(c.Policy().Grants) == 0:
		return errors.New("api: Policy is missing or empty: every request would be refused")
	case c.Logger == nil:
		return errors.New("api: Logger is missing")
	default:
		return nil
	}
}

type server struct {
	cfg      Config
	reader   *rounds.Rounds[store.Pair, clerksync.Standing] // of all that decisions need
	roles    *store.StandingReader                          // that reader's own, for what it remembers of roles
	replicas []replicaReader                                // of Config.Replicas, in their order
	// eventShares lets each organization use only one of EventDB's connections at a time.
	eventShares *store.Shares
	// readShares lets each user read one page at a time. Else a single user could keep all of DB's
	// connections, and Postgres, busy with the most expensive list.
	readShares *store.Shares
	feedShares *store.Shares // of each service
	followers  followers
	commands   *bounded.Limiter
	callers    *auth.Monitor
	known      *rate.Limiter // limits knownUser
}

// NewHandler returns the handler of all routes under /v1 and /access/v1, of /openapi.yaml and of
// AuthZEN's metadata.
func NewHandler(cfg Config) (http.Handler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	roles := store.NewStandingReader(cfg.DecideDB)
	s := &server{
		cfg: cfg, reader: newReader(roles), roles: roles, replicas: newReplicaReaders(cfg.Replicas),
		commands: bounded.NewLimiter(commandsPerUser, commandsWindow, cfg.Now), eventShares: store.NewShares(1), readShares: store.NewShares(1),
		feedShares: store.NewShares(feedReads), followers: followers{now: map[string]int{}},
		known: rate.NewLimiter(rate.Every(knownEvery), 5),
	}
	s.callers = auth.NewMonitor(auth.MonitorConfig{
		Authenticator: cfg.Authenticator, Entries: cfg.Entries, Refused: cfg.Refused, KnownUser: s.knownUser, Logger: cfg.Logger, Now: cfg.Now,
	})
	routes := s.router()
	return s.guard(s.extAuthzDoor(echoRequestID(s.plainPaths(s.crossOrigin(routes, shortcut(routes)))))), nil
}

// busiest is the path and the name of the route that products ask for each of their requests, and
// busiestDoor that of the proxies' door.
const (
	busiest     = "/v1/authorize"
	busiestDoor = "/v1/forward-auth"
)

// shortcut passes each request to its route. The busiest ones don't wait until the router has tried
// its expressions, and has copied the request for variables that the path doesn't have.
func shortcut(routes *mux.Router) http.Handler {
	direct := map[string]http.Handler{}
	for _, path := range []string{busiest, busiestDoor} {
		direct[path] = routes.Get(path).GetHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler := direct[r.URL.Path]; handler != nil && r.Method == http.MethodGet {
			handler.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

// router is the table of contents of the API. Each line is a route with its callers and its
// handler. HEAD works where GET does: net/http sends no body then.
func (s *server) router() *mux.Router {
	r := mux.NewRouter().SkipClean(true) // it tries the routes one after the other
	r.Handle(busiest, s.fromReplicas(s.asUser(auth.ScopeAuthorize, s.authorize))).Methods(http.MethodGet, http.MethodHead).Name(busiest)
	r.Handle(busiest, s.fromReplicas(s.asService(auth.ScopeAuthorize, withoutQuery(s.authorizeMany)))).Methods(http.MethodPost)
	r.Handle("/v1/explain", s.asService(auth.ScopeAuthorize, withoutQuery(s.explain))).Methods(http.MethodPost)
	r.Handle(busiestDoor, s.forwardAuth()).Methods(http.MethodGet, http.MethodHead).Name(busiestDoor)
	r.Handle("/v1/me", s.fromReplicas(s.asUser(auth.ScopeRead, inAllWorkspaces(s.me)))).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/v1/workspaces/{workspace_id}", s.fromReplicas(s.asReader(policy.None, s.workspace))).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/v1/workspaces", s.asUser(auth.ScopeCommands, inAllWorkspaces(withoutQuery(s.createWorkspace)))).Methods(http.MethodPost)
	r.Handle("/v1/workspaces/{workspace_id}", s.asMember(auth.ScopeCommands, policy.WorkspaceUpdate, s.renameWorkspace)).Methods(http.MethodPatch)
	r.Handle("/v1/workspaces/{workspace_id}/members/{user_id}", s.asManager(policy.MembersManage, s.setRole)).Methods(http.MethodPatch)
	r.Handle("/v1/workspaces/{workspace_id}/members/{user_id}", s.asManager(policy.None, s.removeMember)).Methods(http.MethodDelete)
	r.Handle("/v1/workspaces/{workspace_id}/invitations", s.asMember(auth.ScopeCommands, policy.MembersManage, s.invite)).Methods(http.MethodPost)
	r.Handle("/v1/workspaces/{workspace_id}/invitations/{invitation_id}", s.asMember(auth.ScopeCommands, policy.MembersManage, s.revoke)).Methods(http.MethodDelete)
	r.Handle("/v1/workspaces/{workspace_id}/me", s.fromReplicas(s.asMember(auth.ScopeRead, policy.None, s.workspaceMe))).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/v1/workspaces/{workspace_id}/members", s.fromReplicas(s.asReader(policy.MembersRead, s.members))).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/v1/workspaces/{workspace_id}/invitations", s.fromReplicas(s.asReader(policy.MembersManage, s.invitations))).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/v1/workspaces/{workspace_id}/audit", s.asReader(policy.AuditRead, s.audit)).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/v1/workspaces/{workspace_id}/audit/export", s.asReader(policy.AuditRead, s.exportAudit)).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/v1/workspaces/{workspace_id}/audit", s.asService(auth.ScopeAuditAppend, withoutQuery(s.appendAudit))).Methods(http.MethodPost)
	r.Handle(pathChanges, s.asService(auth.ScopeRead, s.changes)).Methods(http.MethodGet, http.MethodHead)
	r.Handle(pathEvaluation, s.fromReplicas(s.asCaller(s.evaluation))).Methods(http.MethodPost)
	r.Handle(pathEvaluations, s.fromReplicas(s.asCaller(s.evaluations))).Methods(http.MethodPost)
	r.Handle(pathSubjectSearch, s.fromReplicas(s.asService(auth.ScopeAuthorize, withoutQuery(s.searchSubject)))).Methods(http.MethodPost)
	r.Handle(pathResourceSearch, s.fromReplicas(s.asCaller(s.searchResource))).Methods(http.MethodPost)
	r.Handle(pathActionSearch, s.fromReplicas(s.asCaller(s.searchAction))).Methods(http.MethodPost)
	r.Handle(pathAuthZENMetadata, s.handle(s.metadata)).Methods(http.MethodGet, http.MethodHead)
	r.Handle("/openapi.yaml", http.HandlerFunc(serveOpenAPI)).Methods(http.MethodGet, http.MethodHead)
	r.NotFoundHandler = s.failWith(errUnknownRoute)
	r.MethodNotAllowedHandler = s.methodNotAllowed(r)
	nameRoutes(r)
	return r
}

// nameRoutes lets each route tell the record of its requests which template their path has.
func nameRoutes(routes *mux.Router) {
	_ = routes.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error { // only this function returns errors
		next := route.GetHandler()
		template, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		route.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request.Of(r.Context()).SetRoute(template)
			next.ServeHTTP(w, r)
		})
		return nil
	})
}

// guard bounds every request, keeps answers out of caches and turns a panic into a problem.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares the very value
					panic(p)
				}
				s.cfg.Logger.ErrorContext(r.Context(), "request panicked", "panic", p, "stack", string(debug.Stack()))
				writeProblem(w, r, errInternal)
			}
		}()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.URL.Path == pathChanges { // it bounds each of its steps
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// methodNotAllowed answers 405 and lists the methods of the path.
func (s *server) methodNotAllowed(routes *mux.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, method := range methodsOf(routes, r) {
			w.Header().Add("Allow", method)
		}
		refusal := errMethodNotAllowed
		if r.URL.Path+"/" == workspacesPath {
			refusal = errListInMe
		}
		writeProblem(w, r, refusal)
	})
}

// methodsOf returns the methods of a request's path; none if no route has the path.
func methodsOf(routes *mux.Router, r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		var match mux.RouteMatch // with an error for the handlers of 404 and 405, which match, too
		if routes.Match(probe, &match) && match.MatchErr == nil {
			methods = append(methods, method)
		}
	}
	return methods
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI) // the caller has gone: nothing is left to do
}
