package playground_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/demo"
	"github.com/callmine/rolecall/cmd/rolecall/internal/playground"
)

// TestPages_WithoutRolecallOrItsDatabase say so, show nothing else, and work again by themselves.
func TestPages_WithoutRolecallOrItsDatabase(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	browser := browsertest.New(t)
	ada, _ := d.Cast.Person("admin")
	alone, err := playground.New(playground.Config{Rolecall: "http://127.0.0.1:1", Simulator: d.Simulator, Cast: d.Cast})
	require.NoError(t, err)
	product := httptest.NewServer(alone)
	t.Cleanup(product.Close)
	for _, view := range []browsertest.View{{Width: 1440}, {Width: 360, Dark: true}, {Width: 360, NoScript: true}} {
		page := browser.Open(t, product.URL+"/left/sign-in", view)
		page.Click("button[value=" + ada.UserID + "]")
		require.Equal(t, http.StatusServiceUnavailable, page.Status())
		require.Contains(t, page.Text("h1"), "Rolecall doesn't answer")
		page.Check("rolecall-away")

		page = browser.Open(t, d.Playground+"/left/sign-in", view)
		page.Click("button[value=" + ada.UserID + "]")
		require.Equal(t, http.StatusOK, page.Status())
		comeBack := takeDatabaseAway(t, d)
		page.Go("/left/dashboard")
		require.Equal(t, http.StatusServiceUnavailable, page.Status())
		require.NotContains(t, page.Text("body"), "Northwind")
		page.Check("database-away")
		comeBack()
		for page.Status() != http.StatusOK { // until Rolecall has connected again
			page.Go("/left/dashboard")
		}
	}
}

// takeDatabaseAway ends all connections to the demo's database, and refuses new ones until the
// returned function is called.
func takeDatabaseAway(t *testing.T, d *demo.Demo) (comeBack func()) {
	t.Helper()
	at, err := url.Parse(d.DatabaseURL)
	require.NoError(t, err)
	name := strings.TrimPrefix(at.Path, "/")
	at.Path = "/postgres"
	conn, err := pgx.Connect(t.Context(), at.String())
	require.NoError(t, err)
	exec := func(sql string, arguments ...any) {
		_, err := conn.Exec(t.Context(), sql, arguments...)
		require.NoError(t, err)
	}
	exec("ALTER DATABASE " + pgx.Identifier{name}.Sanitize() + " ALLOW_CONNECTIONS false")
	exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
	return func() {
		exec("ALTER DATABASE " + pgx.Identifier{name}.Sanitize() + " ALLOW_CONNECTIONS true")
		require.NoError(t, conn.Close(t.Context()))
	}
}
