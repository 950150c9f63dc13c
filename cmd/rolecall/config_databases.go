package main

import (
	"errors"
	"fmt"

	"github.com/callmine/rolecall/internal/pgpool"
)

// pooled reports whether DATABASE_URL may lead to a pooler that gives a server to each transaction.
func (c config) pooled() bool { return c.DirectDatabaseURL != "" }

// directURL leads to Postgres itself, or to a pooler that gives a server to each client.
func (c config) directURL() string {
	if c.pooled() {
		return c.DirectDatabaseURL
	}
	return c.DatabaseURL
}

func (c config) directSetting() string {
	if c.pooled() {
		return "ROLECALL_DIRECT_DATABASE_URL"
	}
	return "DATABASE_URL"
}

// direct is what a subcommand opens its sessions with.
func (c config) direct(name string, needs pgpool.Needs) (pgpool.Config, error) {
	if c.directURL() == "" {
		return pgpool.Config{}, errors.New("DATABASE_URL is missing: the Postgres to use")
	}
	return pgpool.Config{URL: c.directURL(), Setting: c.directSetting(), Name: "rolecall " + name, Needs: needs}, nil
}

// limitOf returns how many connections a process may open at most, as it is told: by the setting or, if that is empty, by the URL. 0
// if it isn't.
func (c config) limitOf() (int, string, error) {
	if c.MaxConnections > 0 {
		return c.MaxConnections, "ROLECALL_MAX_CONNECTIONS", nil
	}
	n, err := pgpool.MaxConnsOf(c.directURL())
	if err != nil {
		return 0, "", fmt.Errorf("%s %w", c.directSetting(), err)
	}
	return n, "pool_max_conns in " + c.directSetting(), nil
}

// needsDirect says what a pooler for transactions lacks.
func (c config) needsDirect() error {
	if c.pooled() {
		return errors.New("ROLECALL_DIRECT_DATABASE_URL leads to a pooler that gives a server to each transaction: " +
			"it must lead to Postgres itself, or to a pooler for sessions")
	}
	return errors.New("DATABASE_URL leads to a pooler that gives a server to each transaction, which can't listen or hold a lock: " +
		"set ROLECALL_DIRECT_DATABASE_URL to a URL of Postgres itself; DATABASE_URL may stay as it is")
}
