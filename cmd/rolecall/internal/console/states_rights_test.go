package console_test

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/console"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// somewhere returns an address of each page, in the order of the console's list. What it names
// needn't be there.
func somewhere() []string {
	addresses := []string{}
	for _, path := range console.PagePaths() {
		addresses = append(addresses, strings.NewReplacer("{$}", "", "{id}", "org_1", "{number}", "1").Replace(path))
	}
	return addresses
}

// TestPages_WithoutRights: without an operator, each page is shown and has nothing that changes
// anything.
func TestPages_WithoutRights(t *testing.T) {
	t.Parallel()
	b := newBusy(t, 1)
	w := fillTown(t, b.Bundle)
	b.exec(t, `INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, finished_at, state, reason, progress, report)
		VALUES ('interval', '', false, $1, now(), now(), now(), 'aborted', 'removal_ratio', '{}', '{"at_stake": 20, "detail": "20 of 30 memberships would be removed"}')`, b.Clerk.InstanceID())
	reader := newDesk(t, func(_ *servicetest.Bundle, cfg *config.Config) {
		cfg.DatabaseURL, cfg.OperatorTokens = b.Config.DatabaseURL, ""
	})
	names := strings.NewReplacer("/workspaces/org_1", "/workspaces/"+w.northwind, "/users/org_1", "/users/"+w.jane, "/deliveries/org_1", "/deliveries/msg_foreign1")
	browser := browsertest.New(t)
	tabs := []*browsertest.Page{}
	for _, view := range views() {
		tabs = append(tabs, browser.Open(t, reader.Admin("/help/alarms"), view))
	}
	for i, path := range append(somewhere(), "/deliveries?state=quarantined") {
		tab := tabs[i%len(tabs)]
		tab.Go(names.Replace(path))
		require.Equal(t, http.StatusOK, tab.Status(), path)
		require.Contains(t, tab.Text("header"), "read-only")
		tab.Check("read-only-" + strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(strings.Trim(path, "/")))
		a := reader.get(t, names.Replace(path))
		require.NotContains(t, a.text, `method="post"`, path)
	}
	for _, path := range []string{"/deliveries/replay", "/deliveries/msg_foreign1/replay", "/sweeps/run", "/sweeps/dry-run", "/sweeps/1/confirm"} {
		require.Equal(t, http.StatusForbidden, reader.post(t, path, url.Values{"number": {"20"}}).StatusCode, path)
	}
}

// TestPages_SignedOut: each page leads to the sign-in page and from there back, with no session and
// with one that isn't known.
func TestPages_SignedOut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, path := range append(somewhere(), "/audit?action=b&workspace=a") {
		for _, cookie := range []string{"", "rolecall_operator=stolen"} {
			a := d.get(t, path, "Cookie", cookie)
			require.Equal(t, http.StatusSeeOther, a.StatusCode, path)
			require.Equal(t, path, back(t, a.Header.Get("Location")))
			require.NotContains(t, a.text, "<nav")
		}
		signIn := url.Values{"token": {d.token}, "next": {path}}
		require.Equal(t, path, ask(t, newBrowser(t), newRequest(t, http.MethodPost, d.Admin("/sign-in"), signIn, nil)).Header.Get("Location"))
	}
}

// back returns the page to which a sign-in page leads.
func back(t *testing.T, signIn string) string {
	t.Helper()
	u, err := url.Parse(signIn)
	require.NoError(t, err)
	require.Equal(t, "/sign-in", u.Path)
	return cmp.Or(u.Query().Get("next"), "/")
}

// TestPages_WithTheDatabaseAway: a page that is open keeps what it showed and says that it is
// old. A page that is opened then says that the database is away, and nothing else; the manual's
// words are there. Afterwards everything is as before.
func TestPages_WithTheDatabaseAway(t *testing.T) {
	t.Parallel()
	cluster := pgtest.NewCluster(t, nil)
	way := pgtest.NewSwitch(t, cluster.Addr())
	address := way.URL(cluster.Migrated("app"))
	d := newDesk(t, func(_ *servicetest.Bundle, cfg *config.Config) { cfg.DatabaseURL = address })
	reader := newDesk(t, func(_ *servicetest.Bundle, cfg *config.Config) { cfg.DatabaseURL, cfg.OperatorTokens = address, "" })
	d.signIn(t)
	browser := browsertest.New(t)
	open := map[string]*browsertest.Page{}
	for i, path := range somewhere() {
		if _, main, _ := strings.Cut(reader.get(t, path).text, "<main"); !strings.Contains(main, "data-live") {
			continue // it doesn't follow what happens
		}
		view := views()[i%2]
		view.Failing = true
		open[path] = browser.Open(t, reader.Admin(path), view)
	}
	require.GreaterOrEqual(t, len(open), 6)
	mine := d.signedInTab(t, browser, browsertest.View{Width: 360, Failing: true})

	way.Turn("127.0.0.1:1")
	way.Cut()
	for path, tab := range open {
		kept := tab.Text("h1")
		tab.Await(`!document.getElementById("away").hidden`)
		require.Equal(t, kept, tab.Text("h1"))
		tab.Check("away-open" + strings.ReplaceAll(path, "/", "-"))
	}
	for _, path := range somewhere() {
		a, b := d.get(t, path), reader.get(t, path)
		if path == "/help/alarms" {
			require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{a.StatusCode, b.StatusCode})
			require.NotContains(t, a.text, "<nav", "it isn't known who asks")
			mine.Go(path)
			mine.Check("away-help")
			continue
		}
		require.Equal(t, http.StatusServiceUnavailable, a.StatusCode, path)
		require.Contains(t, a.text, "The database can&#39;t be reached", path)
		require.NotEmpty(t, a.Header.Get("Retry-After"), path)
		require.NotContains(t, a.text, "<nav", "it isn't known who asks")
		require.Equal(t, http.StatusServiceUnavailable, b.StatusCode, path)
		require.Contains(t, b.text, "The database can&#39;t be reached", path)
	}
	for path, withoutTokens := range map[string]int{"/nowhere": http.StatusNotFound, "/jobs/": http.StatusOK} { // they need no data
		require.Equal(t, http.StatusServiceUnavailable, d.get(t, path).StatusCode, "it isn't known who asks")
		require.Equal(t, withoutTokens, reader.get(t, path).StatusCode)
	}
	for i, view := range views() { // the pages look alike
		view.Failing = true
		tab := browser.Open(t, reader.Admin(somewhere()[i]), view)
		require.Equal(t, http.StatusServiceUnavailable, tab.Status())
		tab.Check("away-new")
	}
	mine.Go("/deliveries")
	mine.Check("away-signed-in")
	fresh := browser.Open(t, d.Admin("/"), browsertest.View{Width: 360, Dark: true, Failing: true})
	require.True(t, strings.HasPrefix(fresh.URL(), "/sign-in"), "without a cookie, nothing is read")
	fresh.Type("input[name=token]", d.token)
	fresh.Click("main button")
	require.Equal(t, http.StatusServiceUnavailable, fresh.Status())
	fresh.Check("away-sign-in")

	way.Turn(cluster.Addr())
	for _, tab := range open {
		tab.Await(`document.getElementById("away").hidden`)
	}
	require.Equal(t, http.StatusOK, d.get(t, "/").StatusCode)
}
