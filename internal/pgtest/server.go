package pgtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgdev"
)

const (
	// startTimeout bounds the first test's wait; a start takes half a second, a fetch of the
	// binaries a minute or two.
	startTimeout = 5 * time.Minute
	// adminConns is how many databases are created or dropped at once. More aren't faster, also on
	// many cores.
	adminConns = 4
	// memoryNeeded is the free memory that the server's data needs: 40 MB for itself, 1 GB of WAL
	// at most, 8 MB per live database.
	memoryNeeded = 3 << 30
)

// server is a Postgres that starts when a test first asks for it.
type server struct {
	cfg   pgdev.Config
	clone string // what makes CREATE DATABASE copy in the fastest way

	start    func() error // once
	template func() (string, error)

	mu    sync.Mutex
	pg    *pgdev.Server // nil until started
	admin *pgxpool.Pool
	made  []string // templates, to drop from a server that was given
}

func newServer(cfg pgdev.Config) *server {
	s := &server{cfg: cfg}
	s.start = sync.OnceValue(s.doStart)
	s.template = sync.OnceValues(s.makeTemplate)
	return s
}

// fastServer trades all durability for speed. Only failed databases outlive the tests, and for them
// the server is shut down in order.
func fastServer() pgdev.Config {
	return pgdev.Config{
		TempRoot: pgdev.MemoryDir(memoryNeeded),
		Settings: map[string]string{
			"fsync":              "off",
			"synchronous_commit": "off",
			"full_page_writes":   "off",
			"wal_level":          "minimal",
			"max_wal_senders":    "0",
			"max_wal_size":       "1GB",
			"checkpoint_timeout": "1h",
			"autovacuum":         "off",  // the databases don't live that long
			"shared_buffers":     "64MB", // every drop of a database searches all of them
			"max_connections":    "1000", // 200 tests at once, each with a full pool and one connection of its own
		},
	}
}

func durableServer() pgdev.Config {
	return pgdev.Config{Settings: map[string]string{"max_connections": "300"}}
}

func givenServer(url string) pgdev.Config { return pgdev.Config{DatabaseURL: url} }

func (s *server) doStart() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	pg, err := pgdev.Start(ctx, s.cfg)
	if err != nil {
		return fmt.Errorf("start the tests' database server: %w", err)
	}
	admin, err := s.openAdmin(ctx, pg)
	if err != nil {
		return errors.Join(fmt.Errorf("open the tests' database server: %w", err), pg.Stop(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pg, s.admin = pg, admin
	return nil
}

func (s *server) openAdmin(ctx context.Context, pg *pgdev.Server) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(pg.URL(""))
	if err != nil {
		return nil, fmt.Errorf("parse its URL: %w", err)
	}
	cfg.MaxConns = adminConns
	admin, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	var version int
	if err := admin.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		admin.Close()
		return nil, fmt.Errorf("ask for its version: %w", err)
	}
	// Copying files needs two checkpoints, which cost nothing without fsync and a lot with it.
	// Postgres has the option from version 15 on; older versions always copy files.
	if s.cfg.Settings["fsync"] == "off" && version >= 150000 {
		s.clone = " STRATEGY file_copy"
	}
	return admin, nil
}

// running returns the server, and starts it first if needed.
func (s *server) running(t testing.TB) *pgdev.Server {
	t.Helper()
	require.NoError(t, s.start())
	return s.pg
}

// stop ends the server if it was started. It must not run beside tests.
func (s *server) stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pg == nil {
		return nil
	}
	var err error
	if s.cfg.DatabaseURL != "" {
		for _, name := range s.made {
			err = errors.Join(err, s.drop(ctx, name))
		}
	}
	s.admin.Close()
	if stopErr := s.pg.Stop(ctx); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop the tests' database server: %w", stopErr))
	}
	return err
}
