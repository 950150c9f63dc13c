package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/browsertest"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
)

// town is a service beside a Clerk with some people and workspaces. All that happened there came by
// webhook.
type town struct {
	*servicetest.Bundle

	northwind, gone         string // workspaces
	ada, jane, john, martin string // an admin, a member, a banned one, one who left
}

// hostile is a name with markup, a mark of direction and a control character.
const hostile = "</td><script>alert(1)</script>\u202eevil\u2069\x1b[31m & \"Co\" 'Søn'"

func newTown(t *testing.T) *town {
	t.Helper()
	return fillTown(t, servicetest.Setup(t, nil))
}

// fillTown makes the people and workspaces of a town at a service's Clerk.
func fillTown(t *testing.T, b *servicetest.Bundle) *town {
	t.Helper()
	w := &town{Bundle: b}
	person := func(first, last, email string) string {
		u, err := w.Clerk.CreateUser(clerksim.NewUser{FirstName: first, LastName: last, Emails: []string{email}})
		require.NoError(t, err)
		return u.ID
	}
	w.ada, w.jane = person("Ada", "Abel", "ada@northwind.example"), person("Jane", "Doe", "jane@northwind.example")
	w.john, w.martin = person("John", "Doe", "john@northwind.example"), person("Martin", "Olsen", "martin@northwind.example")
	evil := person(hostile, "", "evil@northwind.example")
	workspace := func(name, slug string) string {
		o, err := w.Clerk.CreateOrganization(clerksim.NewOrganization{Name: name, Slug: slug, CreatedBy: w.ada})
		require.NoError(t, err)
		return o.ID
	}
	w.northwind, w.gone = workspace("Northwind", "northwind"), workspace("Closed last year", "closed")
	workspace(hostile, "evil")
	workspace("Northwind Labs", "labs")
	for _, id := range []string{w.john, w.martin, evil} {
		_, err := w.Clerk.AddMember(w.northwind, id, clerksim.RoleMember)
		require.NoError(t, err)
	}
	invitation, err := w.Clerk.Invite(w.northwind, w.ada, "jane@northwind.example", clerksim.RoleMember)
	require.NoError(t, err)
	_, err = w.Clerk.Accept(invitation.ID, w.jane)
	require.NoError(t, err)
	_, err = w.Clerk.Invite(w.northwind, w.ada, "new@northwind.example", clerksim.RoleMember)
	require.NoError(t, err)
	_, err = w.Clerk.AddDomain(w.northwind, "northwind.example")
	require.NoError(t, err)
	_, err = w.Clerk.BanUser(w.john)
	require.NoError(t, err)
	session, err := w.Clerk.CreateSession(clerksim.NewSession{UserID: w.jane})
	require.NoError(t, err)
	_, err = w.Clerk.EndSession(session.ID)
	require.NoError(t, err)
	require.NoError(t, w.Clerk.RemoveMember(w.northwind, w.martin))
	require.NoError(t, w.Clerk.DeleteOrganization(w.gone))
	w.Send(t, w.Clerk.Drain()...)
	return w
}

