package service_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// managed lists the permissions of admins only, in the product that the policy was made for.
func managed() []string { return []string{"billing:manage", "integrations:manage", "schedules:manage"} }

// rolesIn maps the workspaces that an answer of /v1/me lists to the roles there.
func rolesIn(me answer) map[any]any {
	roles := map[any]any{}
	for _, w := range me.body["workspaces"].([]any) {
		roles[w.(map[string]any)["workspace_id"]] = w.(map[string]any)["role"]
	}
	return roles
}

func TestPromise_CreatorIsTheFirstAdmin(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	north := h.create(alex, "North")
	for _, when := range []string{"before the webhooks", "after them"} {
		me := h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "me"), "")
		require.Equal(t, "org:admin", me.body["role"], when)
		for _, permission := range append(managed(), "audit:read", "members:manage", "workspace:update", "reports:read") {
			require.Equal(t, http.StatusOK, h.May(t, alex.token, north, permission), "%s %s", permission, when)
		}
		shown := h.must(http.StatusOK, alex.token, http.MethodGet, at(north), "")
		require.Equal(t, alex.id, shown.body["created_by"])
		require.InDelta(t, 1, shown.body["member_count"], 0)
		entries := h.entries(alex, north)
		h.requireEntry(entries, alex.id, "workspace.created", north)
		h.requireEntry(entries, alex.id, "member.joined", alex.id)
		require.Len(t, entries, 2, when)
		h.deliverWebhooks()
	}
}

func TestPromise_AcceptedInvitationAdmitsAtOnce(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	invitation := h.invite(alex, north, robin.email, "member")
	_, err := h.Clerk.Accept(invitation, robin.id)
	require.NoError(t, err)
	me := h.must(http.StatusOK, robin.token, http.MethodGet, at(north, "me"), "") // no webhook has come
	require.Equal(t, "org:member", me.body["role"])
	require.Subset(t, me.body["permissions"], []any{"workspace:read", "analyses:run", "reports:read", "prompts:read", "prompts:write"})
	require.NotContains(t, me.body["permissions"], "billing:manage")
	h.deliverWebhooks()
	h.must(http.StatusOK, robin.token, http.MethodGet, at(north, "me"), "")
	entries := h.entries(alex, north)
	h.requireEntry(entries, alex.id, "invitation.sent", invitation)
	h.requireEntry(entries, robin.id, "invitation.accepted", invitation)
}

// TestPromise_InvitationJoinsItsWorkspaceOnly, with the invited role. Clerk sends the link, and no
// answer of Rolecall shows it.
func TestPromise_InvitationJoinsItsWorkspaceOnly(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	north, west := h.create(alex, "North"), h.create(alex, "West")
	for role, guest := range map[string]person{"admin": h.person("Robin"), "member": h.person("Kim")} {
		invitation := h.invite(alex, north, guest.email, role)
		sent := h.Clerk.Directory().Invitations[invitation]
		require.Equal(t, north, sent.OrganizationID)
		require.Equal(t, guest.email, sent.Email)
		require.Equal(t, "org:"+role, sent.Role)
		require.NotEmpty(t, sent.URL)
		require.Equal(t, http.StatusNotFound, h.May(t, guest.token, north, "reports:read"), "invited isn't in")
		_, err := h.Clerk.Accept(invitation, guest.id)
		require.NoError(t, err)
		for _, when := range []string{"before the webhooks", "after them"} {
			me := h.must(http.StatusOK, guest.token, http.MethodGet, "/v1/me", "")
			require.Equal(t, map[any]any{north: "org:" + role}, rolesIn(me), when)
			may := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[role == "admin"]
			require.Equal(t, may, h.May(t, guest.token, north, "billing:manage"), when)
			h.must(http.StatusNotFound, guest.token, http.MethodGet, at(west), "")
			require.Equal(t, http.StatusNotFound, h.May(t, guest.token, west, "reports:read"), when)
			h.deliverWebhooks()
		}
	}
	for workspace, many := range map[string]int{north: 3, west: 1} {
		members := h.must(http.StatusOK, alex.token, http.MethodGet, at(workspace, "members"), "")
		require.Len(t, members.body["data"], many)
		shown := h.must(http.StatusOK, alex.token, http.MethodGet, at(workspace), "")
		require.InDelta(t, many, shown.body["member_count"], 0)
	}
	for _, a := range h.answers {
		require.NotContains(t, a.text, "ticket=")
	}
}

