package playground_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/demo"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// stage is a demo of a test's own, because its switches are for everybody, with three tabs.
type stage struct {
	*demo.Demo
	t               *testing.T
	ada, ben, panel *browsertest.Page
	northwind       string // the workspace of both: Ada is an admin, and Ben is a member
	benID           string
}

// startDemo starts a demo that ends with the test.
func startDemo(t *testing.T) *demo.Demo {
	t.Helper()
	const anyAddress = "127.0.0.1:0"
	log := &testlog.Lines{}
	d, err := demo.Start(t.Context(), demo.Options{
		Listen: anyAddress, Admin: anyAddress, Simulator: anyAddress, Playground: anyAddress, Seed: 1, DatabaseURL: pgtest.EmptyURL(t),
	}, log)
	require.NoError(t, err, log.String())
	t.Cleanup(func() { require.NoError(t, d.Close(context.WithoutCancel(t.Context())), log.String()) })
	return d
}

// setStage signs Ada and Ben in, and opens the panel.
func setStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, Demo: startDemo(t)}
	northwind, _ := s.Cast.Workspace("northwind")
	member, _ := s.Cast.Person("member")
	s.northwind, s.benID = northwind.ID, member.UserID
	browser := browsertest.New(t)
	s.ada, s.ben = s.window(browser, "/left"), s.window(browser, "/right")
	s.panel = browser.Open(t, s.Playground+"/panel", browsertest.View{Width: 400})
	return s
}

// window opens one of the two windows by itself.
func (s *stage) window(browser *browsertest.Browser, window string) *browsertest.Page {
	s.t.Helper()
	page := browser.Open(s.t, s.Playground+"/", browsertest.View{Failing: true})
	page.Click("form[action='/two'] button")
	page.Go(window + "/dashboard")
	require.Equal(s.t, http.StatusOK, page.Status())
	return page
}

// standing is what Ben may do.
type standing string

const (
	admin    standing = "an admin"
	member   standing = "a member"
	stranger standing = "a stranger"
)

// requireBen fails the test unless Ben's next click shows what he may do: only admins read the
// audit log.
func (s *stage) requireBen(want standing) {
	s.t.Helper()
	s.ben.Go("/right/audit")
	found := map[int]standing{http.StatusOK: admin, http.StatusForbidden: member, http.StatusNotFound: stranger}[s.ben.Status()]
	require.Equal(s.t, want, found, "status %d", s.ben.Status())
}

// turn presses a switch of the panel.
func (s *stage) turn(key string) {
	s.t.Helper()
	s.panel.Click(fmt.Sprintf("button[name=turn][value^='%s']", key))
}

// sweep presses the button, and returns what the panel says of it.
func (s *stage) sweep() string {
	s.t.Helper()
	s.panel.Click("form[action='/panel/sweep'] button")
	return s.newest()
}

// newest is the text of the panel's newest row.
func (s *stage) newest() string {
	s.t.Helper()
	return s.panel.Text("#rows article:first-child")
}

// atClerk changes Ben's membership in Clerk's own dashboard, and waits until the panel shows that
// the webhook came as far as one of the texts says.
func (s *stage) atClerk(do string, until ...string) {
	s.t.Helper()
	s.panel.Click(fmt.Sprintf("button[name=do][value=%s]", do))
	s.await(until...)
}

// guest is the address that was invited at Clerk just now.
func (s *stage) guest() string {
	s.t.Helper()
	newest := s.newest()
	_, told, found := strings.Cut(newest, "At Clerk: invite ")
	require.True(s.t, found, newest)
	return strings.Fields(told)[0]
}

// requireInvited fails the test unless the product shows, or doesn't show, a pending invitation.
func (s *stage) requireInvited(address string, want bool) {
	s.t.Helper()
	s.ada.Go("/left/settings/members")
	require.Equal(s.t, want, strings.Contains(s.ada.Text("main"), address), address)
}

