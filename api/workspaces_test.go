package api

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
)

// permissionsOf returns the policy's permissions for a role, sorted as in answers.
func permissionsOf(tb testing.TB, role string) []string {
	tb.Helper()
	builtIn, err := policy.Default()
	require.NoError(tb, err)
	return slices.Sorted(slices.Values(builtIn.Grants[role]))
}

func TestMe_ListsOldestMembershipFirst(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_z", "Zebra", nil)
	b.world.organization("org_a", "Ant", map[string]any{"slug": nil})
	b.world.organization("org_other", "Other", nil)
	b.world.organization("org_gone", "Gone", nil)
	b.world.member("org_z", "user_1", "org:admin", nil)
	b.world.member("org_a", "user_1", "org:member", nil)
	b.world.member("org_other", "user_2", "org:member", nil)
	b.world.member("org_gone", "user_1", "org:admin", nil)
	b.world.deleteOrganization("org_gone")

	body := answerOf[meBody](t, b.get("user_1", "/v1/me"))
	require.Equal(t, meBody{UserID: "user_1", Workspaces: []membershipBody{
		{WorkspaceID: "org_z", Name: "Zebra", Slug: new("slug-org_z"), Role: "org:admin", Permissions: permissionsOf(t, "org:admin")},
		{WorkspaceID: "org_a", Name: "Ant", Role: "org:member", Permissions: permissionsOf(t, "org:member")},
	}}, body)
	require.Contains(t, body.Workspaces[0].Permissions, "members:manage")

	b.world.remove("org_z", "user_1")
	body = answerOf[meBody](t, b.get("user_1", "/v1/me"))
	require.Len(t, body.Workspaces, 1)
	require.Equal(t, "org_a", body.Workspaces[0].WorkspaceID)
}

// TestMe_Pages: a caller of more workspaces than fit in one answer gets each once, and a caller of
// fewer gets the same answer as ever.
func TestMe_Pages(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	var want []string
	for i := range 5 {
		want = append(want, "org_"+strconv.Itoa(i))
		b.world.member(want[i], "user_1", "org:member", nil)
	}
	_, err := b.pool.Exec(t.Context(), "UPDATE rolecall.memberships SET created_at = '2026-01-02' WHERE organization_id IN ('org_1', 'org_2', 'org_3')")
	require.NoError(t, err)
	want = append(want[1:4:4], "org_0", "org_4")
	for limit := 1; limit <= 6; limit++ {
		var got []string
		for cursor := ""; ; {
			body := answerOf[meBody](t, b.get("user_1", "/v1/me?limit="+strconv.Itoa(limit)+cursor))
			for _, seat := range body.Workspaces {
				got = append(got, seat.WorkspaceID)
			}
			require.LessOrEqual(t, len(body.Workspaces), limit)
			if body.NextCursor == nil {
				break
			}
			require.Len(t, body.Workspaces, limit, "only the last page is shorter")
			cursor = "&cursor=" + *body.NextCursor
		}
		require.Equal(t, want, got, "pages of %d", limit)
	}
	require.NotContains(t, string(b.get("user_1", "/v1/me").body), "cursor")
	for _, query := range []string{"limit=0", "limit=201", "cursor=!", "limit=1&limit=1", "min_revision=1", "page=1"} {
		require.Equal(t, http.StatusBadRequest, b.get("user_1", "/v1/me?"+query).status, query)
	}
}

func TestMe_UnknownUserHasNoWorkspaces(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	x := b.get("user_unknown", "/v1/me")
	require.JSONEq(t, `{"user_id":"user_unknown","workspaces":[]}`, string(x.body))
}

// TestMe_AgreesWithWorkspaceMe: both routes give the same role and permissions.
func TestMe_AgreesWithWorkspaceMe(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	for i, role := range []string{"org:admin", "org:member", "admin", "basic_member", "org:guest", "org:invoices"} {
		organization := "org_" + strconv.Itoa(i)
		b.world.member(organization, "user_1", role, map[string]any{"permissions": []string{"org:invoices:create", "org:invoices:create"}})
	}
	b.world.member("org_none", "user_1", "org:guest", map[string]any{"permissions": nil})
	body := answerOf[meBody](t, b.get("user_1", "/v1/me"))
	require.Len(t, body.Workspaces, 7)
	for _, seat := range body.Workspaces {
		here := answerOf[workspaceMeBody](t, b.get("user_1", "/v1/workspaces/"+seat.WorkspaceID+"/me"))
		require.Equal(t, workspaceMeBody{UserID: "user_1", WorkspaceID: seat.WorkspaceID, Role: seat.Role, Permissions: seat.Permissions}, here)
	}
}

