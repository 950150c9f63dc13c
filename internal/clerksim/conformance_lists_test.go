package clerksim_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const oldestFirst = "+created_at" // url.Values escapes the plus

func conformInstance(t *testing.T, p peer) {
	t.Helper()
	instance := p.get(t, "/instance", nil).ok(t)
	require.Regexp(t, `^ins_\w+$`, instance["id"])
	require.Equal(t, "development", instance["environment_type"])
}

func conformWrongKey(t *testing.T, p peer) {
	t.Helper()
	p.secretKey = "sk_test_thiskeybelongstonoinstanceatall0000000000"
	p.get(t, "/organizations", nil).refused(t, http.StatusUnauthorized, "")
	p.get(t, "/organization_memberships", nil).refused(t, http.StatusUnauthorized, "")
}

func conformUnknown(t *testing.T, p peer) {
	t.Helper()
	p.get(t, "/users/user_39no0such0user0was0ever0mad", nil).refused(t, http.StatusNotFound, "resource_not_found")
	p.get(t, "/organizations/org_39no0such0thing0was0ever0ma", nil).refused(t, http.StatusNotFound, "resource_not_found")
}

func conformLists(t *testing.T, p peer) {
	t.Helper()
	p.organization(t, p.user(t))
	for path, some := range map[string]bool{
		"/organizations":            true,
		"/organization_memberships": true,
		"/organization_roles":       true,
		"/organization_permissions": true,
		"/organization_invitations": false,
		"/organization_domains":     false,
	} {
		found := p.list(t, path, nil)
		require.LessOrEqual(t, len(found.Data), 10, "%s: the default limit", path)
		require.GreaterOrEqual(t, found.TotalCount, len(found.Data), path)
		require.False(t, some && len(found.Data) == 0, path)
	}
}

func conformUserList(t *testing.T, p peer) {
	t.Helper()
	id := p.user(t)
	require.LessOrEqual(t, len(p.get(t, "/users", nil).array(t)), 10, "the default limit")
	require.Equal(t, []string{id}, ids(p.get(t, "/users", url.Values{"user_id": {id}}).array(t)))
	count := p.get(t, "/users/count", url.Values{"user_id": {id}}).ok(t)
	require.Equal(t, int64(1), number(t, count["total_count"]))
	user := p.get(t, "/users/"+id, nil).ok(t)
	require.Contains(t, user, "primary_email_address_id")
	require.Equal(t, false, user["banned"])
}

func conformCursor(t *testing.T, p peer) {
	t.Helper()
	want := []string{p.user(t), p.user(t), p.user(t)}
	query := url.Values{"user_id": want, "order_by": {oldestFirst}, "limit": {"2"}}
	first := ids(p.get(t, "/users", query).array(t))
	require.Equal(t, want[:2], first)
	query.Set("starting_after", first[1])
	require.Equal(t, want[2:], ids(p.get(t, "/users", query).array(t)))
	query.Set("starting_after", want[2])
	require.Empty(t, p.get(t, "/users", query).array(t))
}

func conformCursorRules(t *testing.T, p peer) {
	t.Helper()
	cursor := p.user(t)
	p.get(t, "/users", url.Values{"starting_after": {cursor}, "offset": {"1"}}).refused(t, http.StatusUnprocessableEntity, "")
	p.get(t, "/users", url.Values{"starting_after": {cursor}, "order_by": {"first_name"}}).
		refused(t, http.StatusUnprocessableEntity, "")
}

func conformPaging(t *testing.T, p peer) {
	t.Helper()
	admin := p.user(t)
	want := []string{p.organization(t, admin), p.organization(t, admin), p.organization(t, admin)}
	query := url.Values{"organization_id": want, "order_by": {oldestFirst}}
	require.Equal(t, want, ids(p.list(t, "/organizations", query).Data))
	for offset, id := range want {
		query.Set("limit", "1")
		query.Set("offset", strconv.Itoa(offset))
		found := p.list(t, "/organizations", query)
		require.Equal(t, []string{id}, ids(found.Data))
		require.Equal(t, 3, found.TotalCount, "of all pages")
	}
	query.Set("offset", "3")
	require.Empty(t, p.list(t, "/organizations", query).Data, "behind the end")
	newestFirst := url.Values{"organization_id": want, "order_by": {"-created_at"}, "limit": {"2"}}
	require.Equal(t, []string{want[2], want[1]}, ids(p.list(t, "/organizations", newestFirst).Data))
	require.Equal(t, 3, p.list(t, "/users/"+admin+"/organization_memberships", nil).TotalCount)
}

func conformRoles(t *testing.T, p peer) {
	t.Helper()
	for _, r := range p.list(t, "/organization_roles", url.Values{"limit": {"2"}}).Data {
		require.Regexp(t, `\w`, r["key"])
		require.IsType(t, []any{}, r["permissions"])
		id, _ := r["id"].(string)
		require.Equal(t, r["key"], p.get(t, "/organization_roles/"+id, nil).ok(t)["key"])
	}
}
