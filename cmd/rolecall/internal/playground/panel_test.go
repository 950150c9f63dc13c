package playground_test

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// TestPanel_TellsAChangeAtClerkToItsEnd: the webhook, the job, what changed, and the next decision.
func TestPanel_TellsAChangeAtClerkToItsEnd(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	s.atClerk("promote", "applied")
	s.requireBen(admin)
	s.await("audit:read")
	told := s.newest()
	for i, step := range []string{
		"At Clerk: promote Ben Okafor", "Webhook", "organizationMembership.updated", "200", "Job", "applied",
		"Changed", "Ben Okafor is now org:admin in Northwind Sales", "Then", "Ben Okafor asks for audit:read", "200 allowed",
	} {
		_, rest, found := strings.Cut(told, step)
		require.True(t, found, "step %d, %q, isn't after the others in %q", i, step, s.newest())
		told = rest
	}
	s.atClerk("add", "Ben Okafor is a member of Northwind Sales already")
	s.atClerk("remove", "applied")
	s.requireBen(stranger)
	s.await("404")
	s.ben.Go("/right/mail")
	s.ben.Go("/right/dashboard")
	s.panel.Check("panel-told")
}

// TestPanel_ShowsForeignNamesAsText, and what they hide.
func TestPanel_ShowsForeignNamesAsText(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	const name = "<img src=x onerror=alert(1)>"
	user, err := s.Simulator.World().CreateUser(clerksim.NewUser{FirstName: name, LastName: "\u202eevil", Emails: []string{"markup@example.test"}})
	require.NoError(t, err)
	_, err = s.Simulator.World().AddMember(s.northwind, user.ID, "")
	require.NoError(t, err)
	s.await("joined Northwind Sales")
	require.Contains(t, s.newest(), name+" \ufffdevil")
	s.panel.Check("panel-markup")
}

// TestPanel_IsTheSameInEachTab, also in one without a script after a reload.
func TestPanel_IsTheSameInEachTab(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	browser := browsertest.New(t)
	other := browser.Open(t, s.Playground+"/panel", browsertest.View{})
	plain := browser.Open(t, s.Playground+"/panel", browsertest.View{NoScript: true})
	plain.Click("button[value='drop on']")
	require.Contains(t, plain.Text("#rows article:first-child"), "Lose webhooks: on")
	for _, page := range []*browsertest.Page{s.panel, other, plain} {
		page.Await("document.querySelector('button[value=\"drop off\"]')?.ariaPressed === 'true'")
	}
	other.Click("button[value='normal']")
	s.panel.Await("!document.querySelector('[aria-pressed=true]')")
	s.panel.Await("document.querySelector('#rows').innerText.includes('Back to normal')")
}

// TestPanel_StaysSmall after hundreds of events, and it refuses switches that don't exist.
func TestPanel_StaysSmall(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	post := func(form url.Values) int {
		answer, err := http.PostForm(d.Playground+"/panel/switch", form)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	for range 100 {
		require.Equal(t, http.StatusOK, post(url.Values{"turn": {"repeat on"}}))
		_, err := d.Simulator.World().CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
	}
	for _, form := range []url.Values{
		{}, {"turn": {"gravity on"}}, {"turn": {"delay on"}, "seconds": {"601"}}, {"turn": {"delay on"}, "seconds": {"65000"}},
	} {
		require.Equal(t, http.StatusUnprocessableEntity, post(form), form)
	}
	page := browsertest.New(t).Open(t, d.Playground+"/panel", browsertest.View{})
	page.Await("document.querySelectorAll('#rows article').length === 15")
	require.Zero(t, d.Simulator.Switches().Delay)
}

// TestPanel_KeepsNoDemoFromEnding, although open panels always wait for something to happen.
func TestPanel_KeepsNoDemoFromEnding(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	browser := browsertest.New(t)
	for range 2 {
		browser.Open(t, d.Playground+"/panel", browsertest.View{}).Await("performance.getEntriesByType('resource').some(r => r.name.includes('/panel'))")
	}
	require.NoError(t, d.Close(t.Context()))
	_, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.Playground, "http://"))
	require.Error(t, err)
}
