package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"go.opentelemetry.io/otel/trace"

	"github.com/callmine/rolecall/internal/clerkapi"
)

// RequireClerk returns an error if there is no secret key, without which Clerk can't be asked.
func (c Config) RequireClerk() error {
	if c.SecretKey == "" {
		return errors.New("CLERK_SECRET_KEY is missing: the secret key of the Clerk instance")
	}
	return nil
}

// OpenClerk returns a client of Clerk's Backend API with the configured address, key and rate. The
// client shares its budget with all that lease their calls at the same place. It traces its calls
// if tracers isn't nil.
func (c Config) OpenClerk(lease clerkapi.Lease, logger *slog.Logger, observe func(clerkapi.Call), tracers trace.TracerProvider) (*clerkapi.Client, error) {
	client, err := clerkapi.New(clerkapi.Config{
		URL: c.APIURL, SecretKey: c.SecretKey, CallsPerSecond: c.ClerkRate, ReadOnly: c.ClerkReadOnly,
		Lease: lease, Logger: logger, Observe: observe, Tracers: tracers,
	})
	if err != nil {
		return nil, fmt.Errorf("CLERK_API_URL, CLERK_SECRET_KEY, ROLECALL_CLERK_RATE: %w", err)
	}
	return client, nil
}

// SignInPage returns the sign-in page of forward authentication, or nil if there is none.
func (c Config) SignInPage() (*url.URL, error) {
	if c.SignInURL == "" {
		return nil, nil //nolint:nilnil // no page, and no fault
	}
	page, err := url.Parse(c.SignInURL)
	switch {
	case err != nil || page.Host == "" || page.Scheme != "https" && (page.Scheme != "http" || !isThisMachine(page.Hostname())):
		return nil, wrong("ROLECALL_SIGN_IN_URL", "it is not an address that begins with https://: write one such as https://accounts.example.com/sign-in")
	case page.User != nil || page.Fragment != "":
		return nil, wrong("ROLECALL_SIGN_IN_URL", "it has a user or a fragment: write scheme, host, path and perhaps a query")
	case page.Query().Has("redirect_url"):
		return nil, wrong("ROLECALL_SIGN_IN_URL", "it has a redirect_url of its own: leave that out, each request sets it")
	}
	if len(c.AuthorizedParties) == 0 {
		return nil, wrong("ROLECALL_SIGN_IN_URL", "it would send every browser there again and again, because no cookie is read: set CLERK_AUTHORIZED_PARTIES to the origins of your pages")
	}
	return page, nil
}
