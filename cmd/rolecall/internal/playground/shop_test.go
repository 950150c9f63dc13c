package playground_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/demo"
)

// window is where visitors are. It has no panel, which would follow what all of them do.
const window = "/left"

// shop is a demo with a browser that several tests share. Each signs up people of its own.
type shop struct {
	*demo.Demo
	browser *browsertest.Browser
}

// visitor is a person who has signed up, with a tab of their own.
type visitor struct {
	*browsertest.Page
	t           *testing.T
	shop        *shop
	name, email string
	id          string
}

// arrive opens the product in a tab as a new person, who signs up.
func (s *shop) arrive(t *testing.T, name string) *visitor {
	t.Helper()
	v := &visitor{t: t, shop: s, name: name, email: strings.ToLower(rand.Text()) + "@example.test"}
	v.Page = s.browser.Open(t, s.Playground+window+"/sign-up", browsertest.View{})
	v.fill("input[name=name]", name)
	v.fill("input[name=email]", v.email)
	v.Click("main button")
	v.id = s.userID(t, v.email)
	return v
}

// Go opens a page in the person's window.
func (v *visitor) Go(path string) {
	v.t.Helper()
	v.Page.Go(window + path)
}

// fill writes into a field at once; to type takes a moment for each letter.
func (v *visitor) fill(field, text string) {
	v.t.Helper()
	v.Set(fmt.Sprintf("document.querySelector(%q).value = %q", field, text))
}

// URL is the path within the window.
func (v *visitor) URL() string {
	v.t.Helper()
	return strings.TrimPrefix(v.Page.URL(), window)
}

// userID returns the id of the user who has an address.
func (s *shop) userID(t *testing.T, email string) string {
	t.Helper()
	for id, user := range s.Simulator.World().Directory().Users {
		if user.Identifier() != nil && *user.Identifier() == email {
			return id
		}
	}
	require.Fail(t, "nobody has the address "+email)
	return ""
}

// found creates a workspace, and returns its id.
func (v *visitor) found(name string) string {
	v.t.Helper()
	v.Go("/create-workspace")
	v.fill("input[name=name]", name)
	v.Click("main button")
	require.Equal(v.t, "/onboarding", v.URL())
	return v.workspaces()[name]
}

// workspaces are the ids that the person's switcher offers, by name.
func (v *visitor) workspaces() map[string]string {
	v.t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(v.Value("[...document.querySelectorAll('.switcher button')].map(e => e.value + ' ' + e.firstChild.textContent.trim()).join('\\n')")) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = id
	}
	return found
}

// invite invites an address.
func (v *visitor) invite(email, role string) {
	v.t.Helper()
	v.Go("/settings/members")
	v.fill("input[name=email]", email)
	v.fill("form[action$=invite] select", role)
	v.Click("form[action$=invite] button")
	require.Contains(v.t, v.Text("#invitations"), email)
}

// accept opens the newest mail of the person's own address, and accepts the invitation.
func (v *visitor) accept() {
	v.t.Helper()
	v.Go("/accept?ticket=" + v.shop.Simulator.Mail(v.email)[0].Ticket)
	v.Click("main form button")
}

// joined returns a new member of the admin's workspace.
func (s *shop) joined(t *testing.T, admin *visitor, name, role string) *visitor {
	t.Helper()
	v := s.arrive(t, name)
	admin.invite(v.email, role)
	v.accept()
	require.Equal(t, "/dashboard", v.URL())
	return v
}

// setRole gives a member another role.
func (v *visitor) setRole(of *visitor, role string) {
	v.t.Helper()
	v.Go("/settings/members")
	form := fmt.Sprintf("form[action$=role]:has(input[value=%s])", of.id)
	v.fill(form+" select", role)
	v.Click(form + " button")
	require.Equal(v.t, http.StatusOK, v.Status())
}

// remove removes a member.
func (v *visitor) remove(whom *visitor) {
	v.t.Helper()
	v.Go("/settings/members")
	v.Click(fmt.Sprintf("form[action$=remove]:has(input[value=%s]) button", whom.id))
	require.NotContains(v.t, v.Text("#members"), whom.email)
}

// switchTo chooses a workspace in the switcher.
func (v *visitor) switchTo(workspaceID string) {
	v.t.Helper()
	v.Press(".switcher summary")
	v.Click(fmt.Sprintf(".switcher button[value=%s]", workspaceID))
}

// caller is a program without a browser's manners, which keeps cookies.
type caller struct {
	t *testing.T
	*http.Client
	base string
}

// calls signs a user in in all windows, without a browser.
func (s *shop) calls(t *testing.T, userID string) *caller {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &caller{t, &http.Client{Jar: jar, Transport: transport}, s.Playground}
	for _, w := range []string{"", "/left", "/right"} {
		status, _ := c.do(http.MethodPost, w+"/sign-in", url.Values{"user_id": {userID}})
		require.Equal(t, http.StatusOK, status)
	}
	return c
}

// do asks, with headers in pairs, and returns the status and the page to which that led.
func (c *caller) do(method, path string, form url.Values, headers ...string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(form.Encode()))
	require.NoError(c.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	response, err := c.Do(r)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response.StatusCode, string(text)
}