// await waits until the newest row has one of some texts.
func (s *stage) await(texts ...string) {
	s.t.Helper()
	list, err := json.Marshal(texts)
	require.NoError(s.t, err)
	s.panel.Await(fmt.Sprintf("%s.some(text => document.querySelector('#rows article:first-child')?.innerText.includes(text))", list))
}

// setRole changes Ben's role in the product.
func (s *stage) setRole(role string) {
	s.t.Helper()
	s.ada.Go("/left/settings/members")
	form := fmt.Sprintf("form[action$='/role']:has(input[value='%s'])", s.benID)
	s.ada.Set(fmt.Sprintf("document.querySelector(%q).elements.role.value=%q", form, role))
	s.ada.Click(form + " button")
}

// remove removes Ben in the product.
func (s *stage) remove() {
	s.t.Helper()
	s.ada.Go("/left/settings/members")
	s.ada.Click(fmt.Sprintf("form[action$='/remove']:has(input[value='%s']) button", s.benID))
}

// invite invites an address in the product.
func (s *stage) invite(address string) {
	s.t.Helper()
	s.ada.Go("/left/settings/members")
	s.ada.Type("input[name=email]", address)
	s.ada.Click("form[action$='/invite'] button")
}

// rename renames the workspace in the product.
func (s *stage) rename(name string) {
	s.t.Helper()
	s.ada.Go("/left/settings")
	s.ada.Set(fmt.Sprintf("document.querySelector('#workspace input').value = %q", name))
	s.ada.Click("#workspace button")
	require.Equal(s.t, http.StatusOK, s.ada.Status())
}

// requireName fails the test unless Ben's next click shows this name of the workspace.
func (s *stage) requireName(name string) {
	s.t.Helper()
	s.ben.Go("/right/dashboard")
	require.Equal(s.t, name, s.ben.Text(".switcher summary"))
}

// requireOtherName fails the test if Ben's next click shows this name of the workspace.
func (s *stage) requireOtherName(name string) {
	s.t.Helper()
	s.ben.Go("/right/dashboard")
	require.NotEqual(s.t, name, s.ben.Text(".switcher summary"))
}

// renamedAtClerk renames the workspace in Clerk's own dashboard, and returns its new name.
func (s *stage) renamedAtClerk(until string) string {
	s.t.Helper()
	s.atClerk("rename", until)
	_, told, found := strings.Cut(s.newest(), "At Clerk: rename the workspace to ")
	require.True(s.t, found, s.newest())
	return told[:len("Northwind Sales, 15:04:05.000")] // the time of the row follows
}

// create lets Ben create a workspace, which becomes his active one.
func (s *stage) create(name string) {
	s.t.Helper()
	s.ben.Go("/right/create-workspace")
	s.ben.Type("input[name=name]", name)
	s.ben.Click("main form button")
	require.Equal(s.t, "/right/onboarding", s.ben.URL())
	s.requireBen(admin)
}

// leave lets Ben leave the workspace. Nobody asks for it as Ben afterwards.
func (s *stage) leave() {
	s.t.Helper()
	s.ben.Go("/right/settings")
	s.ben.Click("#leave button")
	s.ada.Go("/left/settings/members")
	require.NotContains(s.t, s.ada.Text("#members"), "Ben Okafor")
}

// requireNewMember accepts the newest invitation as somebody new, who lands in the dashboard.
func (s *stage) requireNewMember() {
	s.t.Helper()
	s.ben.Go("/mail")
	s.ben.Click("a[href^='/accept']")
	s.ben.Type("input[name=name]", "Nora Quist")
	s.ben.Click("form[action='/accept'] button")
	require.Equal(s.t, "/dashboard", s.ben.URL())
	require.Equal(s.t, http.StatusOK, s.ben.Status())
}

// accept opens the newest mail in Ben's window, and accepts the invitation.
func (s *stage) accept() {
	s.t.Helper()
	s.ben.Go("/right/mail")
	s.ben.Click("a[href^='/right/accept']")
	require.NotContains(s.t, s.ben.Text("main"), "This signs out")
	s.ben.Click("form[action='/right/accept'] button")
	require.Equal(s.t, "/right/dashboard", s.ben.URL())
}
