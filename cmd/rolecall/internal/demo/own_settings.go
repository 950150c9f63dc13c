package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/clerkapi"
)

// SettingError is a missing or wrong setting of `rolecall dev --clerk`.
type SettingError struct{ error }

// Unwrap returns the fault.
func (e SettingError) Unwrap() error { return e.error }

// whereKeys says where Clerk's dashboard has an instance's keys.
const whereKeys = "Clerk's dashboard shows it under Configure, API keys"

// readOwn reads the settings of the environment. What an application's own .env has for a database
// doesn't count: the mirror has a database of its own.
func readOwn(ctx context.Context) (config.Config, error) {
	cfg, err := config.Read()
	if err != nil {
		return cfg, SettingError{err}
	}
	if cfg.SecretKey == "" {
		return cfg, SettingError{errors.New("CLERK_SECRET_KEY is missing: write it into .env or the environment; " + whereKeys)}
	}
	useDatabase(&cfg, "")
	cfg.ClerkReadOnly = true
	if cfg.Issuer == "" {
		if cfg.Issuer, err = issuerOfKey(cfg.SecretKey, os.Environ()); err != nil {
			return cfg, SettingError{err}
		}
	}
	if _, err := cfg.Policy(ctx); err != nil {
		return cfg, SettingError{err}
	}
	return cfg, check(cfg)
}

// check returns the faults of the settings before anything is started. What isn't known yet takes
// the form that it will have.
func check(cfg config.Config) error {
	cfg.DatabaseURL, cfg.ListenAddr, cfg.AdminAddr = "postgres://localhost/"+databaseName, usualListen, usualAdmin
	cfg.Issuer = cmp.Or(cfg.Issuer, "https://clerk.example.com")
	if len(cfg.SigningSecrets) == 0 {
		cfg.SigningSecrets = []string{unknownSecret()}
	}
	if err := cfg.RequireServing(config.Parts{Web: true, Workers: true}); err != nil {
		return SettingError{err}
	}
	return nil
}

// publishableKey ends the names of variables with an instance's publishable key. Frameworks put
// prefixes before it, such as NEXT_PUBLIC_ and VITE_.
const publishableKey = "CLERK_PUBLISHABLE_KEY"

// issuerOfKey returns the issuer that a publishable key of the environment names; "" if there is no
// such key. A key of another kind of instance than the secret key's is an error.
func issuerOfKey(secretKey string, environ []string) (string, error) {
	slices.Sort(environ) // of several keys, the same one counts at each start
	for _, variable := range environ {
		name, key, _ := strings.Cut(variable, "=")
		key = strings.TrimSpace(key)
		if !strings.HasSuffix(name, publishableKey) || key == "" {
			continue
		}
		live := strings.HasPrefix(key, "pk_live_")
		encoded := strings.TrimPrefix(strings.TrimPrefix(key, "pk_live_"), "pk_test_")
		host, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil || encoded == key || !strings.HasSuffix(string(host), "$") {
			return "", errors.New(name + " is no publishable key: " + strings.Replace(whereKeys, "it", "one", 1) + ", as pk_test_… or pk_live_…")
		}
		if live != strings.HasPrefix(secretKey, livePrefix) {
			return "", errors.New(name + " and CLERK_SECRET_KEY are of different instances: one is of a development instance, and one of a production instance")
		}
		return "https://" + strings.TrimSuffix(string(host), "$"), nil
	}
	return "", nil
}

// livePrefix begins the secret keys of production instances.
const livePrefix = "sk_live_"

// clerkPatience is how long Clerk may take to say whose key it is.
const clerkPatience = 20 * time.Second

// meetClerk asks Clerk which instance the secret key is of and, unless the settings say it, which
// issuer its session tokens have.
func (o *Own) meetClerk(ctx context.Context, logger *slog.Logger) (err error) {
	if o.clerk, err = o.cfg.OpenClerk(nil, logger, nil, nil); err != nil {
		return SettingError{err}
	}
	o.cleanup.Add("client of Clerk", func(context.Context) error { o.clerk.Close(); return nil })
	asking, cancel := context.WithTimeout(ctx, clerkPatience)
	defer cancel()
	o.instance, err = o.clerk.Instance(asking)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, clerkapi.ErrUnauthorized):
		return errors.New("CLERK_SECRET_KEY isn't accepted by Clerk: it is wrong, or was rolled; " + whereKeys)
	case err != nil:
		return fmt.Errorf("reach Clerk at %s: %w", o.cfg.APIURL, err)
	}
	if o.cfg.InstanceID != "" && o.cfg.InstanceID != o.instance.ID {
		return SettingError{fmt.Errorf("CLERK_SECRET_KEY is of the instance %s, and CLERK_INSTANCE_ID names %s: unset that", o.instance.ID, o.cfg.InstanceID)}
	}
	o.cfg.InstanceID = o.instance.ID
	if o.cfg.Issuer == "" {
		if o.cfg.Issuer, err = o.clerk.FrontendURL(asking); err != nil {
			return fmt.Errorf("%w: set CLERK_PUBLISHABLE_KEY, or CLERK_ISSUER to the Frontend API URL in Clerk's dashboard", err)
		}
	}
	return check(o.cfg)
}

// unknownSecret returns a signing secret that nobody knows, so that no webhook is accepted.
func unknownSecret() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(secret[:])
}
