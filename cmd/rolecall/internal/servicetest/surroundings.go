package servicetest

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/pgtest"
)

// NeedsSurroundings skips a test unless `make surroundings` runs it, as CI does. Such a test starts
// its own servers, loads the machine, or measures time, and would slow the other tests down.
func NeedsSurroundings(t *testing.T) {
	t.Helper()
	if os.Getenv("ROLECALL_TEST_SURROUNDINGS") == "" {
		t.Skip("it takes long: make surroundings") //nolint:forbidigo // CI runs it in a step of its own
	}
}

// InSurroundings is the test that runs its parts in each of the surroundings.
const InSurroundings = "TestEndToEnd_InAllSurroundings"

// surround changes how a bundle reaches Postgres, if its test is a part of [InSurroundings].
func surround(t testing.TB, c *config.Config) {
	t.Helper()
	if rest, within := strings.CutPrefix(t.Name(), InSurroundings+"/"); within {
		name, _, _ := strings.Cut(rest, "/")
		Surroundings()[name](t, c)
	}
}

// Surroundings returns the ways of reaching Postgres: poolers, and the documented forms of a URL.
func Surroundings() map[string]func(testing.TB, *config.Config) {
	parameters := func(more string) func(testing.TB, *config.Config) {
		return func(_ testing.TB, c *config.Config) { c.DatabaseURL += "&" + more }
	}
	return map[string]func(testing.TB, *config.Config){
		"pgbouncer_session": func(t testing.TB, c *config.Config) {
			t.Helper()
			c.DatabaseURL = pgtest.PgBouncer(t, c.DatabaseURL, pgtest.SessionPooling)
		},
		"pgbouncer_transaction": func(t testing.TB, c *config.Config) {
			t.Helper()
			c.DirectDatabaseURL, c.DatabaseURL = c.DatabaseURL, pgtest.PgBouncer(t, c.DatabaseURL, pgtest.TransactionPooling)
		},
		"pgbouncer_transaction_read": func(t testing.TB, c *config.Config) {
			t.Helper()
			c.DirectDatabaseURL, c.DatabaseURL = c.DatabaseURL, pgtest.PgBouncer(t, c.DatabaseURL, pgtest.TransactionPooling)
			c.ReadDatabaseURL = c.DatabaseURL
		},
		"keywords": func(t testing.TB, c *config.Config) {
			t.Helper()
			p, err := pgx.ParseConfig(c.DatabaseURL)
			require.NoError(t, err)
			c.DatabaseURL = fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", p.Host, p.Port, p.User, p.Database)
		},
		"several_hosts": func(t testing.TB, c *config.Config) {
			t.Helper()
			u, err := url.Parse(c.DatabaseURL)
			require.NoError(t, err)
			q := u.Query()
			q.Set("host", "/nowhere,"+q.Get("host")) // on the first, nothing listens
			q.Set("port", q.Get("port")+","+q.Get("port"))
			q.Set("target_session_attrs", "read-write")
			u.RawQuery = q.Encode()
			c.DatabaseURL = u.String()
		},
		"small_pool": parameters("pool_max_conns=12"),
		"options":    parameters("options=-c%20search_path%3Dapp%20-c%20work_mem%3D8MB"),
		"parameters": parameters("search_path=app&statement_timeout=1ms&default_transaction_isolation=serializable&application_name=mine"),
		"sslmode_prefer": func(_ testing.TB, c *config.Config) {
			c.DatabaseURL = strings.Replace(c.DatabaseURL, "sslmode=disable", "sslmode=prefer", 1)
		},
		"primary": parameters("target_session_attrs=primary&connect_timeout=5"),
	}
}
