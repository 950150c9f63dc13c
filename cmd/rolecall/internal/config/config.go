// Package config reads the settings of Rolecall from the environment and judges them. It names every fault of the
// settings at once, each with its setting and its cure, and prints no secret. `config`, `serve` and `doctor` go by the
// same judgement.
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

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/webhooks"
)

// Config is everything that can be configured, from the environment alone. The tag "secret" redacts a value where it
// is printed; "help" is its line in .env.example and in the README.
type Config struct {
	DatabaseURL       string        `env:"DATABASE_URL" secret:"url" help:"Postgres to use, as postgres://… or keywords (host=… dbname=…); in dev, empty starts one"`
	ReadDatabaseURL   string        `env:"ROLECALL_READ_DATABASE_URL" secret:"url" help:"the same Postgres as a role that may only read, for what the API reads; default: DATABASE_URL"`
	DirectDatabaseURL string        `env:"ROLECALL_DIRECT_DATABASE_URL" secret:"url" help:"the same Postgres without a pooler that gives a server to each transaction; needed if DATABASE_URL leads to one"`
	MaxConnections    int           `env:"ROLECALL_MAX_CONNECTIONS" help:"connections that a process opens to Postgres at most; default: pool_max_conns of the URL, else 58, behind a session pooler 18"`
	SigningSecrets    []string      `env:"CLERK_WEBHOOK_SIGNING_SECRET" secret:"all" help:"signing secret of the webhook endpoint (whsec_…); several, comma-separated, during a rotation"`
	Issuer            string        `env:"CLERK_ISSUER" secret:"web" help:"exact issuer of session tokens, such as https://clerk.example.com"`
	JWKSURL           string        `env:"CLERK_JWKS_URL" secret:"web" help:"where Clerk publishes its keys; default: the issuer's /.well-known/jwks.json"`
	SecretKey         string        `env:"CLERK_SECRET_KEY" secret:"all" help:"secret key of the Clerk instance (sk_…): without it nothing is compared with Clerk, and what no webhook told stays unknown"`
	APIURL            string        `env:"CLERK_API_URL" envDefault:"https://api.clerk.com/v1" secret:"web" help:"where Clerk's Backend API is"`
	InstanceID        string        `env:"CLERK_INSTANCE_ID" help:"Clerk instance whose webhooks are ours (ins_…); others, and the examples that Clerk's dashboard sends, are quarantined; default: the secret key's"`
	AuthorizedParties []string      `env:"CLERK_AUTHORIZED_PARTIES" secret:"web" help:"origins whose session tokens are accepted (azp), comma-separated; empty takes every one"`
	TemplateTokens    bool          `env:"ROLECALL_ACCEPT_TEMPLATE_TOKENS" envDefault:"false" help:"whether tokens of JWT templates count as their user's sessions; then so do those that were made for other services"`
	ListenAddr        string        `env:"ROLECALL_LISTEN_ADDR" envDefault:":8080" help:"where webhooks and the API listen"`
	AdminAddr         string        `env:"ROLECALL_ADMIN_ADDR" envDefault:"127.0.0.1:9090" help:"where /healthz, /readyz and /metrics listen"`
	StopDelay         time.Duration `env:"ROLECALL_STOP_DELAY" envDefault:"5s" help:"time from SIGTERM, which turns /readyz red, to the end of answering, as a Go duration; 0 for none"`
	ServiceTokens     string        `env:"ROLECALL_SERVICE_TOKEN_HASHES" secret:"all" help:"services that may ask about anybody: name:SHA-256 of its token in hex, comma-separated"`
	SweepInterval     time.Duration `env:"ROLECALL_SWEEP_INTERVAL" envDefault:"1h" help:"time between comparisons with Clerk; one runs at the start; 0 disables all of them"`
	MaxRemovalRatio   float64       `env:"ROLECALL_MAX_REMOVAL_RATIO" envDefault:"0.05" help:"part of all memberships that a comparison may remove without being told to; ten it may always"`
	ClerkRate         float64       `env:"ROLECALL_CLERK_RATE" envDefault:"0" help:"calls to Clerk's API per second for sweeps, of each process; 0 takes a fifth of Clerk's own limit, which your application shares. Commands aren't held to it; strangers have half of it"`
	BodyRetention     time.Duration `env:"ROLECALL_BODY_RETENTION" envDefault:"2160h" help:"how long the bodies of webhooks are kept, as a Go duration; 0 keeps them for ever"`
	PolicyFile        string        `env:"ROLECALL_POLICY_FILE" help:"YAML file that says which role may do what; default: the built-in policy"`
	LogLevel          slog.Level    `env:"ROLECALL_LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`
}

// Parts says which sides of the service a process runs.
type Parts struct{ Web, Workers bool }

// RequireServing returns an error for each thing that serving needs and the configuration lacks or has wrong.
func (c Config) RequireServing(which Parts) error {
	var errs []error
	need := func(present bool, name, what string) {
		if !present {
			errs = append(errs, fmt.Errorf("%s is missing: %s", name, what))
		}
	}
	need(c.DatabaseURL != "", "DATABASE_URL", "the Postgres to use, as postgres://user:password@host:5432/database or as keywords")
	need(!which.Web || len(c.SigningSecrets) > 0, "CLERK_WEBHOOK_SIGNING_SECRET",
		"the signing secret of the webhook endpoint (whsec_…), from its page in Clerk's dashboard")
	need(!which.Web || c.Issuer != "", "CLERK_ISSUER", "the issuer of session tokens: the Frontend API URL in Clerk's dashboard")
	return errors.Join(append(errs, c.check(which))...)
}

