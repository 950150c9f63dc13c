// Package config reads the settings of Rolecall from the environment and judges them.
//
// It guarantees that every fault is named at once, each with its setting and its cure, and that no
// secret is printed. `config`, `serve` and `doctor` go by the same judgement.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/webhooks"
)

// Config is everything that can be configured, from the environment and the files that it names for
// secrets. The tag "secret" redacts a value where it is printed ("all" of it, or what isn't part of
// a Postgres "url", a list of "urls" or a "web" address); the values of all but the last may come
// from files. "help" is a value's line in .env.example and in docs/configuration.md, and "needed"
// says there what doesn't work without it.
type Config struct {
	DatabaseURL       string        `env:"DATABASE_URL" secret:"url" needed:"everything" help:"Postgres to use, as postgres://… or keywords (host=… dbname=…); rolecall dev starts one if this is empty"`
	ReadDatabaseURL   string        `env:"ROLECALL_READ_DATABASE_URL" secret:"url" help:"URL of the same database with a role that may only read; the API reads through it; default: DATABASE_URL"`
	ReplicaURLs       []string      `env:"ROLECALL_REPLICA_DATABASE_URLS" secret:"urls" help:"URLs of streaming replicas that may answer reads, comma-separated, each of one server; a comma in a password is %2C; default: only the primary answers"`
	ReplicaMaxLag     time.Duration `env:"ROLECALL_REPLICA_MAX_LAG" envDefault:"250ms" help:"how long after the primary a replica's answers enforce a removal at the latest, from 50ms to 10s; what isn't proven to be within it is answered by the primary"`
	DirectDatabaseURL string        `env:"ROLECALL_DIRECT_DATABASE_URL" secret:"url" help:"the same database without a transaction pooler; needed if DATABASE_URL leads to one"`
	MaxConnections    int           `env:"ROLECALL_MAX_CONNECTIONS" help:"the most connections that one process opens to Postgres; default: pool_max_conns of the URL, else as docs/operate.md says (Size the connections)"`
	SigningSecrets    []string      `env:"CLERK_WEBHOOK_SIGNING_SECRET" secret:"all" needed:"serve (not with --no-web)" help:"signing secret of the webhook endpoint (whsec_…); during a rotation both, comma-separated"`
	Issuer            string        `env:"CLERK_ISSUER" secret:"web" needed:"serve (not with --no-web)" help:"exact issuer of session tokens: the Frontend API URL, such as https://clerk.example.com"`
	JWKSURL           string        `env:"CLERK_JWKS_URL" secret:"web" help:"address of Clerk's signing keys; default: the issuer's /.well-known/jwks.json"`
	SecretKey         string        `env:"CLERK_SECRET_KEY" secret:"all" needed:"sweeps, commands, backfill and reconcile" help:"secret key of the Clerk instance (sk_…); without it, Rolecall never notices a lost webhook"`
	APIURL            string        `env:"CLERK_API_URL" envDefault:"https://api.clerk.com/v1" secret:"web" help:"address of Clerk's Backend API"`
	ClerkReadOnly     bool          `env:"ROLECALL_CLERK_READ_ONLY" envDefault:"false" help:"change nothing at Clerk: commands are refused, and only GET requests are sent there"`
	InstanceID        string        `env:"CLERK_INSTANCE_ID" help:"Clerk instance whose webhooks are applied (ins_…); those of others, and the examples that Clerk's dashboard sends, are quarantined; default: the secret key's instance"`
	AuthorizedParties []string      `env:"CLERK_AUTHORIZED_PARTIES" secret:"web" help:"origins whose session tokens are accepted (azp), comma-separated; empty accepts all"`
	TemplateTokens    bool          `env:"ROLECALL_ACCEPT_TEMPLATE_TOKENS" envDefault:"false" help:"accept a token of a JWT template like a session token of its user, even if it was made for another service"`
	ListenAddr        string        `env:"ROLECALL_LISTEN_ADDR" envDefault:":8080" help:"address of the webhooks and the API"`
	PublicURL         string        `env:"ROLECALL_PUBLIC_URL" secret:"web" help:"address under which clients reach the API, such as https://rolecall.example.com; without it, there are no metadata of AuthZEN"`
	AdminAddr         string        `env:"ROLECALL_ADMIN_ADDR" envDefault:"127.0.0.1:9090" help:"address of /healthz, /readyz, /metrics and the console"`
	StopDelay         time.Duration `env:"ROLECALL_STOP_DELAY" envDefault:"5s" help:"how long a process still answers after SIGTERM, while /readyz is red, such as 90s, 1h or 7d; 0 for none"`
	ServiceTokens     string        `env:"ROLECALL_SERVICE_TOKEN_HASHES" secret:"all" help:"services and what they may do, comma-separated: name:SHA-256 of the token in hex/scopes=authorize+read+commands+audit:append, of which a service needs few; to limit it further: /workspaces=org_1+org_2"`
	OperatorTokens    string        `env:"ROLECALL_OPERATOR_TOKEN_HASHES" secret:"all" help:"operators who may sign in to the console, comma-separated: name:SHA-256 of the token in hex; without any, the console is read-only and served on a loopback address only"`
	CORS              bool          `env:"ROLECALL_CORS" envDefault:"false" help:"let pages of CLERK_AUTHORIZED_PARTIES call the API from the browser (CORS)"`
	SweepInterval     time.Duration `env:"ROLECALL_SWEEP_INTERVAL" envDefault:"1h" help:"time between two sweeps, such as 90s, 1h or 7d; one runs at the start; 0 disables sweeps"`
	MaxRemovalRatio   float64       `env:"ROLECALL_MAX_REMOVAL_RATIO" envDefault:"0.05" help:"share of all memberships that a sweep may remove without confirmation; ten are always allowed"`
	ClerkRate         float64       `env:"ROLECALL_CLERK_RATE" envDefault:"0" help:"calls per second that sweeps make to Clerk, those of all processes together; 0 takes a fifth of Clerk's limit, which your application shares. Look-ups of strangers may use half of this rate; commands are exempt"`
	BodyRetention     time.Duration `env:"ROLECALL_BODY_RETENTION" envDefault:"2160h" help:"how long the bodies of webhooks are kept, such as 90s, 1h or 7d; 0 keeps them for ever"`
	LedgerRetention   time.Duration `env:"ROLECALL_LEDGER_RETENTION" envDefault:"400d" help:"how long webhooks that ended, and reports of sweeps, are kept in the ledger, such as 400d; at least 7d; 0 keeps them for ever"`
	SessionRetention  time.Duration `env:"ROLECALL_SESSION_RETENTION" envDefault:"8d" help:"how long ends of sessions are kept, which refuse these sessions' tokens; at least 8d; longer if Clerk lets impersonated sessions live for more than a week; 0 keeps them for ever"`
	CommandRetention  time.Duration `env:"ROLECALL_COMMAND_RETENTION" envDefault:"24h" help:"how long commands and their answers are kept, such as 24h or 30d; at least 24h; 0 keeps them for ever. An Idempotency-Key counts for 24 hours in any case"`
	JobRetention      time.Duration `env:"ROLECALL_JOB_RETENTION" envDefault:"7d" help:"how long jobs that failed for good or were cancelled are kept, such as 7d; at least 1h; 0 keeps them for ever"`
	DoneJobRetention  time.Duration `env:"ROLECALL_DONE_JOB_RETENTION" envDefault:"10m" help:"how long jobs that are done are kept, such as 10m; at least 1m; 0 keeps them for ever, and the queue grows. What they did is in the ledger"`
	AuditRetention    time.Duration `env:"ROLECALL_AUDIT_RETENTION" envDefault:"0" help:"how long entries stay in the audit log that no longer hold, such as 400d; at least 30d; 0 keeps them for ever"`
	PolicyFile        string        `env:"ROLECALL_POLICY_FILE" help:"YAML file of the roles and their permissions; default: the built-in policy"`
	SignInURL         string        `env:"ROLECALL_SIGN_IN_URL" secret:"web" help:"sign-in page to which forward authentication sends browsers without a session; default: they get a 401"`
	LogLevel          slog.Level    `env:"ROLECALL_LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`
	LogFormat         LogFormat     `env:"ROLECALL_LOG_FORMAT" help:"json or text; default: json for serve, text for all other commands"`
	AccessLog         bool          `env:"ROLECALL_ACCESS_LOG" envDefault:"false" help:"log a line for each request: method, path without query, status, duration, id"`
}

