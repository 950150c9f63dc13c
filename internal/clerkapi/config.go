package clerkapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"go.opentelemetry.io/otel/trace"

	clerksync "github.com/callmine/rolecall/sync"
)

// Config describes a [Client].
type Config struct {
	// URL is where the Backend API is, with its version. It must be https, unless the host is this
	// machine: the secret key travels to it. Defaults to https://api.clerk.com/v1.
	URL string

	// SecretKey is the instance's secret key, "sk_test_…" or "sk_live_…". It is required.
	SecretKey string

	// Transport sends the requests. Defaults to a clone of http.DefaultTransport.
	Transport http.RoundTripper

	// CallsPerSecond is how many background calls are sent, retries included. Defaults to 0: a
	// fifth of Clerk's limit for the instance. Until [Client.Instance] has learned the kind of
	// instance, the limit of a development instance counts. Interactive calls go by Clerk's limit,
	// and not by this rate. But a rate above a fifth of that limit raises the limit: it says that
	// Clerk allows this instance five times the rate.
	CallsPerSecond float64

	// Lease lets the client share its budget with other clients of the instance: it sends only calls
	// that Lease granted. Defaults to nil: no other client calls this instance.
	Lease Lease

	// ReadOnly refuses every request but a GET before it is sent. By default, the client's own
	// methods decide what is sent.
	ReadOnly bool

	// Logger gets a line when the circuit breaker opens or closes, and when Clerk's rate limit was
	// met. It is required.
	Logger *slog.Logger

	// Tracers makes a span of each attempt within a traced request. Clerk isn't told the trace.
	// Optional.
	Tracers trace.TracerProvider

	// Observe is called with every call when it is over; it must not block. It may be nil.
	Observe func(Call)
}

// Lease tells what a client sent, and asks for more calls. An error means that nothing is known:
// the client then sends few calls of its own. Whoever grants calls counts them from then on, until
// one window after they were sent, or could have been sent last.
type Lease func(context.Context, clerksync.CallDemand) (clerksync.CallLease, error)

// Call describes a call that is over, for metrics.
type Call struct {
	Route    string        // the path's pattern, such as "/users/{user_id}", after its method if that isn't GET; never an id
	Status   int           // of Clerk's last answer; 0 if there was none
	Took     time.Duration // waiting for the budget and retries included
	Attempts int           // requests sent; 0 if the budget or the circuit breaker refused the call
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = clerk.APIURL
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	}
	if c.Observe == nil {
		c.Observe = func(Call) {}
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if err := validateURL(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("invalid URL: %w", err))
	}
	switch {
	case c.SecretKey == "":
		errs = append(errs, errors.New("no SecretKey"))
	case strings.ContainsFunc(c.SecretKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		errs = append(errs, errors.New("invalid SecretKey: it contains a blank or another character that no key has"))
	}
	if c.CallsPerSecond < 0 || math.IsNaN(c.CallsPerSecond) || math.IsInf(c.CallsPerSecond, 0) {
		errs = append(errs, fmt.Errorf("invalid CallsPerSecond %v, want 0 or more", c.CallsPerSecond))
	}
	if c.Logger == nil {
		errs = append(errs, errors.New("no Logger"))
	}
	return errors.Join(errs...)
}

// validateURL names no part of the URL in its errors: it may contain a password.
func validateURL(raw string) error {
	parsed, err := url.Parse(raw)
	switch {
	case err != nil || parsed.Host == "":
		return errors.New("it must be absolute, such as " + clerk.APIURL)
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return errors.New("it must have a host and a path only")
	case parsed.Scheme == "https":
		return nil
	case parsed.Scheme == "http" && isLoopback(parsed.Hostname()):
		return nil
	default:
		return errors.New("it must be https, unless the host is this machine")
	}
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