// TestDirectory_FullWorkspace: lists of 10,000 members go page by page, forward and back to the
// first.
func TestDirectory_FullWorkspace(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	_, err := w.DB.Exec(t.Context(), `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
		SELECT 'orgmem_m' || n, $1, 'user_m' || n, 'org:member', now() + n * interval '1 ms' FROM generate_series(1, 10000) n`, w.northwind)
	require.NoError(t, err)
	_, err = w.DB.Exec(t.Context(), `INSERT INTO rolecall.invitations (id, organization_id, email, role, status, created_at, expires_at)
		SELECT 'orginv_m' || n, $1, 'm' || n || '@example.com', 'org:member', 'pending', now() + n * interval '1 ms', now() - interval '1 day' FROM generate_series(1, 60) n`, w.northwind)
	require.NoError(t, err)
	page := browsertest.New(t).Open(t, w.Admin("/workspaces/"+w.northwind), browsertest.View{Width: 360})
	page.Check("workspace-full")
	page.Click(`a[href$="/members"]`)
	page.Click("a[rel=next]")
	page.Check("members-second")
	page.Click("a[rel=first]")
	require.Equal(t, "/workspaces/"+w.northwind+"/members", page.URL())
	page.Go("/workspaces/" + w.northwind + "/invitations")
	page.Click("a[rel=next]")
	page.Check("invitations-second")
	seen := map[string]bool{}
	at := "/workspaces/" + w.northwind + "/members"
	for pages := 0; at != ""; pages++ {
		_, text := w.Text(t, at)
		for _, part := range strings.Split(text, `href="/users/`)[1:] {
			seen[part[:strings.IndexByte(part, '"')]] = true
		}
		before, _, more := strings.Cut(text, `" rel="next"`)
		at = ""
		if more {
			at = strings.ReplaceAll(before[strings.LastIndex(before, `href="`)+len(`href="`):], "&amp;", "&")
		}
		require.Less(t, pages, 300)
	}
	require.Len(t, seen, 10_004)
}

// TestDirectory_HostileText is shown, and does nothing.
func TestDirectory_HostileText(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	asked := url.QueryEscape(hostile)
	for _, path := range []string{
		"/workspaces", "/users", "/workspaces/" + w.northwind, "/workspaces?q=" + asked, "/users?q=" + asked,
		"/workspaces/" + w.northwind + "/can?user=" + asked + "&permission=" + asked, "/workspaces/" + url.PathEscape(hostile),
	} {
		_, text := w.Text(t, path)
		require.NotContains(t, text, "<script>alert", path)
		require.NotContains(t, text, "\u202e", path)
		require.NotContains(t, text, "\x1b", path)
	}
	_, text := w.Text(t, "/users")
	require.Contains(t, text, `&lt;script&gt;alert(1)&lt;/script&gt;\u202eevil\u2069\u001b[31m`)
}

// TestDirectory_Refuses what can't be.
func TestDirectory_Refuses(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	for path, want := range map[string]int{
		"/workspaces/northwind":                 http.StatusNotFound, // a slug moves: it is no address
		"/workspaces/org_unknown":               http.StatusNotFound,
		"/workspaces/%00":                       http.StatusNotFound,
		"/workspaces/%ff":                       http.StatusNotFound,
		"/users/jane@northwind.example":         http.StatusNotFound,
		"/users/doe":                            http.StatusNotFound,
		"/users/user_unknown":                   http.StatusNotFound,
		"/users/" + w.jane + "/can":             http.StatusOK, // says what to write
		"/workspaces?after=nonsense":            http.StatusBadRequest,
		"/users?after=e30":                      http.StatusOK,
		"/users?q=" + strings.Repeat("x", 9000): http.StatusOK,
		"/users?q=%00":                          http.StatusOK,
		"/users?q=%ff":                          http.StatusOK,
		"/workspaces/" + w.northwind + "/can?user=jane@northwind.example&permission=" + strings.Repeat("x", 9000): http.StatusOK,
	} {
		status, _ := w.Text(t, path)
		require.Equal(t, want, status, "%.60s", path)
	}
}

// TestDirectory_Causes: the facts of an answer lead to what wrote them.
func TestDirectory_Causes(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	status, text := w.Text(t, "/workspaces/"+w.northwind+"/can?user=jane@northwind.example&permission=billing:manage")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, text, `href="/deliveries/msg_`)
	require.Contains(t, text, "org:member isn&#39;t granted billing:manage")
	_, text = w.Text(t, "/users/"+w.john)
	require.Contains(t, text, `This account was banned <time`)
	require.Contains(t, text, `as <a class="id" href="/deliveries/msg_`)
	_, text = w.Text(t, "/users/"+w.jane)
	require.Contains(t, text, "1 in the last 8 days")
}