// Parts says which sides of the service a process runs.
type Parts struct{ Web, Workers bool }

// RequireServing returns an error for each wrong setting, and for each missing one that serving
// needs.
func (c Config) RequireServing(which Parts) error {
	var errs []error
	for _, m := range c.missing(which) {
		errs = append(errs, m)
	}
	return errors.Join(append(errs, c.check(which))...)
}

// missingError names a setting that serving needs and that isn't given.
type missingError struct{ setting, what string }

// Error implements error.
func (m missingError) Error() string { return m.setting + " is missing: " + m.what }

// missing lists the missing settings that serving needs.
func (c Config) missing(which Parts) (out []missingError) {
	need := func(present bool, name, what string) {
		if !present {
			out = append(out, missingError{name, what})
		}
	}
	need(c.DatabaseURL != "", "DATABASE_URL", "the Postgres to use, as postgres://user:password@host:5432/database or as keywords")
	need(!which.Web || len(c.SigningSecrets) > 0, "CLERK_WEBHOOK_SIGNING_SECRET",
		"the signing secret of the webhook endpoint (whsec_…), from its page in Clerk's dashboard")
	need(!which.Web || c.Issuer != "", "CLERK_ISSUER", "the issuer of session tokens: the Frontend API URL in Clerk's dashboard")
	return out
}

