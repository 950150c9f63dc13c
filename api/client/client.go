package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// defaultTimeout leaves room for Rolecall's own look-up at Clerk of somebody who just joined, which takes a second at
	// most. A decision about a member takes a millisecond.
	defaultTimeout = 2 * time.Second

	// defaultRetries bridges the restart of one instance, or a connection that was closed at the wrong moment.
	defaultRetries = 1

	// retryPause is between two tries.
	retryPause = 50 * time.Millisecond

	// maxAnswer bounds what is read of an answer: a hundred decisions of the longest ids fit many times over.
	maxAnswer = 1 << 20
)

// Config configures a client.
type Config struct {
	// URL is where Rolecall is, such as https://rolecall.internal:8080, without a path of the API.
	URL string
	// ServiceToken is the service's own token, rcs_…. It is needed to ask about others (Authorize, AuthorizeMany, RequireFor)
	// and not to pass on what users send (Require).
	ServiceToken string
	// HTTPClient sends the requests. Its own redirects are never followed. Defaults to one with http.DefaultTransport.
	HTTPClient *http.Client
	// Timeout bounds one decision, retries included. Defaults to 2 seconds.
	Timeout time.Duration
	// Retries is how often a decision is asked for again after a network error, a 502, a 503 or a 504. Asking changes
	// nothing, so that is safe. Defaults to 1; a negative number is none.
	Retries int
	// MaxStaleness refuses what a mirror would allow that hasn't been compared with Clerk for longer, in whole seconds: as_of is when
	// the last clean sweep of everything began, for workspaces made since, too; only before there was one it is the workspace's
	// creation. It must be longer than Rolecall's time between two sweeps and what a sweep takes. Defaults to no limit.
	MaxStaleness time.Duration
	// Failed is told why the middleware answered 503, such as by the *Error of a Rolecall that refused ServiceToken. Optional.
	// It must be safe for concurrent use.
	Failed func(r *http.Request, err error)
}

func (c Config) withDefaults() Config {
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{}
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Retries == 0 {
		c.Retries = defaultRetries
	}
	if c.Failed == nil {
		c.Failed = func(*http.Request, error) {}
	}
	return c
}

func (c Config) validate() error {
	var problems []error
	base, err := url.Parse(c.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		problems = append(problems, errors.New("client: URL must be an absolute http or https URL without a query"))
	} else if path := strings.TrimRight(base.Path, "/"); strings.HasSuffix(path, "/v1") || strings.HasSuffix(path, "/v1/authorize") {
		problems = append(problems, errors.New("client: URL must not have a path of the API")) // all would be a 404 there, as strangers are
	}
	if c.ServiceToken != "" && !strings.HasPrefix(c.ServiceToken, serviceTokenPrefix) {
		problems = append(problems, errors.New("client: ServiceToken must begin with rcs_"))
	}
	if c.Timeout < 0 {
		problems = append(problems, errors.New("client: Timeout must not be negative"))
	}
	if c.MaxStaleness < 0 || c.MaxStaleness%time.Second != 0 {
		problems = append(problems, errors.New("client: MaxStaleness must be whole seconds"))
	}
	return errors.Join(problems...)
}

// serviceTokenPrefix begins every service's token.
const serviceTokenPrefix = "rcs_"

// Client asks Rolecall for decisions. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
	base string
}

// New returns a client, or an error that names every invalid field. It makes no request.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	own := *cfg.HTTPClient
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // whom it leads to decides nothing
	return &Client{cfg: cfg, http: &own, base: strings.TrimRight(cfg.URL, "/")}, nil
}

// Error is a problem that Rolecall answered instead of decisions.
type Error struct {
	Status int    // of HTTP
	Type   string // such as "urn:rolecall:problem:unauthenticated"; whatever else answered has another, or none
	Title  string
	Reason string // of a refusal
}

// Error implements error.
func (e *Error) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("answered %d", e.Status)
	}
	return fmt.Sprintf("answered %d: %s (%s)", e.Status, e.Title, e.Type)
}

// ErrNotADecision means that an answer with a success wasn't what was asked for: something else than Rolecall is at URL.
var ErrNotADecision = errors.New("the answer isn't the decision that was asked for")
