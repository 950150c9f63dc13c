package console_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/console"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// look is a page in a state of the service.
type look struct {
	name string // of the screenshot
	path string // in the browser
	says string // a part of its text
}

// looks are all pages in a state, by the path that the console's list gives each.
type looks map[string][]look

// TestPages_InEveryState looks at each page of the console in each state of the service. A page
// that has no row in a state fails.
func TestPages_InEveryState(t *testing.T) {
	t.Parallel()
	lookAtAll(t, map[string]opener{"empty": emptyService, "busy": busyService, "alarm": alarmedService}, shows)
}

// TestPages_InEveryView looks at all there is in a busy service, in all views.
func TestPages_InEveryView(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	lookAtAll(t, map[string]opener{"busy": busyService}, func(string, string, int) bool { return true })
}

// opener starts a service in a state, and returns where to look.
type opener func(t *testing.T) (*desk, looks)

// lookAtAll looks at all pages of services. What full says is seen in all views, the rest in one.
func lookAtAll(t *testing.T, services map[string]opener, full func(state, pattern string, nth int) bool) {
	t.Helper()
	browser := browsertest.New(t)
	for name, open := range services {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, all := open(t)
			hasEachPage(t, all)
			inViews(t, browser, d, name, all, full)
		})
	}
}

// hasEachPage fails the test unless each page has a row, and each row its page.
func hasEachPage(t *testing.T, all looks) {
	t.Helper()
	require.ElementsMatch(t, console.PagePaths(), slices.Collect(maps.Keys(all)))
}

// shows reports whether a page shows a state at length: of a busy service, the first look at each
// page. Other pages have little more than a mark.
func shows(state, pattern string, nth int) bool {
	operating := []string{"/{$}", "/deliveries", "/deliveries/{id}", "/sweeps", "/sweeps/{number}"}
	return state == "busy" && nth == 0 || state == "alarm" && slices.Contains(operating, pattern)
}

// inViews looks at pages as ada. A page that doesn't show the state is seen in one view, and the
// next such page in another.
func inViews(t *testing.T, browser *browsertest.Browser, d *desk, state string, all looks, full func(string, string, int) bool) {
	t.Helper()
	tabs := []*browsertest.Page{}
	for _, view := range views() {
		tabs = append(tabs, d.signedInTab(t, browser, view))
	}
	turn := 0
	var missed []string
	for _, pattern := range console.PagePaths() {
		for nth, l := range all[pattern] {
			in := tabs
			if !full(state, pattern, nth) {
				in = tabs[turn%len(tabs):][:1]
			}
			turn++
			for _, tab := range in {
				tab.Go(l.path)
				if text := tab.Text("main"); !strings.Contains(text, l.says) {
					missed = append(missed, fmt.Sprintf("%s doesn't say %q: %.300s", l.path, l.says, text))
				}
				tab.Check(state + "-" + l.name)
			}
		}
	}
	require.Empty(t, missed)
}

// signedInTab opens a tab in which ada is signed in.
func (d *desk) signedInTab(t *testing.T, browser *browsertest.Browser, view browsertest.View) *browsertest.Page {
	t.Helper()
	tab := browser.Open(t, d.Admin("/sign-in?next=%2Fhelp%2Falarms"), view)
	tab.Type("input[name=token]", d.token)
	tab.Click("main button")
	require.Equal(t, "/help/alarms", tab.URL())
	return tab
}

// emptyService has a mirror without anything. What isn't there has a page that says so.
func emptyService(t *testing.T) (*desk, looks) {
	t.Helper()
	d := newDesk(t)
	d.exec(t, "DELETE FROM rolecall.sweeps")
	const none, nobody = "/workspaces/org_none", "/users/user_none"
	return d, looks{
		"/{$}":                         {{"status", "/", "No delivery came in the last 30 days. Clerk's dashboard shows what it sent"}},
		"/deliveries":                  {{"deliveries", "/deliveries", "No delivery came"}, {"deliveries-found", "/deliveries?type=none", "Leave a filter out"}},
		"/deliveries/{id}":             {{"delivery", "/deliveries/msg_none", "The ledger doesn't have this delivery"}},
		"/sweeps":                      {{"sweeps", "/sweeps", "No sweep has begun yet"}},
		"/sweeps/{number}":             {{"sweep", "/sweeps/1", "There is no report of this sweep"}},
		"/help/alarms":                 {{"help", "/help/alarms", "An alarm needs an operator"}},
		"/audit":                       {{"audit", "/audit", "operator.signed_in"}, {"audit-found", "/audit?workspace=instance&action=none", "Leave one out"}},
		"/audit/verified":              {{"verified", "/audit/verified?workspace=instance", "as recorded"}, {"verified-choose", "/audit/verified", "Say which"}},
		"/audit/access-review":         {{"access-review", "/audit/access-review", "Choose a workspace"}},
		"/workspaces":                  {{"workspaces", "/workspaces", "The first sweep or webhook brings them"}, {"workspaces-found", "/workspaces?q=a", "search deleted ones"}},
		"/workspaces/{id}":             {{"workspace", none, "There is no such workspace"}},
		"/workspaces/{id}/members":     {{"members", none + "/members", "There is no such workspace"}},
		"/workspaces/{id}/invitations": {{"invitations", none + "/invitations", "There is no such workspace"}},
		"/workspaces/{id}/can":         {{"workspace-can", none + "/can", "There is no such workspace"}},
		"/workspaces/attention":        {{"attention", "/workspaces/attention", "after the first clean sweep"}},
		"/users":                       {{"users", "/users", "The first sweep or webhook brings them"}, {"users-found", "/users?q=a", "Write less of it"}},
		"/users/{id}":                  {{"user", nobody, "There is no such user"}},
		"/users/{id}/can":              {{"user-can", nobody + "/can", "There is no such user"}},
	}
}

