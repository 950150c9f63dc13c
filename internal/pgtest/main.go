package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// urlEnv names the server to use instead of one that is started. It is deliberately not
// DATABASE_URL.
const urlEnv = "ROLECALL_TEST_DATABASE_URL"

// stopTimeout bounds the end of a server, with room for moving a failed test's data to disk.
const stopTimeout = time.Minute

// current is the suite that Main set up. It is a package variable, because New has only a
// testing.TB to find its server with, and a test process has one Main.
var current atomic.Pointer[suite] //nolint:gochecknoglobals // see above

// suite is the servers of one test process.
type suite struct{ fast, durable *server }

func newSuite(given string) *suite {
	if given != "" {
		// Durable tests use the given server, too: it is as durable as it is.
		s := newServer(givenServer(given))
		return &suite{fast: s, durable: s}
	}
	return &suite{fast: newServer(fastServer()), durable: newServer(durableServer())}
}

// stop ends the servers that were started.
func (s *suite) stop(ctx context.Context) error {
	err := s.fast.stop(ctx)
	if s.durable != s.fast {
		err = errors.Join(err, s.durable.stop(ctx))
	}
	return err
}

// Main runs a package's tests, stops the servers they started, and checks that no goroutine is
// left. It returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m goleak.TestingM) int {
	s := newSuite(os.Getenv(urlEnv))
	current.Store(s)
	code := m.Run()

	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := s.stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if code == 0 { // after a failure, leaked goroutines are expected
		if err := goleak.Find(goleak.IgnoreAnyFunction(closesOfPgx)); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}
	return code
}

// closesOfPgx is the goroutine in which pgx closes the connection of a statement that timed out.
// pgx ends it after 15 s at the latest; a server that a test has stopped lets it last that long.
const closesOfPgx = "github.com/jackc/pgx/v5/pgconn.(*PgConn).asyncClose.func1"

func running(t testing.TB) *suite {
	t.Helper()
	s := current.Load()
	if s == nil {
		t.Fatal("no database server: the package needs func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }")
	}
	return s
}