// check returns an error for each thing that is configured and wrong. What isn't configured is right.
func (c Config) check(which Parts) error {
	errs := []error{c.checkQuotes(), c.checkDatabases(which), c.checkAddresses(which), c.checkClerk()}
	if which.Web {
		_, err := c.ParsedServiceTokens()
		errs = append(errs, err, c.CheckIssuer())
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
	if c.MaxConnections < 0 {
		errs = append(errs, errors.New("ROLECALL_MAX_CONNECTIONS must be positive; leave it empty for the default"))
	}
	if c.BodyRetention < 0 {
		errs = append(errs, errors.New("ROLECALL_BODY_RETENTION must not be negative: write 0 to keep bodies for ever"))
	}
	if c.StopDelay < 0 {
		errs = append(errs, errors.New("ROLECALL_STOP_DELAY must not be negative: write 0 for none"))
	}
	return errors.Join(append(errs, c.CheckSweeping())...)
}

// ParsedServiceTokens reads the services that may ask about anybody.
func (c Config) ParsedServiceTokens() ([]api.ServiceToken, error) {
	tokens, err := api.ParseServiceTokens(c.ServiceTokens)
	if err != nil {
		return nil, fmt.Errorf("ROLECALL_SERVICE_TOKEN_HASHES: %w", err)
	}
	return tokens, nil
}

// Verifier returns what checks the signatures of webhooks.
func (c Config) Verifier() (*webhooks.Verifier, error) {
	verifier, err := webhooks.NewVerifier(c.SigningSecrets)
	if err != nil {
		return nil, fmt.Errorf("CLERK_WEBHOOK_SIGNING_SECRET: %w", err)
	}
	return verifier, nil
}

// CheckSweeping returns one sentence for each thing that the configuration has wrong about comparing with Clerk.
func (c Config) CheckSweeping() error {
	var errs []error
	if c.InstanceID != "" && !strings.HasPrefix(c.InstanceID, "ins_") {
		errs = append(errs, errors.New("CLERK_INSTANCE_ID is not an instance: one begins with ins_; leave it empty to take the secret key's"))
	}
	if c.SweepInterval < 0 {
		errs = append(errs, errors.New("ROLECALL_SWEEP_INTERVAL must not be negative: write 0 to turn comparing off"))
	}
	if !(c.MaxRemovalRatio > 0 && c.MaxRemovalRatio <= 1) {
		errs = append(errs, errors.New("ROLECALL_MAX_REMOVAL_RATIO must be above 0 and at most 1: write 0.05 for 5 %"))
	}
	if !(c.ClerkRate >= 0) || math.IsInf(c.ClerkRate, 0) {
		errs = append(errs, errors.New("ROLECALL_CLERK_RATE must be 0 or a number above: write 0 for the default"))
	}
	return errors.Join(errs...)
}

// SweepsEvery is how often a serving process of this configuration compares the mirror with Clerk; 0 for never.
func (c Config) SweepsEvery() time.Duration {
	if c.SecretKey == "" {
		return 0
	}
	return c.SweepInterval
}

// Setting is one field of the configuration as people see it.
type Setting struct{ Name, Value, secret, fallback, help string }

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
			fallback: field.Tag.Get("envDefault"), help: field.Tag.Get("help"),
		}
	}
	return out
}

// redact hides what must not be printed of a value.
func redact(how, value string) string {
	switch {
	case value == "":
		return ""
	case how == "":
		return hide(value)
	case how == "url":
		return redactURL(value)
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

// redactURL hides all of a Postgres URL that might be a secret, and all of what can't be relied on to be one.
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
			query.Set(name, "xxxxx") // as Redacted has it
		}
	}
	u.RawQuery, u.Fragment, u.RawFragment = query.Encode(), "", ""
	return u.Redacted()
}

// ExampleFile writes .env.example: every setting with its help, and its default where there is one.
func ExampleFile() string {
	var out strings.Builder
	out.WriteString("# Rolecall's whole configuration. `rolecall dev` needs none of it. `rolecall serve` needs DATABASE_URL,\n# CLERK_WEBHOOK_SIGNING_SECRET and CLERK_ISSUER, and CLERK_SECRET_KEY to compare the mirror with Clerk; so do `rolecall backfill` and\n# `rolecall reconcile`, with DATABASE_URL.\n")
	for _, s := range (Config{}).Settings() {
		fmt.Fprintf(&out, "\n# %s\n%s=%s\n", s.help, s.Name, s.fallback)
	}
	return out.String()
}

// SettingsTable writes the README's table of settings.
func SettingsTable() string {
	var out strings.Builder
	out.WriteString("| setting | default | what it is |\n|---|---|---|\n")
	for _, s := range (Config{}).Settings() {
		fallback := s.fallback
		if fallback != "" {
			fallback = "`" + fallback + "`"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", s.Name, fallback, s.help)
	}
	return out.String()
}
