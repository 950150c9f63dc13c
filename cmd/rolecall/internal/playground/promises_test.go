package playground_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
)

// TestPromises: each sentence of the product's help pages holds, in a real browser. All share one
// demo, and none needs another.
//
//nolint:paralleltest // each promise says itself that it is parallel
func TestPromises(t *testing.T) {
	t.Parallel()
	s := &shop{startDemo(t), browsertest.New(t)}
	t.Run("a new account is led to create a workspace and lands in onboarding as its first admin", s.newAccount)
	t.Run("only admins see the Members tab", s.membersTab)
	t.Run("an invitation as admin or as member joins that workspace and no other and lands in its dashboard", s.invitation)
	t.Run("a member runs analyses, reads reports, writes prompts and uses the library", s.memberWorks)
	t.Run("a member sees billing, integrations, schedules and audit greyed out and gets a 403 when trying anyway", s.greyedOut)
	t.Run("promotion and demotion hold at the next click", s.promotion)
	t.Run("removal holds at the next page load", s.removal)
	t.Run("what the removed person did stays theirs", s.staysTheirs)
	t.Run("nobody sees another workspace, not even as another workspace's admin", s.isolation)
	t.Run("people switch between their workspaces", s.switching)
	t.Run("leaving deletes nothing", s.leaving)
	t.Run("re-invitation restores access", s.reinvitation)
	t.Run("renaming is seen by all", s.renaming)
}

func (s *shop) newAccount(t *testing.T) {
	t.Parallel()
	v := s.arrive(t, "Robin Vale")
	require.Equal(t, "/create-workspace", v.URL())
	for _, elsewhere := range []string{"/dashboard", "/settings", "/audit", "/onboarding"} {
		v.Go(elsewhere)
		require.Equal(t, "/create-workspace", v.URL(), elsewhere)
	}
	v.fill("input[name=name]", "Robin's team")
	v.Click("main button")
	require.Equal(t, "/onboarding", v.URL())
	require.Contains(t, v.Text("h1"), "Robin's team")
	require.Contains(t, v.Text(".who"), "Robin Vale admin")
	v.Click("main p a")
	require.Equal(t, "/dashboard", v.URL())
	v.Go("/settings/members")
	require.Equal(t, http.StatusOK, v.Status())
	require.Contains(t, v.Text("#members"), v.email)
}

func (s *shop) membersTab(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Tab Admin")
	admin.found("Tabs")
	member := s.joined(t, admin, "Tab Member", "member")
	for _, v := range []*visitor{admin, member} {
		v.Go("/settings")
	}
	require.Contains(t, admin.Text(".tabs"), "Members")
	require.NotContains(t, member.Text(".tabs"), "Members")
	member.Go("/settings/members")
	require.Equal(t, http.StatusForbidden, member.Status())
	require.NotContains(t, member.Text("main"), admin.email)
}

func (s *shop) invitation(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Ina Host")
	admin.found("Other house")
	house := admin.found("House")
	for _, role := range []string{"admin", "member"} {
		guest := s.joined(t, admin, "Guest "+role, role)
		require.Contains(t, guest.Text(".who"), role)
		require.Equal(t, map[string]string{"House": house}, guest.workspaces())
	}
	// who is an admin elsewhere lands in the new workspace, too
	owner := s.arrive(t, "Olga Owner")
	owner.found("Owner's house")
	admin.invite(owner.email, "member")
	owner.accept()
	require.Equal(t, "/dashboard", owner.URL())
	require.Equal(t, "House", owner.Text(".switcher summary"))
	// a stranger's link makes the account, too
	admin.invite("new."+admin.email, "member")
	guest := s.browser.Open(t, s.Playground+window+"/accept?ticket="+s.Simulator.Mail("new." + admin.email)[0].Ticket, browsertest.View{})
	guest.Type("input[name=name]", "Nora New")
	guest.Click("main form button")
	require.Equal(t, window+"/dashboard", guest.URL())
	require.Contains(t, guest.Text(".who"), "Nora New member")
	// a revoked invitation joins nothing
	admin.invite("revoked."+admin.email, "admin")
	admin.Click("#invitations button")
	require.NotContains(t, admin.Text("main"), "revoked."+admin.email)
	guest.Go(window + "/accept?ticket=" + s.Simulator.Mail("revoked." + admin.email)[0].Ticket)
	require.Contains(t, guest.Text("main"), "revoked")
}