// TestPromise_MembersAreNotMetered: Rolecall limits neither members nor invitations, and sets no
// limit at Clerk.
func TestPromise_MembersAreNotMetered(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex := h.person("Alex")
	north := h.create(alex, "North")
	const many = 25
	for i := range many {
		guest := h.person("Guest" + strings.Repeat("x", i+1))
		_, err := h.Clerk.Accept(h.invite(alex, north, guest.email, "member"), guest.id)
		require.NoError(t, err)
		h.must(http.StatusOK, guest.token, http.MethodGet, at(north), "")
	}
	o, ok := h.Clerk.Organization(north)
	require.True(t, ok)
	require.Zero(t, o.MaxMembers)
	shown := h.must(http.StatusOK, alex.token, http.MethodGet, at(north), "")
	require.InDelta(t, many+1, shown.body["member_count"], 0)
}

func TestPromise_MembersAreRefusedWhatOnlyAdminsMay(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin, kim := h.person("Alex"), h.person("Robin"), h.person("Kim")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	h.join(alex, north, kim, "member")
	invitation := h.invite(alex, north, "guest@callmine.test", "member")
	h.deliverWebhooks()
	before, revision := h.Clerk.Directory(), h.ask(alex.token, http.MethodGet, at(north), "").header.Get("Rolecall-Revision")

	for _, permission := range append(managed(), "audit:read", "members:manage", "members:read", "workspace:update") {
		require.Equal(t, http.StatusForbidden, h.May(t, robin.token, north, permission), permission)
	}
	for what, refused := range map[string]struct{ method, path, body string }{
		"audit":           {http.MethodGet, at(north, "audit"), ""},
		"export":          {http.MethodGet, at(north, "audit", "export"), ""},
		"members":         {http.MethodGet, at(north, "members"), ""},
		"invitations":     {http.MethodGet, at(north, "invitations"), ""},
		"rename":          {http.MethodPatch, at(north), `{"name":"Mine"}`},
		"invite":          {http.MethodPost, at(north, "invitations"), `{"email":"friend@callmine.test","role":"member"}`},
		"revoke":          {http.MethodDelete, at(north, "invitations", invitation), ""},
		"promote oneself": {http.MethodPatch, at(north, "members", robin.id), `{"role":"admin"}`},
		"promote another": {http.MethodPatch, at(north, "members", kim.id), `{"role":"admin"}`},
		"demote an admin": {http.MethodPatch, at(north, "members", alex.id), `{"role":"member"}`},
		"remove another":  {http.MethodDelete, at(north, "members", kim.id), ""},
		"remove an admin": {http.MethodDelete, at(north, "members", alex.id), ""},
	} {
		a := h.ask(robin.token, refused.method, refused.path, refused.body)
		require.Equal(t, http.StatusForbidden, a.status, what)
		require.Equal(t, "permission_missing", a.body["reason"], what)
		require.Equal(t, revision, a.header.Get("Rolecall-Revision"), "nothing has changed by %s", what)
	}
	require.Equal(t, before, h.Clerk.Directory())
	require.Empty(t, h.Clerk.Drain())
}

