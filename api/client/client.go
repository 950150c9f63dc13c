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
	// defaultTimeout leaves room for a stranger's look-up at Clerk, which takes at most a second. A
	// decision about a member takes a millisecond.
	defaultTimeout = 2 * time.Second

	// defaultRetries is enough for the restart of one instance, or for a connection that was closed
	// at the wrong moment.
	defaultRetries = 1

	// retryPause is the time between two tries.
	retryPause = 50 * time.Millisecond

	// maxAnswer bounds an answer. It is many times the size of a hundred decisions with the longest
	// ids.
	maxAnswer = 1 << 20
)

// Config configures a client.
type Config struct {
	// URL is Rolecall's address, such as https://rolecall.internal:8080, without a path of the API.
	// Required.
	URL string
	// ServiceToken is the service's own token, rcs_…. Authorize, AuthorizeMany, Explain,
	// Follow and RequireFor need it. Require doesn't: it passes on the user's token.
	ServiceToken string
	// HTTPClient sends the requests. Redirects are never followed, whatever its own policy is.
	// Defaults to a client with http.DefaultTransport.
	HTTPClient *http.Client
	// Timeout bounds one decision, retries included. Defaults to 2 seconds.
	Timeout time.Duration
	// Retries is how often the client tries again after a network error, a 502, a 503 or a 504.
	// This is safe, because a question changes nothing. Defaults to 1; a negative number means
	// none.
	Retries int
	// MaxStaleness bounds the age of Decision.AsOf, in whole seconds: an older decision allows
	// nothing. AsOf is when the last clean, complete sweep began, also for workspaces made since;
	// before the first one, it is the workspace's creation. MaxStaleness must be longer than
	// Rolecall's time between two sweeps plus the time that a sweep takes. Defaults to no limit.
	MaxStaleness time.Duration
	// Failed is called with the error for which the middleware answered 503, such as an *Error when
	// Rolecall refused ServiceToken. It is also called with an *Error for two refusals that are this
	// program's fault: of a permission that no role has (Reason "unknown_permission"), and of a
	// workspace to which ServiceToken doesn't extend ("workspace_not_listed"). It must be safe for
	// concurrent use. Optional.
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
	} else if path := strings.TrimRight(base.Path, "/"); strings.HasSuffix(path, "/v1") || strings.HasSuffix(path, "/v1/authorize") || strings.HasSuffix(path, "/v1/explain") || strings.HasSuffix(path, "/v1/changes") {
		problems = append(problems, errors.New("client: URL must not have a path of the API"))
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

// Client asks Rolecall for decisions and their explanations, and follows its changes. It is safe
// for concurrent use.
type Client struct {
	cfg     Config
	http    *http.Client
	patient *http.Client // without a time-out of its own
	base    string
}

// New returns a client, or an error that names every invalid field. It makes no request.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	own := *cfg.HTTPClient
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // another server must not decide
	patient := own
	patient.Timeout = 0
	return &Client{cfg: cfg, http: &own, patient: &patient, base: strings.TrimRight(cfg.URL, "/")}, nil
}

// Error is an answer of Rolecall, or of another server at URL, without a decision.
type Error struct {
	Status int    // the HTTP status
	Type   string // such as "urn:rolecall:problem:unauthenticated"; other servers have another one, or none
	Title  string
	Reason string // only of a refusal

	RequestID string // by which Rolecall's log names the question; "" if the server doesn't say

	retryAfter time.Duration // for how long the server asked not to be asked
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("answered %d", e.Status)
	if e.Type != "" {
		text += fmt.Sprintf(": %s (%s)", e.Title, e.Type)
	}
	if e.RequestID != "" {
		text += ", request " + e.RequestID
	}
	return text
}

// ErrNotADecision means that an answer of 200 wasn't the decision that was asked for: the server at
// URL isn't Rolecall.
var ErrNotADecision = errors.New("the answer isn't the decision that was asked for")