func (s *shop) memberWorks(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Wanda Works")
	admin.found("Works")
	member := s.joined(t, admin, "Milo Works", "member")
	member.Go("/new")
	member.fill("main form input[name=name]", "Call with Acme")
	member.Click("main form button")
	require.True(t, strings.HasPrefix(member.URL(), "/reports/report_"), member.URL())
	require.Contains(t, member.Text("main"), "by Milo Works")
	admin.Go(member.URL())
	require.Contains(t, admin.Text("main"), "by Milo Works")
	member.Go("/library")
	member.Click("main .card:first-child button")
	require.Equal(t, "/prompts", member.URL())
	require.Contains(t, member.Text("main"), "Objections")
	member.fill("main form input[name=name]", "Milo's prompt")
	member.fill("textarea", "What did they say about lunch?")
	member.Click("main form button")
	for _, v := range []*visitor{admin, member} {
		v.Go("/prompts")
		require.Contains(t, v.Text("main"), "What did they say about lunch?")
		v.Go("/new")
		require.Contains(t, v.Text("select[name=prompt]"), "Milo's prompt")
		v.Go("/dashboard")
		require.Contains(t, v.Text("main"), "Call with Acme")
	}
}

func (s *shop) greyedOut(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Greta Grey")
	admin.found("Greys")
	member := s.joined(t, admin, "Mina Grey", "member")
	for part, permission := range map[string]string{"billing": "billing:manage", "integrations": "integrations:manage", "schedules": "schedules:manage"} {
		member.Go("/settings")
		section := "#" + part + ".grey "
		require.Contains(t, member.Text(section), "try anyway")
		require.Equal(t, "true", member.Value(fmt.Sprintf("String(document.querySelector('%sbutton').disabled)", section)))
		member.Set("document.querySelectorAll('input[required]').forEach(e => e.value ||= 'Digest')")
		member.Click(section + "button.try")
		require.Equal(t, http.StatusForbidden, member.Status())
		require.Contains(t, member.Text("#request"), "GET /v1/authorize?permission="+url.QueryEscape(permission))
		require.Contains(t, member.Text("#answer"), `"reason":"permission_missing"`)
	}
	member.Go("/settings")
	require.Contains(t, member.Text("#billing"), "Starter")
	require.Equal(t, "Starter", member.Value("document.querySelector('#billing select').value"), "nothing was changed")
	require.Contains(t, member.Text("header nav .off"), "Audit")
	member.Click("header nav a.try")
	require.Equal(t, http.StatusForbidden, member.Status())
	require.Contains(t, member.Text("#answer"), "permission_missing")
	// a command is refused by Rolecall's command itself
	member.Go("/settings")
	member.Click("#workspace button.try")
	require.Equal(t, http.StatusForbidden, member.Status())
	require.Contains(t, member.Text("#request"), "PATCH /v1/workspaces/org_")

	admin.Go("/settings")
	require.NotContains(t, admin.Text("body"), "try anyway")
	admin.fill("#billing select", "Scale")
	admin.Click("#billing button")
	require.Contains(t, admin.Text(".notice"), "Scale")
	admin.Click("#integrations button")
	require.Contains(t, admin.Text("#integrations .tag.ok"), "connected")
	admin.fill("#schedules input[name=name]", "Digest")
	admin.Click("#schedules button")
	admin.fill("#schedules select", "every Monday")
	admin.Click("#schedules button[value=changed]")
	require.Equal(t, "every Monday", admin.Value("document.querySelector('#schedules select').value"))
	admin.Click("#schedules button[value=deleted]")
	admin.Go("/audit")
	for _, done := range []string{"plan.changed", "integration.changed", "schedule.created", "schedule.changed", "schedule.deleted"} {
		require.Contains(t, admin.Text("table"), done)
	}
}

func (s *shop) promotion(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Pia Up")
	admin.found("Ladder")
	member := s.joined(t, admin, "Moe Up", "member")
	for range 2 {
		admin.setRole(member, "admin")
		member.Click("header nav a[href$='/audit']")
		require.Equal(t, http.StatusOK, member.Status())
		admin.setRole(member, "member")
		member.Click("header nav a[href$='/audit']")
		require.Equal(t, http.StatusForbidden, member.Status())
	}
	// the last admin stays one
	admin.Go("/settings/members")
	form := fmt.Sprintf("form[action$=role]:has(input[value=%s])", admin.id)
	admin.fill(form+" select", "member")
	admin.Click(form + " button")
	require.Equal(t, http.StatusConflict, admin.Status())
	require.Contains(t, admin.Text("#answer"), "last-admin")
}