func TestPromise_AdminsAndMembersUseTheirPermissions(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin, kim := h.person("Alex"), h.person("Robin"), h.person("Kim")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	for _, permission := range []string{"workspace:read", "analyses:run", "reports:read", "prompts:read", "prompts:write"} {
		require.Equal(t, http.StatusOK, h.May(t, robin.token, north, permission), permission)
		require.Equal(t, http.StatusOK, h.May(t, alex.token, north, permission), "admins, too: %s", permission)
	}
	h.must(http.StatusOK, robin.token, http.MethodGet, at(north), "")

	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north), `{"name":"Far North"}`)
	shown := h.must(http.StatusOK, robin.token, http.MethodGet, at(north), "")
	require.Equal(t, "Far North", shown.body["name"])
	invitation := h.invite(alex, north, kim.email, "member")
	list := h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "invitations"), "")
	require.Contains(t, list.text, invitation)
	h.must(http.StatusNoContent, alex.token, http.MethodDelete, at(north, "invitations", invitation), "")
	list = h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "invitations"), "")
	require.Empty(t, list.body["data"])
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", robin.id), `{"role":"admin"}`)
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", robin.id), `{"role":"member"}`)
	h.must(http.StatusNoContent, alex.token, http.MethodDelete, at(north, "members", robin.id), "")
	list = h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "members"), "")
	require.Len(t, list.body["data"], 1)
	h.deliverWebhooks()
	entries := h.entries(alex, north)
	h.requireEntry(entries, alex.id, "workspace.renamed", north)
	h.requireEntry(entries, alex.id, "invitation.revoked", invitation)
	h.requireEntry(entries, alex.id, "member.removed", robin.id)
	a := h.must(http.StatusConflict, alex.token, http.MethodDelete, at(north, "members", alex.id), "")
	require.Equal(t, "urn:rolecall:problem:last-admin", a.body["type"], "an admin must be left")
}

func TestPromise_PromotionHoldsWithTheOldToken(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	old, err := h.Clerk.SessionToken(robin.id, clerksim.TokenOptions{OrganizationID: north, Lifetime: time.Hour})
	require.NoError(t, err)
	for _, permission := range managed() {
		require.Equal(t, http.StatusForbidden, h.May(t, old, north, permission))
	}
	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", robin.id), `{"role":"admin"}`)
	for _, permission := range append(managed(), "audit:read") {
		require.Equal(t, http.StatusOK, h.May(t, old, north, permission))
	}
	h.must(http.StatusOK, old, http.MethodPatch, at(north), `{"name":"Ours"}`)

	h.must(http.StatusOK, alex.token, http.MethodPatch, at(north, "members", robin.id), `{"role":"member"}`)
	require.Equal(t, http.StatusForbidden, h.May(t, old, north, "billing:manage"), "demoted")
	h.must(http.StatusForbidden, old, http.MethodPatch, at(north), `{"name":"Mine"}`)
	h.deliverWebhooks()
	require.Equal(t, http.StatusForbidden, h.May(t, old, north, "billing:manage"), "late webhooks change nothing")
}

func TestPromise_RemovalHoldsAtTheNextRequest(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin, kim := h.person("Alex"), h.person("Robin"), h.person("Kim")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "admin")
	h.join(alex, north, kim, "member")
	for _, removed := range []person{robin, kim} {
		tag := h.must(http.StatusOK, removed.token, http.MethodGet, at(north), "").header.Get("ETag")
		require.NotEmpty(t, tag)
		require.Equal(t, http.StatusNotModified, h.ask(removed.token, http.MethodGet, at(north), "", "If-None-Match", tag).status)
		h.must(http.StatusNoContent, alex.token, http.MethodDelete, at(north, "members", removed.id), "")
		for _, when := range []string{"before the webhooks", "after them"} {
			h.must(http.StatusNotFound, removed.token, http.MethodGet, at(north), "")
			require.Equal(t, http.StatusNotFound, h.ask(removed.token, http.MethodGet, at(north), "", "If-None-Match", tag).status, when)
			require.Equal(t, http.StatusNotFound, h.May(t, removed.token, north, "reports:read"), when)
			h.must(http.StatusNotFound, removed.token, http.MethodPatch, at(north), `{"name":"Mine"}`)
			me := h.must(http.StatusOK, removed.token, http.MethodGet, "/v1/me", "")
			require.Empty(t, me.body["workspaces"], when)
			h.deliverWebhooks()
		}
	}
}

