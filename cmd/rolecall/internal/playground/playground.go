package playground

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/simulator"
)

// Config is what the playground needs.
type Config struct {
	Rolecall     string               // its API's URL
	ServiceToken string               // of the product's own service, with the scope audit:append
	Console      string               // the console's URL, for a link
	Simulator    *simulator.Simulator // where people sign up and sign in, as on Clerk's own pages
	Cast         simulator.Cast       // whom the simulator invented
	AdminLacks   []string             // those of [Permissions] that the policy doesn't grant to admins
	Logger       *slog.Logger         // defaults to none

	// Of the instruments only:
	Ledger   func(ctx context.Context, messageIDs []string) ([]Applied, error) // what became of webhooks at Rolecall
	Sweep    func(ctx context.Context) (string, error)                         // sweeps, and says in words what that repaired
	Terminal func(ctx context.Context) (string, error)                         // lines to paste into a terminal
}

// Decision is Rolecall's answer to the question whether a person may do something.
type Decision struct {
	At                                      time.Time
	Person, UserID, WorkspaceID, Permission string
	Status                                  int // or unanswered
	Reason                                  string
	Took                                    time.Duration
}

// Applied is what became of a webhook at Rolecall.
type Applied struct {
	MessageID  string
	State      string // as the ledger names it: received, applied, superseded, ignored or quarantined
	ReceivedAt time.Time
	AppliedAt  time.Time // when its end was decided; zero before
	Changes    []string  // what changed, in words: the audit entries that it caused, or the command of which it tells
}

//go:embed assets templates
var files embed.FS

// Playground serves the product and its instruments.
type Playground struct {
	cfg      Config
	rolecall rolecall
	sessions sessions
	shelves  shelves
	history  *history
	pages    map[string]*template.Template // by name
	mux      *http.ServeMux
	handler  http.Handler
}

// New returns a playground, or an error that says what is missing.
func New(cfg Config) (*Playground, error) {
	if cfg.Rolecall == "" || cfg.Simulator == nil {
		return nil, errors.New("playground: Rolecall and Simulator must be set")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Playground{cfg: cfg, rolecall: rolecall{cfg.Rolecall, &http.Client{Timeout: patience}}, mux: http.NewServeMux(), history: newHistory()}
	p.shelves.byID = map[string]shelf{}
	p.stock()
	p.pages = p.parse()
	p.mux.Handle("GET /assets/{file}", http.FileServerFS(files))
	for _, window := range []string{"", "/left", "/right"} {
		for _, route := range routes() {
			p.mux.HandleFunc(route.method+" "+window+route.path, p.serve(window, route))
		}
	}
	p.instruments()
	p.handler = guarded(http.NewCrossOriginProtection().Handler(p.mux))
	return p, nil
}

// ServeHTTP implements http.Handler.
func (p *Playground) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// guarded refuses foreign names for this machine, under which another site's script could read the
// pages. It tells browsers to load and run nothing but the playground's own files.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if host != "localhost" && !net.ParseIP(host).IsLoopback() {
			http.Error(w, "Open the playground as http://127.0.0.1 or http://localhost.", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10) // more than any form has
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "+
			"frame-src 'self'; frame-ancestors 'self'; form-action 'self'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