// check returns an error for each wrong setting. A missing setting is not wrong.
func (c Config) check(which Parts) error {
	errs := []error{c.checkQuotes(), c.checkDatabases(which), c.checkReplicas(), c.checkAddresses(which), c.checkClerk(), c.checkRetention()}
	if _, err := c.ParsedOperatorTokens(); err != nil {
		errs = append(errs, err)
	}
	if which.Web {
		_, err := c.ParsedServiceTokens()
		errs = append(errs, err, c.CheckIssuer(), c.checkPublicURL())
	}
	if which.Web && len(c.SigningSecrets) > 0 {
		_, err := c.Verifier()
		errs = append(errs, err)
	}
	for _, party := range c.AuthorizedParties {
		if u, err := url.Parse(party); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != party {
			errs = append(errs, wrong("CLERK_AUTHORIZED_PARTIES", "%s is not an origin: write scheme and host only, such as https://app.example.com",
				shown(party)))
		}
	}
	if c.CORS && len(c.AuthorizedParties) == 0 {
		errs = append(errs, wrong("ROLECALL_CORS", "it lets no page call: set CLERK_AUTHORIZED_PARTIES to the origins of your pages, or write false"))
	}
	if c.MaxConnections < 0 {
		errs = append(errs, errors.New("ROLECALL_MAX_CONNECTIONS must be positive; leave it empty for the default"))
	}
	if c.StopDelay < 0 {
		errs = append(errs, errors.New("ROLECALL_STOP_DELAY must not be negative: write 0 for none"))
	}
	if _, err := c.SignInPage(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.CheckSweeping())...)
}

// ParsedServiceTokens returns the services, and what they may do.
func (c Config) ParsedServiceTokens() ([]auth.ServiceToken, error) {
	tokens, err := auth.ParseServiceTokens(c.ServiceTokens)
	if err != nil {
		return nil, fmt.Errorf("ROLECALL_SERVICE_TOKEN_HASHES: %w", err)
	}
	return tokens, nil
}

// ParsedOperatorTokens returns the operators who may sign in to the console.
func (c Config) ParsedOperatorTokens() (auth.OperatorTokens, error) {
	tokens, err := auth.ParseOperatorTokens(c.OperatorTokens)
	if err != nil {
		return nil, fmt.Errorf("ROLECALL_OPERATOR_TOKEN_HASHES: %w", err)
	}
	return tokens, nil
}

// warnOfServices returns a sentence for each service with a token without scopes.
func (c Config) warnOfServices() (warnings []string) {
	tokens, err := c.ParsedServiceTokens()
	if err != nil {
		return nil // the check says so
	}
	for _, token := range tokens {
		if token.Rights.Scoped() {
			continue
		}
		warning := fmt.Sprintf("ROLECALL_SERVICE_TOKEN_HASHES: a token of %q has no scopes, and may do everything for every user: "+
			"write after its hash what it needs, such as /scopes=authorize", token.Name)
		if !slices.Contains(warnings, warning) {
			warnings = append(warnings, warning)
		}
	}
	return warnings
}

// Verifier returns the verifier of webhooks' signatures.
func (c Config) Verifier() (*webhooks.Verifier, error) {
	verifier, err := webhooks.NewVerifier(c.SigningSecrets)
	if err != nil {
		return nil, fmt.Errorf("CLERK_WEBHOOK_SIGNING_SECRET: %w", err)
	}
	return verifier, nil
}

// CheckSweeping returns an error for each wrong setting of sweeps.
func (c Config) CheckSweeping() error {
	var errs []error
	if c.InstanceID != "" && !strings.HasPrefix(c.InstanceID, "ins_") {
		errs = append(errs, errors.New("CLERK_INSTANCE_ID is not the id of an instance: write one that begins with ins_, or leave it empty to take the secret key's"))
	}
	if c.SweepInterval < 0 {
		errs = append(errs, errors.New("ROLECALL_SWEEP_INTERVAL must not be negative: write 0 to disable sweeps"))
	}
	if !(c.MaxRemovalRatio > 0 && c.MaxRemovalRatio <= 1) {
		errs = append(errs, errors.New("ROLECALL_MAX_REMOVAL_RATIO must be above 0 and at most 1: write 0.05 for 5 %"))
	}
	if !(c.ClerkRate >= 0) || math.IsInf(c.ClerkRate, 0) {
		errs = append(errs, errors.New("ROLECALL_CLERK_RATE must be 0 or a positive number: write 0 for the default"))
	}
	return errors.Join(errs...)
}

