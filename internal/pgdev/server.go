package pgdev

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"

	"github.com/jackc/pgx/v5"
)

// superuser is the role that owns the cluster, by the name that every tool expects.
const superuser = "postgres"

// defaultDatabase is the database every new cluster has.
const defaultDatabase = "postgres"

// Server is a Postgres that [Start] started or was given. Its methods are safe for concurrent use.
type Server struct {
	description string
	given       string         // the database URL if one was given; then the fields below are zero
	external    chan struct{}  // Done of a given server
	cluster     *cluster       // the data folder, held until Stop
	process     *serverProcess // the running postmaster

	mu      sync.Mutex
	keptDir string

	stopOnce sync.Once
	stopErr  error
}

// Start returns a Postgres that answers queries: the one at cfg.DatabaseURL if that is set, else
// one that it starts. ctx bounds the start only. The server then runs until [Server.Stop] or the
// death of this process.
//
// The error is a [*NoBinariesError] if no Postgres was found or fetched, and an [*InUseError] if a
// live process owns the data folder. Any other error carries the last lines of Postgres' own log if
// there are any.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	c := cfg.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("check configuration of the development server: %w", err)
	}
	if c.DatabaseURL != "" {
		return useGiven(ctx, c.DatabaseURL)
	}
	return launch(ctx, c, newSearch(c.Logger))
}

func useGiven(ctx context.Context, given string) (*Server, error) {
	pc, err := pgx.ParseConfig(given)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", err)
	}
	where := fmt.Sprintf("database %q on %s:%d as %s", pc.Database, pc.Host, pc.Port, pc.User)
	version, err := serverVersion(ctx, given)
	if err != nil {
		return nil, fmt.Errorf("reach the given %s (unset DATABASE_URL to have a server started instead): %w", where, err)
	}
	return &Server{
		description: fmt.Sprintf("PostgreSQL %s: %s, as given by the database URL; nothing was started", version, where),
		given:       given,
		external:    make(chan struct{}),
	}, nil
}

// Description is one plain sentence that says which Postgres was found and chosen. It never
// contains a password.
func (s *Server) Description() string { return s.description }

// URL is a postgres:// URL of the database on this server, for pgx, libpq and psql; the server's
// default database if the name is empty. The database need not exist. On a given server it is the
// given URL with the database replaced.
func (s *Server) URL(database string) string {
	if s.given != "" {
		return replaceDatabase(s.given, database)
	}
	return socketURL(s.process.socketDir, s.process.port, database)
}

// TCPURL is like [Server.URL] over TCP, with the generated password in it. It is empty for a server
// without TCPAddr; for a given server it is the same as URL.
func (s *Server) TCPURL(database string) string {
	switch {
	case s.given != "":
		return s.URL(database)
	case s.process.tcpAddr == "":
		return ""
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.cluster.password),
		Host:     s.process.tcpAddr,
		Path:     "/" + orDefault(database),
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// DataDir is the folder that holds the server's data, which may differ from the one asked for (see
// [Config]); empty for a given server.
func (s *Server) DataDir() string {
	if s.given != "" {
		return ""
	}
	return s.cluster.dir
}

// BinDir is the folder with the binaries that the server runs from, links followed; empty for a
// given server.
func (s *Server) BinDir() string {
	if s.given != "" {
		return ""
	}
	if postgres, err := filepath.EvalSymlinks(s.process.inst.postgres()); err == nil {
		return filepath.Dir(postgres)
	}
	return s.process.inst.binDir
}

// SocketDir is the folder of the server's Unix socket; empty for a given server.
func (s *Server) SocketDir() string {
	if s.given != "" {
		return ""
	}
	return s.process.socketDir
}

// PID is the process id of the postmaster, for tests that crash it; 0 for a given server.
func (s *Server) PID() int {
	if s.given != "" {
		return 0
	}
	return s.process.pid
}

// Done is closed when the postgres process has ended, for whatever reason. After a crash, call
// [Server.Stop] to release the data folder before starting again on it. For a given server it is
// closed by Stop.
func (s *Server) Done() <-chan struct{} {
	if s.given != "" {
		return s.external
	}
	return s.process.done
}

// Stop ends the server, waits for its end, removes a temporary data folder and releases the lock on
// it. Data that stays is closed in order (Postgres' fast shutdown); data that is removed needs no
// checkpoint. When ctx ends first, the server has to end at once. Its next start then needs a
// recovery, but loses no committed transaction. Further calls return the first one's result.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() {
		if s.given != "" {
			close(s.external)
			return
		}
		s.stopErr = s.shutDown(ctx)
	})
	return s.stopErr
}

func (s *Server) shutDown(ctx context.Context) error {
	s.mu.Lock()
	kept := s.keptDir
	s.mu.Unlock()
	discard := s.cluster.temporary && kept == ""

	if err := s.process.end(ctx, discard); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	return s.cluster.release(kept)
}
