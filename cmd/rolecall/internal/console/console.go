package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/cmd/rolecall/internal/support"
)

// Config configures a console.
type Config struct {
	// Pool has the console's own sessions.
	Pool *pgxpool.Pool
	// Operators are the tokens with which operators sign in. Without any, the console is read-only
	// and served on loopback addresses only.
	Operators auth.OperatorTokens
	// Loopback says that only this machine reaches the listener.
	Loopback bool
	// Situation returns how well the mirror follows Clerk.
	Situation func() (health.Situation, error)
	// Instance returns the Clerk instance whose deliveries are ours; "" if it isn't known.
	Instance func() string
	// Own returns what this process knows of itself.
	Own func() health.Own
	// Policy returns the policy of this process's settings.
	Policy func(ctx context.Context) support.ConfiguredPolicy
	Logger *slog.Logger
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
}

func (c Config) validate() error {
	for _, missing := range []struct {
		absent bool
		name   string
	}{
		{c.Pool == nil, "Pool"}, {c.Situation == nil, "Situation"}, {c.Own == nil, "Own"}, {c.Instance == nil, "Instance"}, {c.Policy == nil, "Policy"}, {c.Logger == nil, "Logger"},
	} {
		if missing.absent {
			return errors.New("console: " + missing.name + " is missing")
		}
	}
	return nil
}

// Console answers the requests of operators' browsers.
type Console struct {
	cfg       Config
	templates templates
	mux       *http.ServeMux
	sections  []section
	turns     turns
	exports   turns // of downloads
	jobReads  turns // of River UI
	streams   *streams

	crossOrigin *http.CrossOriginProtection
	tries       *tries
	refusals    *refusals
}

// New returns a console. [Console.Close] ends it.
func New(cfg Config) (*Console, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Console{
		cfg: cfg, mux: http.NewServeMux(), turns: newTurns(cfg.Pool.Config().MaxConns), exports: newTurns(1), jobReads: newTurns(1), streams: newStreams(),
		crossOrigin: http.NewCrossOriginProtection(), tries: newTries(cfg.Now), refusals: newRefusals(cfg.Now),
	}
	var err error
	if c.templates, err = parseTemplates(cfg.Now); err != nil {
		return nil, err
	}
	return c, c.route()
}

// Close ends the streams of open pages. Requests under way end by themselves.
func (c *Console) Close() { c.streams.close() }

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guardBrowser(w.Header())
	// Reading a form keeps what is too large for the memory on the disk, whatever the method.
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	c.mux.ServeHTTP(w, r)
}

// route registers all paths.
func (c *Console) route() error {
	jobs, err := c.jobsPages()
	if err != nil {
		return err
	}
	c.mux.Handle(jobsPath+"/", c.admitted(c.jobs(jobs)))
	c.assets()
	for _, p := range c.pages() {
		admitted := c.admitted
		if p.still != nil {
			admitted = c.manual
		}
		c.mux.Handle("GET "+p.path, admitted(c.show(p)))
	}
	for _, a := range c.actions() {
		c.mux.Handle("POST "+a.path, c.admitted(c.act(a)))
	}
	for _, d := range c.downloads() {
		c.mux.Handle("GET "+d.path, c.open(fromHere(c.ifAdmitted(c.send(d)))))
	}
	c.mux.Handle("GET "+signInPath, c.open(c.showSignIn))
	c.mux.Handle("POST "+signInPath, c.open(c.signIn))
	c.mux.Handle("GET /events", c.open(fromHere(c.ifAdmitted(c.events))))
	c.mux.Handle("/", c.admitted(func(_ http.ResponseWriter, _ *visit) error { return errNotFound }))
	c.sections = c.reachable()
	return nil
}

// guardBrowser sets the headers by which a browser keeps other sites out of the pages.
func guardBrowser(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