// SweepsEvery is how often a serving process of this configuration compares the mirror with Clerk;
// 0 for never.
func (c Config) SweepsEvery() time.Duration {
	if c.SecretKey == "" {
		return 0
	}
	return c.SweepInterval
}

// Setting is one field of the configuration as people see it.
type Setting struct{ Name, Value, secret, fallback, needed, help string }

// Settings lists all fields with their values redacted.
func (c Config) Settings() []Setting {
	out := c.settingsInClear()
	for i := range out {
		out[i].Value = redact(out[i].secret, out[i].Value)
	}
	return out
}

// settingsInClear lists all fields as they are.
func (c Config) settingsInClear() []Setting {
	v := reflect.ValueOf(c)
	out := make([]Setting, v.NumField())
	for i := range out {
		field := v.Type().Field(i)
		value := fmt.Sprint(v.Field(i).Interface())
		if n, ok := reflect.TypeAssert[int](v.Field(i)); ok && n == 0 {
			value = "" // not set
		}
		if list, ok := reflect.TypeAssert[[]string](v.Field(i)); ok {
			value = strings.Join(list, ",")
		}
		out[i] = Setting{
			Name: field.Tag.Get("env"), Value: value, secret: field.Tag.Get("secret"),
			fallback: field.Tag.Get("envDefault"), needed: field.Tag.Get("needed"), help: field.Tag.Get("help"),
		}
	}
	return out
}

// redact hides the secret parts of a value.
func redact(how, value string) string {
	switch {
	case value == "":
		return ""
	case how == "":
		return hide(value)
	case how == "url":
		return redactURL(value)
	case how == "urls":
		parts := strings.Split(value, ",")
		for i := range parts {
			parts[i] = redactURL(parts[i])
		}
		return strings.Join(parts, ",")
	case how == "web":
		parts := strings.Split(value, ",")
		for i := range parts {
			parts[i] = redactWeb(parts[i])
		}
		return strings.Join(parts, ",")
	default:
		return redacted
	}
}

// redacted is printed in the place of a secret.
const redacted = "[redacted]"

// redactURL hides each part of a Postgres URL that might be a secret. It hides the whole value if
// that may not be a Postgres URL.
func redactURL(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || !strings.HasPrefix(value, u.Scheme+"://") {
		return redacted
	}
	_, rest, _ := strings.Cut(value, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 && strings.Contains(rest[end:], "@") {
		return redacted // a password that isn't escaped may go on in the path, the query or the fragment
	}
	query := u.Query()
	for name := range query {
		if !slices.Contains([]string{"host", "hostaddr", "port", "dbname", "user", "sslmode", "application_name"}, name) {
			query.Set(name, "xxxxx") // as in [url.URL.Redacted]
		}
	}
	u.RawQuery, u.Fragment, u.RawFragment = query.Encode(), "", ""
	return u.Redacted()
}

// Description says what a setting is, when it is needed, and its default.
func (s Setting) Description() string {
	text := s.help
	if s.needed != "" {
		text = fmt.Sprintf("Required for %s: %s", s.needed, text)
	}
	if s.fallback != "" {
		text += "; default: " + s.fallback
	}
	return text
}

// Documented lists all settings as documents do: those that a new service needs come first.
func Documented() []Setting {
	var needed, optional []Setting
	for _, s := range (Config{}).Settings() {
		if s.needed != "" {
			needed = append(needed, s)
		} else {
			optional = append(optional, s)
		}
	}
	return append(needed, optional...)
}

// ExampleFile writes .env.example: every setting with its help, and its default where there is one.
func ExampleFile() string {
	var out strings.Builder
	out.WriteString("# Rolecall's whole configuration, as variables of the environment. `rolecall dev` needs none of it,\n# and is the only command that also reads a file .env. Secrets may also come from files: write\n# NAME_FILE=/path in the place of NAME, as docs/configuration.md says.\n")
	needed := true
	for _, s := range Documented() {
		switch {
		case s.needed != "":
			fmt.Fprintf(&out, "\n# REQUIRED for %s:\n", s.needed)
		case needed:
			out.WriteString("\n# The rest is optional.\n\n")
			needed = false
		default:
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "# %s\n%s=%s\n", s.help, s.Name, s.fallback)
	}
	return out.String()
}

// SettingsTable writes the table of docs/configuration.md.
func SettingsTable() string {
	var out strings.Builder
	out.WriteString("| setting | default | what it is |\n|---|---|---|\n")
	for _, s := range Documented() {
		fallback, help := s.fallback, s.help
		if fallback != "" {
			fallback = "`" + fallback + "`"
		}
		if s.needed != "" {
			help = fmt.Sprintf("**Required for %s:** %s", s.needed, help)
		}
		if file := s.FileVariable(); file != "" {
			help += "; or `" + file + "`"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", s.Name, fallback, help)
	}
	return out.String()
}
