package api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	clerksync "github.com/callmine/rolecall/sync"
)

const membersOfOne = "/v1/workspaces/org_1/members"

// populate makes user_admin and n more members of org_1, three in each millisecond. The order of
// joining isn't the order of ids. It returns all user ids in the order of joining.
func populate(b *serverBundle, n int) []string {
	b.tb.Helper()
	b.world.organization("org_1", "One", nil)
	b.world.member("org_1", "user_admin", "org:admin", map[string]any{"created_at": worldBegan().UnixMilli()})
	users := []string{"user_admin"}
	var deliveries []clerksync.Delivery
	for i := range n {
		user := fmt.Sprintf("user_%04d", (n-i/3)*3+i%3)
		users = append(users, user)
		deliveries = append(deliveries, b.world.membership(clerksync.MembershipCreated, "org_1", user, "org:member",
			map[string]any{"created_at": worldBegan().UnixMilli() + 1 + int64(i/3)}))
	}
	slices.Reverse(deliveries) // the order of arrival must not matter
	b.world.apply(deliveries...)
	return users
}

// walk pages through the members of org_1 and returns their ids and the number of pages.
func walk(b *serverBundle, limit int) (users []string, pages int) {
	b.tb.Helper()
	query := url.Values{"limit": {fmt.Sprint(limit)}}
	for {
		body := answerOf[page[memberBody]](b.tb, b.get("user_admin", membersOfOne+"?"+query.Encode()))
		pages++
		require.LessOrEqual(b.tb, len(body.Data), limit)
		for _, m := range body.Data {
			users = append(users, m.UserID)
		}
		if body.NextCursor == nil {
			return users, pages
		}
		require.Len(b.tb, body.Data, limit, "a page before the last is full")
		require.Less(b.tb, pages, 1000)
		query.Set("cursor", *body.NextCursor)
	}
}

func TestMembers_PagesHoldEachMemberOnce(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	want := populate(b, 19)
	for limit, wantPages := range map[int]int{1: 20, 2: 10, 3: 7, 7: 3, 19: 2, 20: 1, 21: 1, 200: 1} {
		users, pages := walk(b, limit)
		require.Equal(t, want, users, "limit %d", limit)
		require.Equal(t, wantPages, pages, "limit %d", limit)
	}
	first := answerOf[page[memberBody]](t, b.get("user_admin", membersOfOne+"?limit=2")).Data[1]
	require.Equal(t, memberBody{
		UserID: want[1], MembershipID: membershipID("org_1", want[1]), Role: "org:member", RoleName: new("Role org:member"),
		Identifier: new(want[1] + "@example.com"), FirstName: new("First"), JoinedAt: worldBegan().Add(1e6),
	}, first)
}

func TestMembers_LimitIsBounded(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	populate(b, 210)
	for query, want := range map[string]int{"": 50, "?limit=1": 1, "?limit=50": 50, "?limit=200": 200} {
		require.Len(t, answerOf[page[memberBody]](t, b.get("user_admin", membersOfOne+query)).Data, want, query)
	}
	for _, query := range []string{
		"limit=0", "limit=-1", "limit=201", "limit=", "limit=x", "limit=1.0", "limit=1e1", "limit=99999999999999999999",
		"limit=5&limit=5", "limit=%zz", "limit=5;limit=6", "limit=%00",
	} {
		x := b.get("user_admin", membersOfOne+"?"+query)
		require.Equal(t, http.StatusBadRequest, x.status, query)
	}
}

func TestMembers_CursorsAreChecked(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	populate(b, 5)
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	good := *answerOf[page[memberBody]](t, b.get("user_admin", membersOfOne+"?limit=1")).NextCursor
	for name, cursor := range map[string]string{
		"empty": "", "not base64": "!!!", "padded": good + "==", "cut": good[:len(good)-1], "no id": encode("1"), "empty id": encode("1:"),
		"no time": encode(":orgmem_1"), "words": encode("soon:orgmem_1"), "before 1970": encode("-1:orgmem_1"),
		"beyond year 9999": encode("253402300800000:orgmem_1"), "beyond int64": encode("99999999999999999999:orgmem_1"),
		"NUL": encode("1:\x00"), "not UTF-8": encode("1:\xff"), "long": encode("1:" + strings.Repeat("x", 300)), "fraction": encode("1.5:orgmem_1"),
	} {
		x := b.get("user_admin", membersOfOne+"?cursor="+url.QueryEscape(cursor))
		if name == "cut" { // may be another valid cursor
			require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, x.status)
			continue
		}
		require.Equal(t, http.StatusBadRequest, x.status, name)
	}
	require.Equal(t, http.StatusBadRequest, b.get("user_admin", membersOfOne+"?cursor="+good+"&cursor="+good).status)

	// A tampered cursor selects only among rows that its bearer may read.
	b.world.member("org_2", "user_stranger", "org:admin", nil)
	for _, tampered := range []string{"0:orgmem_org_2_user_stranger", "0:x", "253402300799999:zzz", "0:' OR 1=1--", "00:x", "+0:x"} {
		x := b.get("user_admin", membersOfOne+"?cursor="+encode(tampered))
		require.NotContains(t, string(x.body), "user_stranger")
		require.Len(t, answerOf[page[memberBody]](t, x).Data, map[bool]int{true: 0, false: 6}[strings.HasPrefix(tampered, "2534")], tampered)
	}
	requireProblem(t, b.get("user_stranger", membersOfOne+"?cursor="+good), http.StatusNotFound, "")
}

// TestMembers_ListCountAndDecisionAgree: all three have the same members.
func TestMembers_ListCountAndDecisionAgree(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	populate(b, 3)
	for _, user := range []string{"user_banned", "user_deprovisioned", "user_deleted", "user_removed", "user_twice"} {
		b.world.member("org_1", user, "org:member", nil)
	}
	b.world.account("user_banned", map[string]any{"banned": true})
	b.world.account("user_deprovisioned", map[string]any{"deprovisioned": true})
	b.world.deleteUser("user_deleted")
	b.world.remove("org_1", "user_removed")
	b.world.member("org_1", "user_twice", "admin", map[string]any{"id": "orgmem_newer", "created_at": b.world.now().UnixMilli()})

	users, _ := walk(b, 2)
	require.Len(t, users, 5)
	require.Equal(t, "user_twice", users[4], "once, and as of the newer of two live memberships")
	last := answerOf[page[memberBody]](t, b.get("user_admin", membersOfOne)).Data[4]
	require.Equal(t, "orgmem_newer", last.MembershipID)
	require.Equal(t, "org:admin", last.Role)
	require.EqualValues(t, len(users), answerOf[workspaceBody](t, b.get("user_admin", "/v1/workspaces/org_1")).MemberCount)
	require.Equal(t, "org:admin", answerOf[workspaceMeBody](t, b.get("user_twice", "/v1/workspaces/org_1/me")).Role)
}

func TestMembers_TakesItsPermission(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	populate(b, 1)
	b.world.member("org_1", "user_member", "org:member", nil)
	b.world.member("org_1", "user_auditor", "org:auditor", map[string]any{"permissions": []string{"members:read"}})
	requireProblem(t, b.get("user_member", membersOfOne), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	requireProblem(t, b.get("user_member", membersOfOne+"?limit=0"), http.StatusForbidden, clerksync.ReasonPermissionMissing)
	require.Equal(t, http.StatusOK, b.get("user_auditor", membersOfOne).status)
}
