package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// TestCommands_ChangeClerkMirrorAndAudit: each command changes Clerk, is read back at once without
// a webhook, and is audited once with its actor.
func TestCommands_ChangeClerkMirrorAndAudit(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	path := "/v1/workspaces/" + workspace
	revision := func(x exchange) int {
		n, err := strconv.Atoi(x.header.Get(headerRevision))
		require.NoError(t, err)
		return n
	}
	require.Equal(t, http.StatusOK, b.get(admin, path+"/members").status, "the creator is the admin")
	before := revision(b.get(admin, path))

	x := b.command(admin, http.MethodPatch, path, `{"name":" South "}`)
	require.Equal(t, http.StatusOK, x.status, "%s", x.body)
	require.Equal(t, "South", b.fields(x)["name"])
	require.Greater(t, revision(x), before, "the revision includes the change")
	require.Equal(t, revision(x), revision(b.get(admin, path)))
	o, _ := b.clerk.Organization(workspace)
	require.Equal(t, "South", o.Name)

	x = b.command(admin, http.MethodPatch, path+"/members/"+member, `{"role":"admin"}`)
	require.Equal(t, http.StatusOK, x.status, "%s", x.body)
	require.Equal(t, member, b.fields(x)["user_id"])
	require.Equal(t, "org:admin", b.fields(x)["role"])
	require.Equal(t, http.StatusOK, b.get(member, path+"/members").status, "at the next request")

	x = b.command(member, http.MethodPost, path+"/invitations", `{"email":"robin@callmine.test","role":"org:member"}`)
	require.Equal(t, http.StatusCreated, x.status, "%s", x.body)
	invitation := b.fields(x)["id"].(string)
	require.Equal(t, "pending", b.fields(x)["status"])
	require.Equal(t, member, b.fields(x)["invited_by"])
	require.Contains(t, string(b.get(admin, path+"/invitations").body), invitation)
	require.Equal(t, http.StatusNoContent, b.command(admin, http.MethodDelete, path+"/invitations/"+invitation, "").status)
	require.NotContains(t, string(b.get(admin, path+"/invitations").body), invitation)

	require.Equal(t, http.StatusNoContent, b.command(member, http.MethodDelete, path+"/members/"+admin, "").status)
	require.Equal(t, http.StatusNotFound, b.get(admin, path).status)
	b.join(workspace, admin, clerksim.RoleMember)
	x = b.command(admin, http.MethodDelete, path+"/members/"+admin, "")
	require.Equal(t, http.StatusNoContent, x.status, "leaving takes no permission")
	require.NotEmpty(t, x.header.Get(headerRevision))
	_, ok := b.clerk.Membership(workspace, admin)
	require.False(t, ok)

	require.Equal(t, []auditLine{
		{"workspace.created", admin, workspace},
		{"member.joined", admin, admin},
		{"member.joined", "", member},
		{"workspace.renamed", admin, workspace},
		{"member.role_changed", admin, member},
		{"invitation.sent", member, invitation},
		{"invitation.revoked", admin, invitation},
		{"member.removed", member, admin},
		{"member.joined", "", admin},
		{"member.left", admin, admin},
	}, b.audit(workspace))
}

// TestCommands_ServiceActsForAUser: the user becomes the actor.
func TestCommands_ServiceActsForAUser(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	user := b.person()
	require.Equal(t, http.StatusBadRequest, b.command(serviceToken, http.MethodPost, "/v1/workspaces", `{"name":"North"}`).status)
	x := b.command(serviceToken, http.MethodPost, "/v1/workspaces", `{"name":"North"}`, headerOnBehalfOf, user)
	require.Equal(t, http.StatusCreated, x.status)
	workspace := b.fields(x)["workspace_id"].(string)
	require.Equal(t, "/v1/workspaces/"+workspace, x.header.Get("Location"))
	require.Equal(t, user, b.fields(x)["created_by"])
	require.Equal(t, auditLine{"workspace.created", user, workspace}, b.audit(workspace)[0])
}

