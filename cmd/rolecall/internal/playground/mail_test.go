package playground_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

// TestMail_AcceptsAsTheInvitedPerson, whoever was signed in before: the link decides, as at Clerk.
func TestMail_AcceptsAsTheInvitedPerson(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	link := "/left/accept?ticket=" + s.Simulator.Mail("iris@callmine.test")[0].Ticket
	s.ada.Go(link)
	require.Contains(t, s.ada.Text("main"), "This signs out Ada Berg here")
	s.turn("down on")
	s.ada.Type("input[name=name]", "Iris")
	s.ada.Click("main form button")
	require.Equal(t, http.StatusServiceUnavailable, s.ada.Status())
	s.turn("down off")
	s.ada.Go(link)
	s.ada.Type("input[name=name]", "Iris <b>Vale</b>")
	s.ada.Click("main form button")
	require.Equal(t, "/left/dashboard", s.ada.URL())
	require.Equal(t, http.StatusOK, s.ada.Status())
	require.Contains(t, s.ada.Text("header"), "Iris <b>Vale</b>")
	s.ada.Go(link)
	require.Contains(t, s.ada.Text("main"), "This invitation is accepted")
}

// TestMail_SaysWhatBecameOfALink that can't be accepted any more, or never could.
func TestMail_SaysWhatBecameOfALink(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	northwind, _ := d.Cast.Workspace("northwind")
	revoked, err := d.Simulator.World().Invite(northwind.ID, "", "revoked@example.test", "")
	require.NoError(t, err)
	_, err = d.Simulator.World().Revoke(revoked.ID)
	require.NoError(t, err)
	page := browsertest.New(t).Open(t, d.Playground+"/mail", browsertest.View{})
	require.NotContains(t, page.Text("main"), "No mail")
	for address, state := range map[string]string{"revoked@example.test": "revoked", "kemal@callmine.test": "expired"} {
		ticket := d.Simulator.Mail(address)[0].Ticket
		page.Go("/accept?ticket=" + ticket)
		page.Check("mail-" + state)
		require.Contains(t, page.Text("main"), "This invitation is "+state)
		require.Equal(t, http.StatusConflict, accept(t, d.Playground, ticket))
	}
	require.Equal(t, http.StatusNotFound, accept(t, d.Playground, "forged"))
	require.Equal(t, http.StatusNotFound, accept(t, d.Playground, ""))
	require.Empty(t, accepted(d.Simulator))
}

// accept sends the form of an opened link.
func accept(t *testing.T, playground, ticket string) int {
	t.Helper()
	answer, err := http.PostForm(playground+"/accept", url.Values{"ticket": {ticket}, "name": {"Mallory"}})
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

func accepted(sim *simulator.Simulator) (all []simulator.Mail) {
	for _, mail := range sim.Mail("") {
		if mail.State == clerksim.InvitationAccepted {
			all = append(all, mail)
		}
	}
	return all
}