// busyService has people, workspaces, deliveries, clean sweeps and workspaces that need attention.
// Names are hostile.
func busyService(t *testing.T) (*desk, looks) {
	t.Helper()
	b := newBusy(t, 3)
	b.exec(t, "DELETE FROM rolecall.deliveries WHERE state = 'quarantined'")
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/run", nil).StatusCode)
	b.ordered(t, 1)
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/dry-run", nil).StatusCode)
	b.ordered(t, 2)
	w := fillTown(t, b.Bundle)
	for _, role := range []string{clerksim.RoleAdmin, clerksim.RoleMember} {
		_, err := w.Clerk.SetRole(w.northwind, w.jane, role)
		require.NoError(t, err)
		w.Send(t, w.Clerk.Drain()...)
	}
	b.exec(t, `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
		SELECT 'orgmem_m' || n, $1, 'user_m' || n, 'org:member', now() + n * interval '1 ms' FROM generate_series(1, 60) n`, w.northwind)
	judged(t, b.desk, 60)
	workspace, jane := "/workspaces/"+w.northwind, "/users/"+w.jane
	can := func(question string) string { return workspace + "/can?" + question }
	return b.desk, looks{
		"/{$}":             {{"status", "/", "Newest deliveries"}, {"status-6h", "/?over=6h", "Newest deliveries"}},
		"/deliveries":      {{"deliveries", "/deliveries", `\u202eevil`}},
		"/deliveries/{id}": {{"delivery", "/deliveries/" + b.newest(t, "organizationMembership.updated"), "org:admin → org:member"}},
		"/sweeps":          {{"sweeps", "/sweeps", "dry run"}},
		"/sweeps/{number}": {{"sweep", "/sweeps/1", "It took"}, {"dry-run", "/sweeps/2", "Dry run"}},
		"/help/alarms":     {{"help", "/help/alarms", "never_swept"}},
		"/audit": {
			{"audit", "/audit", "Clerk doesn't say by whom"},
			{"audit-workspace", "/audit?workspace=northwind&action=member.role_changed", "org:member → org:admin"},
			{"audit-instance", "/audit?workspace=instance", "What happened to users and roles"},
			{"audit-person", "/audit?target=martin@northwind.example", "in the logs of the instance and of the 50 workspaces"},
			{"audit-which", "/audit?action=member.removed", "Filters search one log"},
			{"audit-ambiguous", "/audit?workspace=north", "give the id of the one"},
			{"audit-hostile", "/audit?workspace=evil", `\u202e`},
		},
		"/audit/verified": {{"verified", "/audit/verified?workspace=northwind", "as recorded"}, {"verified-unknown", "/audit/verified?workspace=nope", "nope"}},
		"/audit/access-review": {
			{"access-review", "/audit/access-review?workspace=northwind", "jane@northwind.example"},
			{"access-review-deleted", "/audit/access-review?workspace=closed", "Closed last year"},
			{"access-review-then", "/audit/access-review?workspace=labs&at=2020-01-02", "No one had access"},
			{"access-review-future", "/audit/access-review?workspace=labs&at=2999-01-02", ""},
		},
		"/workspaces": {
			{"workspaces", "/workspaces", `\u202eevil`},
			{"workspaces-found", "/workspaces?q=northw", "Northwind"},
			{"workspaces-deleted", "/workspaces?deleted=1", "Closed last year"},
			{"workspaces-none", "/workspaces?q=zzz", "Write less of the name"},
		},
		"/workspaces/{id}": {
			{"workspace", workspace, "Members who may act"}, {"workspace-deleted", "/workspaces/" + w.gone, "was deleted"}, {"workspace-hostile", "/workspaces/" + b.workspace, `\u202eevil`},
		},
		"/workspaces/{id}/members":     {{"members", workspace + "/members", "Next page"}},
		"/workspaces/{id}/invitations": {{"invitations", workspace + "/invitations", "new@northwind.example"}},
		"/workspaces/{id}/can": {
			{"can", can("user=ada&permission=members:manage"), "Yes"},
			{"can-not", can("user=jane&permission=billing:manage"), "No"},
			{"can-ambiguous", can("user=doe&permission=billing:manage"), "Jane Doe"},
			{"can-unknown", can("user=zoe&permission=x"), "zoe"},
			{"can-left", can("user=martin&permission=reports:read"), "No"},
			{"can-banned", can("user=john&permission=reports:read"), "No"},
			{"can-hostile", can("user=evil@northwind.example"), `\u202eevil`},
		},
		"/workspaces/attention": {
			{"attention", "/workspaces/attention", "No manager"},
			{"attention-single", "/workspaces/attention?needs=single_manager", "No workspace"},
			{"attention-role", "/workspaces/attention?needs=unknown_role", "Of unknown role"},
			{"attention-seats", "/workspaces/attention?needs=over_seat_limit", "Seats"},
			{"attention-invitations", "/workspaces/attention?needs=expired_invitations", "without a name"},
		},
		"/users": {{"users", "/users", `\u202eevil`}, {"users-found", "/users?q=doe", "Jane Doe"}, {"users-none", "/users?q=zzz", "Write less of it"}},
		"/users/{id}": {
			{"user", jane, "1 in the last 8 days"}, {"user-banned", "/users/" + w.john, "was banned"}, {"user-left", "/users/" + w.martin, "Former memberships"},
		},
		"/users/{id}/can": {{"user-can", "/users/" + w.ada + "/can?workspace=labs&permission=members:manage", "Yes"}},
	}
}