// TestCommands_ClerksRefusalsAreProblems: each refusal has a problem type of its own, and nothing
// changes.
func TestCommands_ClerksRefusalsAreProblems(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	path := "/v1/workspaces/" + workspace
	invite := func(email string) exchange {
		return b.command(admin, http.MethodPost, path+"/invitations", `{"email":"`+email+`","role":"member"}`)
	}
	requireType(t, invite("member@callmine.test"), 409, "already-a-member")
	x := invite("robin@callmine.test")
	require.Equal(t, http.StatusCreated, x.status)
	invitation := b.fields(x)["id"].(string)
	requireType(t, invite("robin@callmine.test"), 409, "invitation-not-unique")
	_, err := b.clerk.UpdateOrganization(workspace, clerksim.OrganizationUpdate{MaxMembers: new(3)})
	require.NoError(t, err)
	requireType(t, invite("kim@callmine.test"), 409, "quota-exceeded")
	for _, change := range []exchange{
		b.command(admin, http.MethodPatch, path+"/members/"+admin, `{"role":"member"}`), b.command(admin, http.MethodDelete, path+"/members/"+admin, ""),
	} {
		requireType(t, change, 409, "last-admin")
		require.NotEmpty(t, change.header.Get(headerRevision), "a member learns how fresh the workspace is")
	}
	require.NoError(t, b.clerk.ManageByDirectory(workspace, member, true))
	requireType(t, b.command(admin, http.MethodDelete, path+"/members/"+member, ""), 409, "managed-by-directory")
	require.Equal(t, http.StatusNoContent, b.command(admin, http.MethodDelete, path+"/invitations/"+invitation, "").status)
	requireType(t, b.command(admin, http.MethodDelete, path+"/invitations/"+invitation, ""), 409, "invitation-not-pending")
	requireType(t, b.command(admin, http.MethodDelete, path+"/members/"+b.person(), ""), 404, "not-found")
	create := func() exchange {
		return b.command(admin, http.MethodPost, "/v1/workspaces", `{"name":"A","slug":"one"}`)
	}
	require.Equal(t, http.StatusCreated, create().status)
	requireType(t, create(), 409, "slug-taken")
}

// TestCommands_ClerkOutageIsNoSuccess: the problem says whether anything may have changed.
func TestCommands_ClerkOutageIsNoSuccess(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, _ := b.team()
	path := "/v1/workspaces/" + workspace
	rename := func() exchange { return b.command(admin, http.MethodPatch, path, `{"name":"South"}`) }
	changes := func(c clerksim.Call) bool { return c.Request.Method != http.MethodGet }
	lift := b.faults.FailWithRetryAfter(http.StatusTooManyRequests, "17", changes)
	x := rename()
	requireType(t, x, 503, "rate-limited")
	require.Equal(t, "17", x.header.Get("Retry-After"))
	lift()
	lift = b.faults.Fail(http.StatusBadGateway, changes)
	x = rename()
	requireType(t, x, 502, "clerk-unavailable")
	require.Contains(t, string(x.body), "It is unknown whether Clerk")
	lift()
	sent := b.changes()
	lift = b.faults.Fail(http.StatusBadGateway, clerksim.Lookups)
	x = rename()
	requireType(t, x, 502, "clerk-unavailable")
	require.Contains(t, string(x.body), "Nothing has changed", "the actor couldn't be confirmed")
	require.Equal(t, sent, b.changes())
	lift()
	lift = b.faults.Fail(http.StatusUnauthorized, nil)
	x = rename()
	requireType(t, x, 502, "clerk-unavailable")
	require.Contains(t, string(x.body), "Nothing has changed")
	lift()
	logged := b.logs.take()
	require.Contains(t, logged, "request failed")
	require.Contains(t, logged, "clerk_unavailable")
	require.NotContains(t, logged, `"internal"`, "it isn't a fault of the service")
	require.Equal(t, http.StatusOK, rename().status)
}

// TestCommands_WithoutAClerkKeyAreRefused: a service without a secret key refuses commands only.
func TestCommands_WithoutAClerkKeyAreRefused(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	x := b.send("user_1", http.MethodPatch, "/v1/workspaces/org_1", `{"name":"A"}`, "Content-Type", "application/json")
	require.Equal(t, http.StatusServiceUnavailable, x.status)
	require.Contains(t, string(x.body), "commands-unavailable")
}