func (s *shop) removal(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Rita Door")
	admin.found("Doors")
	member := s.joined(t, admin, "Max Door", "member")
	admin.remove(member)
	for _, path := range []string{"/dashboard", "/new", "/prompts", "/library", "/settings", "/settings/members", "/audit"} {
		member.Go(path)
		require.Equal(t, http.StatusNotFound, member.Status(), path)
		require.Contains(t, member.Text("h1"), "You're no longer a member of Doors")
		require.NotContains(t, member.Text("main"), "Rita")
	}
	member.found("Max's own")
	admin.Go("/settings/members")
	require.NotContains(t, admin.Text("#members"), member.email)
}

func (s *shop) staysTheirs(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Sue Keep")
	admin.found("Keepers")
	member := s.joined(t, admin, "Gus Keep", "member")
	member.Go("/new")
	member.fill("main form input[name=name]", "Gus's last call")
	member.Click("main form button")
	report := member.URL()
	admin.remove(member)
	member.Go(report)
	require.Equal(t, http.StatusNotFound, member.Status())
	admin.Go(report)
	require.Contains(t, admin.Text("main"), "by Gus Keep")
	admin.Go("/audit")
	require.Contains(t, admin.Text("table"), "Gus Keep\treport.created")
	require.Contains(t, admin.Text("table"), "Sue Keep\tmember.removed\tGus Keep")
}

func (s *shop) switching(t *testing.T) {
	t.Parallel()
	v := s.arrive(t, "Sam Two")
	first, second := v.found("First"), v.found("Second")
	for _, to := range []struct{ id, name string }{{first, "First"}, {second, "Second"}, {first, "First"}} {
		v.switchTo(to.id)
		require.Equal(t, "/dashboard", v.URL())
		require.Equal(t, to.name, v.Text(".switcher summary"))
		v.Go("/new")
		v.fill("main form input[name=name]", "Call in "+to.name)
		v.Click("main form button")
	}
	v.switchTo(second)
	require.Contains(t, v.Text("main"), "Call in Second")
	require.NotContains(t, v.Text("main"), "Call in First")
}

func (s *shop) leaving(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Lea Stay")
	admin.found("Stayers")
	member := s.joined(t, admin, "Lou Leave", "member")
	member.Go("/new")
	member.fill("main form input[name=name]", "Lou's call")
	member.Click("main form button")
	report := member.URL()
	member.Go("/settings")
	member.Click("#leave button")
	require.Equal(t, "/create-workspace", member.URL(), "no workspace is left")
	member.Go(report)
	require.Equal(t, "/create-workspace", member.URL())
	admin.Go(report)
	require.Contains(t, admin.Text("main"), "by Lou Leave")
	admin.Go("/audit")
	require.Contains(t, admin.Text("table"), "Lou Leave\tmember.left")
	// the last admin can't
	admin.Go("/settings")
	admin.Click("#leave button")
	require.Equal(t, http.StatusConflict, admin.Status())
}

func (s *shop) reinvitation(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Ria Back")
	admin.found("Returns")
	member := s.joined(t, admin, "Bo Back", "member")
	member.Go("/new")
	member.fill("main form input[name=name]", "Bo's first call")
	member.Click("main form button")
	admin.remove(member)
	member.Go("/dashboard")
	require.Equal(t, http.StatusNotFound, member.Status())
	admin.invite(member.email, "admin")
	member.accept()
	require.Equal(t, "/dashboard", member.URL())
	require.Equal(t, http.StatusOK, member.Status())
	require.Contains(t, member.Text("main"), "Bo's first call")
	require.Contains(t, member.Text(".who"), "admin")
}

func (s *shop) renaming(t *testing.T) {
	t.Parallel()
	admin := s.arrive(t, "Ren Name")
	admin.found("Old name")
	member := s.joined(t, admin, "Nat Name", "member")
	admin.Go("/settings")
	admin.fill("#workspace input", "New name")
	admin.Click("#workspace button")
	for _, v := range []*visitor{admin, member} {
		v.Go("/dashboard")
		require.Equal(t, "New name", v.Text(".switcher summary"))
	}
}