// alarmedService has quarantined deliveries and a sweep that was stopped. Pages that show no alarm
// themselves have its mark in their header.
func alarmedService(t *testing.T) (*desk, looks) {
	t.Helper()
	b := newBusy(t, 30)
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/run", nil).StatusCode)
	b.ordered(t, 1)
	for _, u := range b.members[:20] {
		require.NoError(t, b.Clerk.RemoveMember(b.workspace, u.ID))
	}
	b.Clerk.Drain() // the webhooks are lost
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/run", nil).StatusCode)
	b.ordered(t, 2)
	require.Equal(t, http.StatusSeeOther, b.post(t, "/sweeps/dry-run", nil).StatusCode)
	b.ordered(t, 3)
	b.exec(t, `ALTER TABLE rolecall.audit_log DISABLE TRIGGER USER`)
	b.exec(t, `UPDATE rolecall.audit_log SET target = 'user_other' WHERE organization_id = $1 AND seq = 2`, b.workspace)
	b.exec(t, `ALTER TABLE rolecall.audit_log ENABLE TRIGGER USER`)
	workspace, user := "/workspaces/"+b.workspace, "/users/"+b.admin.ID
	return b.desk, looks{
		"/{$}": {{"status", "/", "What to do:"}},
		"/deliveries": {
			{"deliveries", "/deliveries", "quarantined"},
			{"deliveries-quarantined", "/deliveries?state=quarantined", "Replay what is shown"},
			{"deliveries-nowhere", "/deliveries?workspace=nowhere", "nowhere"},
		},
		"/deliveries/{id}":             {{"delivery", "/deliveries/msg_foreign1", "another Clerk instance"}, {"delivery-garbled", "/deliveries/msg_garbled", "It can't be read"}},
		"/sweeps":                      {{"sweeps", "/sweeps", "A sweep was stopped"}},
		"/sweeps/{number}":             {{"sweep", "/sweeps/2", "Confirm the removals"}, {"dry-run", "/sweeps/3", "Dry run"}},
		"/help/alarms":                 {{"help", "/help/alarms#alarm-sweep_aborted", "sweep_aborted"}},
		"/audit":                       {{"audit", "/audit", "operator.sweep_ordered"}},
		"/audit/verified":              {{"verified", "/audit/verified?workspace=" + b.workspace, "No: entry"}},
		"/audit/access-review":         {{"access-review", "/audit/access-review?workspace=" + b.workspace, "org:member"}},
		"/workspaces":                  {{"workspaces", "/workspaces", `\u202eevil`}},
		"/workspaces/{id}":             {{"workspace", workspace, "Members who may act"}},
		"/workspaces/{id}/members":     {{"members", workspace + "/members", "org:member"}},
		"/workspaces/{id}/invitations": {{"invitations", workspace + "/invitations", "No more invitations"}},
		"/workspaces/{id}/can":         {{"workspace-can", workspace + "/can?user=" + b.members[0].ID + "&permission=billing:manage", "No"}},
		"/workspaces/attention":        {{"attention", "/workspaces/attention", ""}},
		"/users":                       {{"users", "/users", "active"}},
		"/users/{id}":                  {{"user", user, "org:admin"}},
		"/users/{id}/can":              {{"user-can", user + "/can?workspace=" + b.workspace, "Yes"}},
	}
}
