package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/migrations"
)

// content says what a new database contains.
type content bool

const (
	migrated content = true
	empty    content = false
)

const (
	// databasePrefix begins the name of every database made here; no other is ever touched.
	databasePrefix = "rolecall_test_"
	// maxName is how long a name may be in Postgres (NAMEDATALEN - 1).
	maxName = 63
	// dropTimeout bounds a drop: it waits for a checkpoint at most.
	dropTimeout = time.Minute
)

// url makes a database for the test and drops it at the test's end, unless the test failed.
func (s *server) url(t testing.TB, with content) string {
	t.Helper()
	name := databaseName(t.Name())
	require.NoError(t, s.create(t.Context(), name, with))
	t.Cleanup(func() {
		if t.Failed() {
			s.keep(t, name)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), dropTimeout)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return s.pg.URL(name)
}

// databaseName is unique, and readable for people who open the database after a failure.
func databaseName(test string) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(test))
	unique := "_" + strings.ToLower(rand.Text()[:10])
	if room := maxName - len(databasePrefix) - len(unique); len(readable) > room {
		readable = readable[:room]
	}
	return databasePrefix + readable + unique
}

func (s *server) create(ctx context.Context, name string, with content) error {
	if err := s.start(); err != nil {
		return err
	}
	source, clone := "template0", s.clone
	if with == migrated {
		var err error
		if source, err = s.template(); err != nil {
			return err
		}
	}
	sql := fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s%s", quote(name), quote(source), clone)
	if _, err := s.admin.Exec(ctx, sql); err != nil {
		return fmt.Errorf("create database %s from %s: %w", name, source, err)
	}
	return nil
}

// makeTemplate migrates a database once for this test process. Processes share none: a stale or
// half-made template would be worse than the fraction of a second that a new one costs.
func (s *server) makeTemplate() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	name := databaseName("template")
	if err := s.create(ctx, name, empty); err != nil {
		return "", err
	}
	s.mu.Lock()
	s.made = append(s.made, name)
	s.mu.Unlock()

	pool, err := pgxpool.New(ctx, s.pg.URL(name))
	if err != nil {
		return "", fmt.Errorf("open template: %w", err)
	}
	defer pool.Close() // a template with open connections can't be cloned
	if err := migrations.Up(ctx, pool); err != nil {
		return "", fmt.Errorf("migrate template: %w", err)
	}
	return name, nil
}

// drop also cuts open connections: a program under test may have been killed.
func (s *server) drop(ctx context.Context, name string) error {
	if _, err := s.admin.Exec(ctx, "DROP DATABASE "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// keep logs how to open a failed test's database. The command must work after this process, and its
// server, have ended.
func (s *server) keep(t testing.TB, name string) {
	t.Helper()
	if s.cfg.DatabaseURL != "" {
		t.Logf("pgtest: database %s is kept on the server that %s names", name, urlEnv)
		return
	}
	command, err := s.pg.OpenCommand(context.Background(), name)
	if err != nil {
		t.Errorf("keep database %s: %v", name, err)
		return
	}
	t.Logf("pgtest: database %s is kept; once this run has ended, open it with:\n%s", name, command)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
