package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// TestButtons_InABrowser presses what changes something, with and without JavaScript. Each press
// is in the audit log.
func TestButtons_InABrowser(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	for name, view := range map[string]browsertest.View{"script": {Width: 1440}, "no script": {Width: 360, NoScript: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBusy(t, 30)
			tab := b.signedInTab(t, browser, view)
			id := b.newest(t, "organization.created")
			tab.Go("/deliveries/" + id)
			tab.Click("main form button")
			require.Equal(t, "/deliveries/"+id, tab.URL())
			require.Contains(t, tab.Text("main"), "The delivery is replayed")
			tab.Go("/deliveries?state=quarantined")
			tab.Click(".replay button")
			require.Contains(t, tab.Text("main"), "3 stay: delivery of another Clerk instance")
			tab.Check("pressed-replay")
			b.pressSweeps(t, tab)
			tab.Go("/audit")
			tab.Press(`a[href^="/audit/export.csv"]`)
			servicetest.Eventually(t, func() bool {
				return strings.Contains(strings.Join(b.logged(t), "\n"), "operator.exported /audit/export.csv")
			}, "the export is audited")
			tab.Go("/")
			tab.Click("header button")
			require.Equal(t, "/sign-in", tab.URL())
			require.Equal(t, []string{
				"operator:ada operator.signed_in ada", "operator:ada operator.signed_in ada",
				"operator:ada operator.deliveries_replayed " + id, "operator:ada operator.deliveries_replayed quarantined",
				"operator:ada operator.sweep_ordered everything", "operator:ada operator.sweep_ordered everything",
				"operator:ada operator.sweep_ordered everything", "operator:ada operator.sweep_ordered everything",
				"operator:ada operator.exported /audit/export.csv", "operator:ada operator.signed_out ada",
			}, b.logged(t))
		})
	}
}

// pressSweeps orders a sweep and a dry run, and confirms the sweep that was stopped, by a wrong
// number and by the right one.
func (b *busy) pressSweeps(t *testing.T, tab *browsertest.Page) {
	t.Helper()
	press := func(action string, ended int) {
		tab.Go("/sweeps")
		tab.Click(`form[action="` + action + `"] button`)
		b.ordered(t, ended)
	}
	press("/sweeps/run", 1)
	for _, u := range b.members[:20] {
		require.NoError(t, b.Clerk.RemoveMember(b.workspace, u.ID))
	}
	b.Clerk.Drain() // the webhooks are lost
	press("/sweeps/dry-run", 2)
	press("/sweeps/run", 3)
	tab.Go("/sweeps/3")
	tab.Type("input[name=number]", "19")
	tab.Click(".confirm button")
	require.Equal(t, http.StatusBadRequest, tab.Status())
	require.Contains(t, tab.Text("main"), "The number isn't 20")
	tab.Check("pressed-wrong-number")
	tab.Go("/sweeps/3")
	tab.Type("input[name=number]", "20")
	tab.Click(".confirm button")
	b.ordered(t, 4)
	tab.Go("/sweeps/4")
	require.Contains(t, tab.Text("main"), "20 removed")
}

// TestButtons_OfJobs: River UI's buttons work under its policy, and each press is audited.
func TestButtons_OfJobs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var id int64
	require.NoError(t, d.DB.QueryRow(t.Context(), `INSERT INTO rolecall.river_job (args, kind, max_attempts, queue, state, scheduled_at)
		VALUES ('{}', 'other', 1, 'unworked', 'scheduled', now() + interval '1 day') RETURNING id`).Scan(&id))
	tab := d.signedInTab(t, browsertest.New(t), browsertest.View{})
	tab.Go(fmt.Sprintf("/jobs/jobs/%d", id))
	press := func(word, state string) {
		button := `[...document.querySelectorAll("button")].find(b => b.innerText.trim() === "` + word + `" && !b.disabled)`
		tab.Await(button)
		tab.Set(button + ".click()")
		servicetest.Eventually(t, func() bool {
			var now string
			err := d.DB.QueryRow(t.Context(), "SELECT state FROM rolecall.river_job WHERE id = $1", id).Scan(&now)
			return err == nil && now == state
		}, word)
	}
	press("Cancel", "cancelled")
	press("Retry", "available")
	tab.CheckForeign("pressed-jobs")
	require.Equal(t, []string{
		"operator:ada operator.signed_in ada", "operator:ada operator.jobs_changed jobs/cancel", "operator:ada operator.jobs_changed jobs/retry",
	}, d.logged(t))
}

// TestKeyboard_IsEnough: without a mouse, an operator signs in, finds a workspace, and asks why a
// member may do nothing.
func TestKeyboard_IsEnough(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := fillTown(t, d.Bundle)
	tab := browsertest.New(t).Open(t, d.Admin("/workspaces"), browsertest.View{})
	reach := func(element string) {
		for presses := 0; !tab.Focused(element); presses++ {
			require.Less(t, presses, 40, "%s can't be reached at %s", element, tab.URL())
			tab.Keys(kb.Tab)
		}
	}
	arrive := func(path string) {
		servicetest.Eventually(t, func() bool { return tab.URL() == path }, path)
		tab.Await("document.readyState === 'complete'") // a page that is being read takes no keys
	}
	tab.Await("document.activeElement.matches('input[name=token]')") // the field waits for the token
	tab.Keys(d.token + kb.Enter)
	arrive("/workspaces")
	tab.Keys(kb.Tab)
	tab.Await("document.activeElement.matches('.skip')") // the first key skips the navigation
	reach("input[name=q]")
	tab.Keys("northwind" + kb.Enter)
	arrive("/workspaces?q=northwind")
	reach(`a[href="/workspaces/` + w.northwind + `"]`)
	tab.Keys(kb.Enter)
	arrive("/workspaces/" + w.northwind)
	reach("input[name=user]")
	tab.Keys("jane@northwind.example")
	reach("input[name=permission]")
	tab.Keys("billing:manage" + kb.Enter)
	arrive("/workspaces/" + w.northwind + "/can?user=" + url.QueryEscape("jane@northwind.example") + "&permission=" + url.QueryEscape("billing:manage"))
	require.Contains(t, tab.Text(".verdict"), "No")
	tab.Check("by-keyboard")
}
