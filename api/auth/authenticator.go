package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Identity identifies the caller: a user or a service, never both. It has no role or permission of
// a session token, because those are as old as the token. Only the mirror decides.
type Identity struct {
	// UserID is the user's Clerk id (user_…), or "" for a service.
	UserID string
	// Service is the service's configured name, or "" for a user.
	Service string
	// Rights are what the service may do; nil for a user, and for a service without scopes and
	// workspaces.
	Rights *Rights
	// SessionID is the user's Clerk session (sess_…), or "" for a service and for a template's
	// token that names none.
	SessionID string
	// ActiveOrganization is the organization (org_…) that the user has chosen in the session, or ""
	// if there is none. It says which organization a request means, and not that the user is a
	// member.
	ActiveOrganization string
	// Impersonator is the id of the actor who acts as the user, as given to Clerk, or "" if the
	// user acts. It is usually a user's id, of this instance or of another one. It is printable
	// ASCII.
	Impersonator string
	// ImpersonatorSession is the actor's own session (sess_…), or "" if the token names none.
	ImpersonatorSession string
}

// defaultRememberedTokens is the usual number of verified tokens kept in memory. Tokens live for a
// minute. With at most this many active users a minute, each token is verified only once. At
// roughly 500 bytes each they take 25 MB.
const defaultRememberedTokens = 50_000

// Config is what an Authenticator needs.
type Config struct {
	// Issuer is the exact "iss" of the instance's session tokens, such as
	// https://clerk.example.com. Required, without a slash at its end: Clerk's issuers have none.
	// The comparison is exact.
	Issuer string
	// JWKSURL is where the instance publishes its signing keys. A server that answers in its place
	// can sign in as any user: use https outside a development machine. Defaults to Issuer +
	// "/.well-known/jwks.json".
	JWKSURL string
	// AuthorizedParties are the origins whose tokens are accepted, compared exactly with "azp". If
	// there are any, a token without azp is refused. Empty means that azp isn't checked.
	AuthorizedParties []string
	// AcceptTemplateTokens also admits tokens of JWT templates, which may have an audience, and name
	// no session. Those that name neither a session nor an impersonator may have any lifetime.
	// Every token that the instance signs about a user for another service then counts as that
	// user. OAuth and OIDC tokens stay refused if Rolecall can recognize them by their claims or
	// type. Defaults to false.
	AcceptTemplateTokens bool
	// ServiceTokens are the services' tokens, as ParseServiceTokens returns them. Empty admits no
	// service.
	ServiceTokens []ServiceToken
	// HTTPClient fetches the key set. Required. Its redirect policy isn't used: redirects aren't
	// followed.
	HTTPClient *http.Client
	// Logger gets a line for each failed refresh of the key set. Callers don't notice the failure
	// while older keys may be used. Required.
	Logger *slog.Logger
	// MaxRememberedTokens bounds the verified tokens kept in memory. Defaults to 50,000.
	MaxRememberedTokens int
	// Now is the clock by which tokens and keys age. Defaults to time.Now.
	Now func() time.Time
}

// withDefaults returns the configuration with every field set that has a default.
func (c Config) withDefaults() Config {
	if c.JWKSURL == "" {
		c.JWKSURL = c.Issuer + "/.well-known/jwks.json"
	}
	if c.MaxRememberedTokens == 0 {
		c.MaxRememberedTokens = defaultRememberedTokens
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.AuthorizedParties = slices.Clone(c.AuthorizedParties)
	c.ServiceTokens = slices.Clone(c.ServiceTokens)
	return c
}

// validate returns an error with one sentence about each invalid field.
func (c Config) validate() error {
	var problems []error
	check := func(ok bool, sentence string) {
		if !ok {
			problems = append(problems, errors.New(sentence))
		}
	}
	check(webURL(c.Issuer), "authenticator: Issuer must be an absolute http or https URL")
	check(!strings.HasSuffix(c.Issuer, "/"), "authenticator: Issuer must not end with a slash, no token's issuer does")
	check(webURL(c.JWKSURL), "authenticator: JWKSURL must be an absolute http or https URL")
	check(!slices.Contains(c.AuthorizedParties, ""), "authenticator: AuthorizedParties must not contain an empty origin")
	check(c.HTTPClient != nil, "authenticator: HTTPClient must be set")
	check(c.Logger != nil, "authenticator: Logger must be set")
	check(c.MaxRememberedTokens > 1, "authenticator: MaxRememberedTokens must be at least 2")
	return errors.Join(append(problems, validateServiceTokens(c.ServiceTokens))...)
}

// webURL reports whether raw is an absolute http or https URL with a host.
func webURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Authenticator identifies the sender of a request, from its Authorization header alone. It is safe
// for concurrent use.
type Authenticator struct {
	services serviceTokens
	keys     *keyCache
	users    *tokenVerifier
}

// NewAuthenticator returns an authenticator, or an error that names every invalid field. It makes
// no request: keys are fetched for the first user's token, so that a service starts while Clerk is
// down.
func NewAuthenticator(config Config) (*Authenticator, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	keys := newKeyCache(config)
	return &Authenticator{
		services: config.ServiceTokens,
		keys:     keys,
		users:    newTokenVerifier(config, keys),
	}, nil
}

// Authenticate returns the identity behind the request's Authorization header. If there is none, it
// returns an *Error, which matches ErrUnauthenticated. If a user's token can't be judged without a
// key set, the error matches ErrKeysUnavailable. Authenticate waits for a key set until ctx ends,
// and for three seconds at most.
func (a *Authenticator) Authenticate(ctx context.Context, r *http.Request) (Identity, error) {
	token, err := bearerToken(r.Header)
	if err != nil {
		return Identity{}, err
	}
	if strings.HasPrefix(token, serviceTokenPrefix) {
		return a.services.identify(token)
	}
	return a.users.identify(ctx, token)
}

// FetchKeys fetches the key set unless there is a usable one, and returns the number of keys. It
// waits until ctx ends; the fetch itself may last up to three seconds. A process calls it when it
// starts, so that its first caller needn't wait.
func (a *Authenticator) FetchKeys(ctx context.Context) (int, error) { return a.keys.ready(ctx) }

// Close ends a running refresh of the key set, waits for its goroutine, and lets no other begin.
// Authenticate then uses the keys that are there.
func (a *Authenticator) Close() { a.keys.close() }
