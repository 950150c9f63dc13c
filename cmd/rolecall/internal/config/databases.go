package config

import (
	"errors"
	"fmt"

	"github.com/callmine/rolecall/internal/pgpool"
)

// Pooled reports whether DATABASE_URL may lead to a transaction pooler.
func (c Config) Pooled() bool { return c.DirectDatabaseURL != "" }

// DirectURL returns the URL of Postgres itself or of a session pooler.
func (c Config) DirectURL() string {
	if c.Pooled() {
		return c.DirectDatabaseURL
	}
	return c.DatabaseURL
}

// DirectSetting names the setting that [Config.DirectURL] returns.
func (c Config) DirectSetting() string {
	if c.Pooled() {
		return "ROLECALL_DIRECT_DATABASE_URL"
	}
	return "DATABASE_URL"
}

// Direct returns the configuration of a subcommand's sessions.
func (c Config) Direct(name string, needs pgpool.Needs) (pgpool.Config, error) {
	if c.DirectURL() == "" {
		return pgpool.Config{}, errors.New("DATABASE_URL is missing: the Postgres to use")
	}
	return pgpool.Config{URL: c.DirectURL(), Setting: c.DirectSetting(), Name: "rolecall " + name, Needs: needs}, nil
}

// LimitOf returns the most connections that a process may open, and the setting that says so:
// ROLECALL_MAX_CONNECTIONS or, if that is empty, the URL. It returns 0 if neither has a limit.
func (c Config) LimitOf() (int, string, error) {
	if c.MaxConnections > 0 {
		return c.MaxConnections, "ROLECALL_MAX_CONNECTIONS", nil
	}
	n, err := pgpool.MaxConnsOf(c.DirectURL())
	if err != nil {
		return 0, "", fmt.Errorf("%s %w", c.DirectSetting(), err)
	}
	return n, "pool_max_conns in " + c.DirectSetting(), nil
}

// NeedsDirect returns the error for a transaction pooler where sessions are needed.
func (c Config) NeedsDirect() error {
	if c.Pooled() {
		return errors.New("ROLECALL_DIRECT_DATABASE_URL leads to a transaction pooler: " +
			"it must lead to Postgres itself, or to a session pooler")
	}
	return errors.New("DATABASE_URL leads to a transaction pooler, through which a process can't listen or hold a lock: " +
		"set ROLECALL_DIRECT_DATABASE_URL to a URL of Postgres itself; DATABASE_URL may stay as it is")
}
