package main

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
)

// surroundingsEnv makes the bundles of a test process reach Postgres in another way.
const surroundingsEnv = "ROLECALL_TEST_SURROUNDINGS"

// surroundings are the ways in which people reach Postgres: poolers, and the forms of a URL that the README names.
func surroundings() map[string]func(testing.TB, *config) {
	parameters := func(more string) func(testing.TB, *config) {
		return func(t testing.TB, c *config) { c.DatabaseURL += "&" + more }
	}
	return map[string]func(testing.TB, *config){
		"pgbouncer_session": func(t testing.TB, c *config) {
			c.DatabaseURL = pgtest.PgBouncer(t, c.DatabaseURL, pgtest.SessionPooling)
		},
		"pgbouncer_transaction": func(t testing.TB, c *config) {
			c.DirectDatabaseURL, c.DatabaseURL = c.DatabaseURL, pgtest.PgBouncer(t, c.DatabaseURL, pgtest.TransactionPooling)
		},
		"pgbouncer_transaction_read": func(t testing.TB, c *config) {
			c.DirectDatabaseURL, c.DatabaseURL = c.DatabaseURL, pgtest.PgBouncer(t, c.DatabaseURL, pgtest.TransactionPooling)
			c.ReadDatabaseURL = c.DatabaseURL
		},
		"keywords": func(t testing.TB, c *config) {
			p, err := pgx.ParseConfig(c.DatabaseURL)
			require.NoError(t, err)
			c.DatabaseURL = fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", p.Host, p.Port, p.User, p.Database)
		},
		"several_hosts": func(t testing.TB, c *config) {
			u, err := url.Parse(c.DatabaseURL)
			require.NoError(t, err)
			q := u.Query()
			q.Set("host", "/nowhere,"+q.Get("host")) // on the first, nothing listens
			q.Set("port", q.Get("port")+","+q.Get("port"))
			q.Set("target_session_attrs", "read-write")
			u.RawQuery = q.Encode()
			c.DatabaseURL = u.String()
		},
		"small_pool": parameters("pool_max_conns=9"),
		"options":    parameters("options=-c%20search_path%3Dapp%20-c%20work_mem%3D8MB"),
		"parameters": parameters("search_path=app&statement_timeout=1ms&default_transaction_isolation=serializable&application_name=mine"),
		"sslmode_prefer": func(_ testing.TB, c *config) {
			c.DatabaseURL = strings.Replace(c.DatabaseURL, "sslmode=disable", "sslmode=prefer", 1)
		},
		"primary": parameters("target_session_attrs=primary&connect_timeout=5"),
	}
}

// surround changes how a bundle reaches Postgres, if this process was told to.
func surround(t testing.TB, c *config) {
	t.Helper()
	if name := os.Getenv(surroundingsEnv); name != "" {
		surroundings()[name](t, c)
	}
}

// throughForms are the tests that are enough to see that a form of the URL works.
const throughForms = "^(TestWholeProgram|TestMemberIsRefusedWhatOnlyAdminsMay|TestRemovalHoldsAtTheNextRequest)$"

// throughPoolers are the end-to-end tests.
const throughPoolers = "^(TestWholeProgram|TestOldTokensFollowTheMirror|TestAccountsThatMayDoNothing|TestDeletedOrganizationEndsAccessByItself|" +
	"TestWhoCreatesAWorkspaceIsItsFirstAdmin|TestWhoAcceptsAnInvitationIsInAtOnce|TestMemberIsRefusedWhatOnlyAdminsMay|" +
	"TestPromotionHoldsAtTheNextRequestWithTheOldToken|TestRemovalHoldsAtTheNextRequest|TestAnotherWorkspaceIsAsUnknownAsNonsense|" +
	"TestLeavingDeletesNothing|TestReinvitationRestoresAccess)$"

// TestEndToEndInAllSurroundings runs the end-to-end tests again, in each way to reach Postgres: in a process of their own, since what
// they share is set up once.
func TestEndToEndInAllSurroundings(t *testing.T) {
	t.Parallel()
	for name := range surroundings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tests := throughForms
			if strings.HasPrefix(name, "pgbouncer") {
				pgtest.NeedsProgram(t, "pgbouncer")
				tests = throughPoolers
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+tests, "-test.parallel=4", "-test.count=1") //nolint:gosec // itself
			cmd.Env = append(os.Environ(), surroundingsEnv+"="+name)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.NotContains(t, string(out), "no tests to run")
		})
	}
}