func TestWorkspaceMe_PermissionsFollowTheRole(t *testing.T) {
	t.Parallel()
	custom := []string{"org:invoices:create", "org:sys_profile:manage"}
	tests := map[string]struct {
		role, answered string
		clerks, want   []string
	}{
		"admin":             {"org:admin", "org:admin", nil, permissionsOf(t, "org:admin")},
		"member":            {"org:member", "org:member", nil, permissionsOf(t, "org:member")},
		"legacy admin":      {"admin", "org:admin", nil, permissionsOf(t, "org:admin")},
		"legacy member":     {"basic_member", "org:member", nil, permissionsOf(t, "org:member")},
		"custom":            {"org:billing", "org:billing", custom, custom},
		"Clerk's on top":    {"org:member", "org:member", []string{"org:x:y"}, slices.Sorted(slices.Values(append(permissionsOf(t, "org:member"), "org:x:y")))},
		"without any grant": {"org:guest", "org:guest", nil, []string{}},
	}
	b := setupServer(t, nil)
	for name, test := range tests {
		organization := "org_" + strconv.Itoa(len(name)) + test.role[len(test.role)-3:]
		b.world.member(organization, "user_1", test.role, map[string]any{"permissions": test.clerks})
		body := answerOf[workspaceMeBody](t, b.get("user_1", "/v1/workspaces/"+organization+"/me"))
		require.Equal(t, workspaceMeBody{UserID: "user_1", WorkspaceID: organization, Role: test.answered, Permissions: test.want}, body, name)
	}
}

func TestWorkspace_IsShownToAnyMember(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	created := b.world.now()
	b.world.organization("org_1", "One", nil)
	b.world.member("org_1", "user_1", "org:guest", nil) // membership is enough
	b.world.member("org_1", "user_2", "org:admin", nil)

	x := b.get("user_1", "/v1/workspaces/org_1")
	require.Equal(t, workspaceBody{
		WorkspaceID: "org_1", Name: "One", Slug: new("slug-org_1"), ImageURL: new("https://img.example.com/org_1"),
		CreatedAt: &created, CreatedBy: new("user_founder"), MemberCount: 2,
	}, answerOf[workspaceBody](t, x))
	require.Contains(t, string(x.body), `"created_at":"2026-01-02T03:04:05.678Z"`)
}

// TestWorkspace_IsShownThoughLittleIsKnown: membership.created often arrives before
// organization.created and user.created.
func TestWorkspace_IsShownThoughLittleIsKnown(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", map[string]any{"created_at": nil, "role_name": nil, "public_user_data": map[string]any{"user_id": "user_1"}})

	require.Equal(t, workspaceBody{WorkspaceID: "org_1", MemberCount: 1}, answerOf[workspaceBody](t, b.get("user_1", "/v1/workspaces/org_1")))
	require.Equal(t, "org:admin", answerOf[workspaceMeBody](t, b.get("user_1", "/v1/workspaces/org_1/me")).Role)
	members := answerOf[page[memberBody]](t, b.get("user_1", "/v1/workspaces/org_1/members"))
	require.Equal(t, []memberBody{{
		UserID: "user_1", MembershipID: "orgmem_org_1_user_1", Role: "org:admin", JoinedAt: time.Unix(0, 0).UTC(),
	}}, members.Data)
	require.Len(t, answerOf[meBody](t, b.get("user_1", "/v1/me")).Workspaces, 1)
	require.True(t, answerOf[decisionBody](t, b.get("user_1", "/v1/authorize?workspace_id=org_1&permission=members:read")).Allowed)
}

func TestFreshness_HeadersFollowTheMirror(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	require.Empty(t, b.get("user_1", "/v1/workspaces/org_1").header.Get(headerAsOf), "there was no sweep")
	b.world.swept()
	for _, target := range []string{"/v1/workspaces/org_1", "/v1/workspaces/org_1/me", "/v1/workspaces/org_1/members", "/v1/authorize?workspace_id=org_1&permission=members:read"} {
		x := b.get("user_1", target)
		require.Equal(t, http.StatusOK, x.status)
		require.Equal(t, "1", x.header.Get(headerRevision), target)
		require.Equal(t, b.world.now().Format(time.RFC3339Nano), x.header.Get(headerAsOf), target)
	}
	b.world.member("org_1", "user_2", "org:member", nil)
	b.world.member("org_2", "user_3", "org:admin", nil) // another workspace
	x := b.get("user_1", "/v1/workspaces/org_1")
	require.Equal(t, "2", x.header.Get(headerRevision))
	require.Equal(t, b.world.now().Add(-2*time.Second).Format(time.RFC3339Nano), x.header.Get(headerAsOf))

	// The refusal of a member also says how fresh it is.
	for _, target := range []string{"/v1/workspaces/org_1/members", "/v1/authorize?workspace_id=org_1&permission=members:read"} {
		x = b.get("user_2", target)
		requireProblem(t, x, http.StatusForbidden, "permission_missing")
		require.Equal(t, "2", x.header.Get(headerRevision), target)
		require.NotEmpty(t, x.header.Get(headerAsOf), target)
	}
}
