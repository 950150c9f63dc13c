package config

import (
	"errors"
	"fmt"

	"github.com/callmine/rolecall/internal/pgpool"
)

// Pooled reports whether DATABASE_URL may lead to a pooler that gives a server to each transaction.
func (c Config) Pooled() bool { return c.DirectDatabaseURL != "" }

// DirectURL leads to Postgres itself, or to a pooler that gives a server to each client.
func (c Config) DirectURL() string {
	if c.Pooled() {
		return c.DirectDatabaseURL
	}
	return c.DatabaseURL
}

// DirectSetting names the setting of [Config.DirectURL].
func (c Config) DirectSetting() string {
	if c.Pooled() {
		return "ROLECALL_DIRECT_DATABASE_URL"
	}
	return "DATABASE_URL"
}

// Direct is what a subcommand opens its sessions with.
func (c Config) Direct(name string, needs pgpool.Needs) (pgpool.Config, error) {
	if c.DirectURL() == "" {
		return pgpool.Config{}, errors.New("DATABASE_URL is missing: the Postgres to use")
	}
	return pgpool.Config{URL: c.DirectURL(), Setting: c.DirectSetting(), Name: "rolecall " + name, Needs: needs}, nil
}

// LimitOf returns how many connections a process may open at most, as it is told: by the setting
// or, if that is empty, by the URL. 0 if it isn't.
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

// NeedsDirect says what a pooler for transactions lacks.
func (c Config) NeedsDirect() error {
	if c.Pooled() {
		return errors.New("ROLECALL_DIRECT_DATABASE_URL leads to a pooler that gives a server to each transaction: " +
			"it must lead to Postgres itself, or to a pooler for sessions")
	}
	return errors.New("DATABASE_URL leads to a pooler that gives a server to each transaction, which can't listen or hold a lock: " +
		"set ROLECALL_DIRECT_DATABASE_URL to a URL of Postgres itself; DATABASE_URL may stay as it is")
}
