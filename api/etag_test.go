package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestETag_FollowsTheBody(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.organization("org_1", "Northwind", nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	b.world.member("org_1", "user_2", "org:member", nil)
	b.world.invitation("orginv_1", "org_1", nil)
	const base = "/v1/workspaces/org_1"
	targets := []string{"/v1/me", base, base + "/me", base + "/members", base + "/members?limit=1", base + "/invitations", base + "/audit", base + "/audit?limit=1"}
	tags := map[string]string{}
	for _, target := range targets {
		first := b.get("user_1", target)
		tag := first.header.Get("ETag")
		require.Equal(t, http.StatusOK, first.status)
		require.NotEmpty(t, tag, target)
		require.Equal(t, "application/json", first.header.Get("Content-Type"))
		tags[target] = tag

		for _, same := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			x := b.get("user_1", target, "If-None-Match", same)
			require.Equal(t, http.StatusNotModified, x.status, same)
			require.Empty(t, x.body)
			require.Equal(t, tag, x.header.Get("ETag"))
			require.Equal(t, first.header.Get(headerRevision), x.header.Get(headerRevision))
			require.Equal(t, first.header.Get(headerAsOf), x.header.Get(headerAsOf))
			require.Equal(t, target != "/v1/me", x.header.Get(headerRevision) != "")
		}
		for _, other := range []string{`"x"`, "", tag[1 : len(tag)-1], `"` + tag + `"`} {
			require.Equal(t, http.StatusOK, b.get("user_1", target, "If-None-Match", other).status, other)
		}
	}

	// A tag is valid until the body changes. A 304 also says how fresh it is.
	before := b.get("user_1", base+"/me").header
	b.world.member("org_1", "user_3", "org:member", nil)
	for target, changed := range map[string]bool{"/v1/me": false, base: true, base + "/me": false, base + "/members": true} {
		x := b.get("user_1", target, "If-None-Match", tags[target])
		require.Equal(t, changed, x.status == http.StatusOK, target)
	}
	after := b.get("user_1", base+"/me", "If-None-Match", tags[base+"/me"])
	require.Equal(t, http.StatusNotModified, after.status)
	require.NotEqual(t, before.Get(headerRevision), after.header.Get(headerRevision))

	b.world.remove("org_1", "user_1")
	for _, target := range targets[1:] {
		for _, had := range []string{tags[target], "*"} {
			x := b.get("user_1", target, "If-None-Match", had)
			require.Equal(t, http.StatusNotFound, x.status, "an earlier answer admits nobody")
			require.Empty(t, x.header.Get("ETag"))
		}
	}
	require.Equal(t, http.StatusOK, b.get("user_1", "/v1/me", "If-None-Match", tags["/v1/me"]).status, "the list has changed")
	b.world.account("user_1", map[string]any{"banned": true})
	for _, target := range targets {
		for _, had := range []string{tags[target], "*"} {
			require.Equal(t, http.StatusForbidden, b.get("user_1", target, "If-None-Match", had).status, target)
		}
	}
}

func TestETag_OnlyReadsOfAWorkspaceHaveOne(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	for _, target := range []string{authorizeTarget("org_1", "members:read"), "/v1/workspaces/org_1/audit/export", "/v1/workspaces/org_none"} {
		require.Empty(t, b.get("user_1", target, "If-None-Match", "*").header.Get("ETag"), target)
	}
}

func TestAuthorize_NamesTheAdmittedCallerToAProxy(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "admin", nil)
	x := b.get("user_1", authorizeTarget("org_1", "members:read"))
	require.Equal(t, admitted{user: "user_1", workspace: "org_1", role: "org:admin", permission: "members:read"}, admittedBy(x))
	for _, refused := range []exchange{
		b.get("user_1", authorizeTarget("org_1", "no:such")), b.get("user_2", authorizeTarget("org_1", "members:read")),
		b.get("", authorizeTarget("org_1", "members:read")),
	} {
		require.Zero(t, admittedBy(refused))
	}
}

// admitted is what an answer's headers tell a proxy.
type admitted struct{ user, workspace, role, permission string }

func admittedBy(x exchange) admitted {
	return admitted{
		user: x.header.Get(headerUser), workspace: x.header.Get(headerWorkspace), role: x.header.Get(headerRole),
		permission: x.header.Get(headerPermission),
	}
}
