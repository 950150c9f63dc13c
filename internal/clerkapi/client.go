package clerkapi

import (
	"fmt"
	"net/http"

	"github.com/clerk/clerk-sdk-go/v2"
)

// Client calls the Backend API of one Clerk instance. It is safe for concurrent use. All callers of
// an instance must share one, or several with one [Config.Lease]. Make one with [New].
type Client struct {
	backend   clerk.Backend
	budget    *budget
	transport http.RoundTripper
	observe   func(Call)
}

// New returns a client. It makes no call. It fails if the configuration is invalid; the error
// doesn't contain the key. The caller must close the client.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure client for Clerk: %w", err)
	}
	var shared *leases
	if cfg.Lease != nil {
		shared = newLeases(cfg.Lease, cfg.Logger)
	}
	budget := newBudget(cfg.CallsPerSecond, shared)
	// The layers from the caller to the wire: retries, then budget and breaker, then one whole
	// answer.
	var transport http.RoundTripper = &retrier{policy: newRetryPolicy(), next: &gate{ //nolint:bodyclose // no response comes from here
		budget:  budget,
		breaker: newBreaker(cfg.Logger),
		logger:  cfg.Logger,
		next:    &attempt{next: traced(cfg), secret: cfg.SecretKey},
	}}
	if cfg.ReadOnly {
		transport = &reader{next: transport}
	}
	return &Client{
		backend: clerk.NewBackend(&clerk.BackendConfig{
			URL:        &cfg.URL,
			Key:        &cfg.SecretKey,
			HTTPClient: &http.Client{Transport: transport}, // without a time-out: each attempt has one
		}),
		budget:    budget,
		transport: cfg.Transport,
		observe:   cfg.Observe,
	}, nil
}

// Close closes the connections that are idle, and gives back what is leased. Calls under way go on.
func (c *Client) Close() {
	c.budget.close()
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