// TestCommands_BadOnesDoNotReachClerk: Rolecall itself refuses invalid commands.
func TestCommands_BadOnesDoNotReachClerk(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	path := "/v1/workspaces/" + workspace
	asked := b.changes()
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/v1/workspaces", `{}`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"  "}`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"` + strings.Repeat("ä", 257) + `"}`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"a\u0000b"}`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"A","slug":"Big One"}`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"A","slug":""}`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"A","x":1}`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"A"} {}`, 400},
		{http.MethodPost, "/v1/workspaces", `null`, 400},
		{http.MethodPost, "/v1/workspaces", `[]`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"A`, 400},
		{http.MethodPost, "/v1/workspaces", `{"name":"` + strings.Repeat("a", 70_000) + `"}`, 413},
		{http.MethodPatch, path, `{"name":null}`, 400},
		{http.MethodPatch, path + "/members/" + member, `{"role":"emperor"}`, 400},
		{http.MethodPatch, path + "/members/" + member, `{"role":""}`, 400},
		{http.MethodPatch, path + "/members/" + member, `{"role":7}`, 400},
		{http.MethodPatch, path + "/members/nobody", `{"role":"admin"}`, 404},
		{http.MethodDelete, path + "/members/user_a%2Fb", ``, 404},
		{http.MethodPost, path + "/invitations", `{"email":"x","role":"member"}`, 400},
		{http.MethodPost, path + "/invitations", `{"email":"A B <a@b.test>","role":"member"}`, 400},
		{http.MethodPost, path + "/invitations", `{"email":"a@b.test"}`, 400},
		{http.MethodDelete, path + "/invitations/nonsense", ``, 404},
	} {
		x := b.command(admin, c.method, c.path, c.body)
		require.Equal(t, c.status, x.status, "%s %s %.80s: %s", c.method, c.path, c.body, x.body)
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"} {
		x := b.send(admin, http.MethodPatch, path, `{"name":"A"}`, "Content-Type", kind)
		requireType(t, x, 415, "unsupported-media-type")
	}
	for _, keys := range [][]string{{""}, {"a", "b"}, {"ä"}, {strings.Repeat("k", 256)}} {
		headers := []string{}
		for _, key := range keys {
			headers = append(headers, headerKey, key)
		}
		require.Equal(t, 400, b.command(admin, http.MethodPatch, path, `{"name":"A"}`, headers...).status, "%q", keys)
	}
	require.Equal(t, asked, b.changes())
}

// TestCommands_TakeTheirPermissions: members without the permission are refused, and a stranger
// learns nothing.
func TestCommands_TakeTheirPermissions(t *testing.T) {
	t.Parallel()
	b := setupCommands(t)
	workspace, admin, member := b.team()
	path := "/v1/workspaces/" + workspace
	other := b.command(admin, http.MethodPost, "/v1/workspaces", `{"name":"Other"}`)
	elsewhere := "/v1/workspaces/" + b.fields(other)["workspace_id"].(string)
	x := b.command(admin, http.MethodPost, elsewhere+"/invitations", `{"email":"robin@callmine.test","role":"member"}`)
	invitation := b.fields(x)["id"].(string)
	stranger, banned := b.person(), b.person()
	b.world.account(banned, map[string]any{"banned": true})
	commands := []struct{ method, path, body string }{
		{http.MethodPatch, "", `{"name":"Taken over"}`},
		{http.MethodPatch, "/members/" + admin, `{"role":"member"}`},
		{http.MethodDelete, "/members/" + admin, ``},
		{http.MethodPost, "/invitations", `{"email":"kim@callmine.test","role":"admin"}`},
		{http.MethodDelete, "/invitations/" + invitation, ``},
	}
	asked := b.changes()
	for _, c := range commands {
		requireProblem(t, b.command(member, c.method, path+c.path, c.body), http.StatusForbidden, clerksync.ReasonPermissionMissing)
		unknown := b.command(stranger, c.method, "/v1/workspaces/org_unknown"+c.path, c.body)
		refused := b.command(stranger, c.method, path+c.path, c.body)
		require.Equal(t, http.StatusNotFound, refused.status)
		require.Equal(t, unknown.body, refused.body)
		require.Equal(t, fmt.Sprint(undated(unknown.header)), fmt.Sprint(undated(refused.header)))
		require.Equal(t, http.StatusUnauthorized, b.command("", c.method, path+c.path, c.body).status)
		requireProblem(t, b.command(banned, c.method, path+c.path, c.body), http.StatusForbidden, clerksync.ReasonUserBanned)
	}
	requireProblem(t, b.command(banned, http.MethodPost, "/v1/workspaces", `{"name":"A"}`), http.StatusForbidden, clerksync.ReasonUserBanned)
	require.Equal(t, asked, b.changes(), "Clerk isn't asked")

	// Even for an admin of both workspaces, an invitation under the wrong workspace is as unknown
	// as an invented id.
	wrong := b.command(admin, http.MethodDelete, path+"/invitations/"+invitation, "")
	nonsense := b.command(admin, http.MethodDelete, path+"/invitations/orginv_nonsense", "")
	require.Equal(t, http.StatusNotFound, wrong.status)
	require.Equal(t, nonsense.body, wrong.body)
	require.Equal(t, fmt.Sprint(undated(nonsense.header)), fmt.Sprint(undated(wrong.header)))
}

func undated(h http.Header) http.Header {
	h = h.Clone()
	h.Del("Date")
	return h
}