func TestPromise_WorkStaysAttributedAfterRemoval(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "admin")
	h.must(http.StatusOK, robin.token, http.MethodPatch, at(north), `{"name":"Renamed"}`)
	invitation := h.invite(robin, north, "guest@callmine.test", "member")
	h.report(north, robin, "report_1")
	h.deliverWebhooks()
	before := h.entries(alex, north)
	check := func(after []string) {
		t.Helper()
		h.requireEntry(after, robin.id, "workspace.renamed", north)
		h.requireEntry(after, robin.id, "invitation.sent", invitation)
		h.requireEntry(after, robin.id, "report.run", "report_1")
		require.Equal(t, before, after[len(after)-len(before):], "nothing was rewritten")
		mine := h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "audit?action=report.run&target=report_1&actor="+robin.id), "")
		require.Len(t, mine.body["data"], 1)
	}
	check(before)
	h.must(http.StatusNoContent, alex.token, http.MethodDelete, at(north, "members", robin.id), "")
	h.deliverWebhooks()
	removed := h.entries(alex, north)
	h.requireEntry(removed, alex.id, "member.removed", robin.id)
	check(removed)
	h.report(north, robin, "report_late") // their job ends after they left
	require.NoError(t, h.Clerk.DeleteUser(robin.id))
	h.deliverWebhooks()
	deleted := h.entries(alex, north)
	check(deleted)
	h.requireEntry(deleted, robin.id, "report.run", "report_late")
	export := h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "audit", "export?format=csv&action=report.run"), "")
	require.Equal(t, 2, strings.Count(export.text, ","+robin.id+",report.run,"))
}

func TestPromise_WorkStaysAttributedAfterAccountDeletion(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "member")
	h.report(north, robin, "report_1")
	before := h.entries(alex, north)
	require.NoError(t, h.Clerk.DeleteUser(robin.id))
	h.deliverWebhooks()
	after := h.entries(alex, north)
	require.Equal(t, before, after[len(after)-len(before):])
	h.requireEntry(after, robin.id, "report.run", "report_1")
	h.must(http.StatusForbidden, robin.token, http.MethodGet, at(north), "")
}

func TestPromise_EachWorkspaceHasItsOwnRoleOfAPerson(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin := h.person("Alex"), h.person("Robin")
	north, south := h.create(alex, "North"), h.create(robin, "South")
	h.join(alex, north, robin, "member")
	me := h.must(http.StatusOK, robin.token, http.MethodGet, "/v1/me", "")
	require.Equal(t, map[any]any{north: "org:member", south: "org:admin"}, rolesIn(me))
	for _, active := range []string{"", north, south} { // the workspace that the token was made for
		token, err := h.Clerk.SessionToken(robin.id, clerksim.TokenOptions{OrganizationID: active, Lifetime: time.Hour})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, h.May(t, token, south, "billing:manage"))
		require.Equal(t, http.StatusForbidden, h.May(t, token, north, "billing:manage"))
		require.Equal(t, http.StatusOK, h.May(t, token, north, "reports:read"))
		h.must(http.StatusOK, token, http.MethodGet, at(south, "audit"), "")
		h.must(http.StatusForbidden, token, http.MethodGet, at(north, "audit"), "")
	}
	h.must(http.StatusNoContent, alex.token, http.MethodDelete, at(north, "members", robin.id), "")
	require.Equal(t, http.StatusNotFound, h.May(t, robin.token, north, "reports:read"))
	require.Equal(t, http.StatusOK, h.May(t, robin.token, south, "billing:manage"), "removed from the other one only")
}

// TestPromise_ForeignWorkspaceIsAnsweredLikeNonsense byte for byte, on every route, also to the
// admin of another one.
func TestPromise_ForeignWorkspaceIsAnsweredLikeNonsense(t *testing.T) {
	t.Parallel()
	h := openHouse(t, withRoles(t))
	alex, robin, kim := h.person("Alex"), h.person("Robin"), h.person("Kim")
	north, south := h.create(alex, "North"), h.create(robin, "South")
	h.join(robin, south, kim, "member")
	theirs := site{workspace: south, member: kim.id, invitation: h.invite(robin, south, "guest@callmine.test", "member")}
	h.deliverWebhooks()
	before := h.Clerk.Directory()
	nowhere := site{workspace: "org_" + strings.Repeat("a", 27), member: "user_" + strings.Repeat("a", 27), invitation: "orginv_" + strings.Repeat("a", 27)}
	nonsense := site{workspace: "nonsense", member: "nonsense", invitation: "nonsense"}
	compared := map[string]bool{}
	same := func(r route, where, nowhere site) {
		t.Helper()
		refused := http.StatusNotFound
		if r.told != "" { // the answer tells the refusal
			refused, where.member, nowhere.member = http.StatusOK, alex.id, alex.id
		}
		want, got := h.call(r, nowhere, alex.token, "X-Request-Id", "same"), h.call(r, where, alex.token, "X-Request-Id", "same")
		require.Equal(t, refused, got.status, r.name())
		require.False(t, r.told != "" && strings.Contains(got.text, where.fill(r.told)), "%s: %s", r.name(), got.text)
		require.Equal(t, want.text, got.text, r.name())
		want.header.Del("Date")
		got.header.Del("Date")
		require.Equal(t, want.header, got.header, r.name())
		compared[r.name()] = true
	}
	for _, r := range routes() {
		if r.kind != forMembers {
			continue
		}
		same(r, theirs, nowhere)
		same(r, theirs, nonsense)
		if r.told != "" {
			continue // AuthZEN takes no parameters
		}
		demanding, first := r, "?"
		if r.query != "" {
			first = r.query + "&"
		}
		demanding.query = first + "min_revision=999999&max_staleness=1" // strangers don't wait for a revision
		same(demanding, theirs, nowhere)
		mixed, odd := theirs, nowhere // foreign objects under the caller's own workspace
		mixed.workspace, odd.workspace = north, north
		if strings.Contains(r.path, "{user_id}") || strings.Contains(r.path, "{invitation_id}") {
			same(r, mixed, odd)
			odd.member, odd.invitation = "nonsense", "nonsense"
			same(r, mixed, odd)
		}
	}
	require.Greater(t, len(compared), 10)
	require.Equal(t, before, h.Clerk.Directory())
}

func TestPromise_LeavingDeletesNothing(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin := h.person("Alex"), h.person("Robin")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "admin")
	invitation := h.invite(robin, north, "guest@callmine.test", "member")
	h.report(north, robin, "report_1")
	h.deliverWebhooks()
	before, shown := h.entries(alex, north), h.must(http.StatusOK, alex.token, http.MethodGet, at(north), "")
	invitations := h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "invitations"), "")
	require.Contains(t, invitations.text, invitation)

	h.must(http.StatusNoContent, robin.token, http.MethodDelete, at(north, "members", robin.id), "")
	for range 2 { // before and after the webhooks
		h.must(http.StatusNotFound, robin.token, http.MethodGet, at(north), "")
		after := h.entries(alex, north)
		require.Len(t, after, len(before)+1)
		require.Equal(t, before, after[1:])
		h.requireEntry(after, robin.id, "member.left", robin.id)
		again := h.must(http.StatusOK, alex.token, http.MethodGet, at(north), "")
		shown.body["member_count"] = float64(1)
		require.Equal(t, shown.body, again.body)
		again = h.must(http.StatusOK, alex.token, http.MethodGet, at(north, "invitations"), "")
		require.Equal(t, invitations.text, again.text, "what they sent is still good")
		h.deliverWebhooks()
	}
	user, ok := h.Clerk.User(robin.id)
	require.True(t, ok)
	require.Equal(t, robin.id, user.ID)
}

func TestPromise_ReinvitationRestoresAccess(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	alex, robin, kim := h.person("Alex"), h.person("Robin"), h.person("Kim")
	north := h.create(alex, "North")
	h.join(alex, north, robin, "admin")
	h.join(alex, north, kim, "member")
	h.report(north, robin, "report_1")
	h.must(http.StatusNoContent, alex.token, http.MethodDelete, at(north, "members", robin.id), "") // removed
	h.must(http.StatusNoContent, kim.token, http.MethodDelete, at(north, "members", kim.id), "")    // left
	h.deliverWebhooks()
	for _, gone := range []person{robin, kim} {
		h.must(http.StatusNotFound, gone.token, http.MethodGet, at(north), "")
		h.join(alex, north, gone, "member")
		h.must(http.StatusOK, gone.token, http.MethodGet, at(north), "")
		require.Equal(t, http.StatusOK, h.May(t, gone.token, north, "reports:read"))
		require.Equal(t, http.StatusForbidden, h.May(t, gone.token, north, "billing:manage"), "in the role of the new invitation")
	}
	h.requireEntry(h.entries(alex, north), robin.id, "report.run", "report_1")
}
