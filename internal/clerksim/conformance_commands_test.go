package clerksim_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func conformOrganization(t *testing.T, p peer) {
	t.Helper()
	admin := p.user(t)
	id := p.organization(t, admin)
	path, members := "/organizations/"+id, "/organizations/"+id+"/memberships"
	created := p.get(t, path, nil).ok(t)
	require.Regexp(t, "^"+ours, created["name"])
	require.NotZero(t, number(t, created["created_at"]))
	require.Equal(t, 1, p.list(t, members, url.Values{"user_id": {admin}}).TotalCount, "the creator is a member")

	name := newName()
	renamed := p.call(t.Context(), t, http.MethodPatch, path, nil, object{"name": name}).ok(t)
	require.Equal(t, name, renamed["name"])
	require.Equal(t, name, p.get(t, path, nil).ok(t)["name"])
	require.GreaterOrEqual(t, number(t, renamed["updated_at"]), number(t, created["updated_at"]))

	deleted := p.call(t.Context(), t, http.MethodDelete, path, nil, nil).ok(t)
	require.Equal(t, id, deleted["id"])
	require.Equal(t, true, deleted["deleted"])
	p.get(t, path, nil).refused(t, http.StatusNotFound, "resource_not_found")
	require.Zero(t, p.list(t, "/organizations", url.Values{"organization_id": {id}}).TotalCount)
	require.Zero(t, p.list(t, "/users/"+admin+"/organization_memberships", nil).TotalCount, "memberships go along")
}

func conformMembership(t *testing.T, p peer) {
	t.Helper()
	admin, guest := p.user(t), p.user(t)
	members := "/organizations/" + p.organization(t, admin) + "/memberships"
	lookup := url.Values{"user_id": {guest}}
	require.Empty(t, p.list(t, members, lookup).Data, "not yet")

	join := object{"user_id": guest, "role": "org:member"}
	joined := p.call(t.Context(), t, http.MethodPost, members, nil, join).ok(t)
	require.Equal(t, "org:member", joined["role"])
	p.call(t.Context(), t, http.MethodPost, members, nil, join).refused(t, 0, "already_a_member_in_organization")
	found := p.list(t, members, lookup)
	require.Equal(t, 1, found.TotalCount)
	require.Equal(t, joined["id"], found.Data[0]["id"])
	require.Equal(t, guest, found.Data[0].at(t, "public_user_data")["user_id"])
	require.Contains(t, found.Data[0].at(t, "organization"), "id")
	require.Contains(t, found.Data[0], "permissions")
	ordered := p.list(t, members, url.Values{"order_by": {oldestFirst}})
	require.Len(t, ordered.Data, 2)
	require.Equal(t, joined["id"], ordered.Data[1]["id"], "who joined last comes last")
	newest := p.list(t, "/organization_memberships", url.Values{"order_by": {"-created_at"}, "limit": {"500"}})
	require.Contains(t, ids(newest.Data), joined["id"], "the instance's list has it too")

	promoted := p.call(t.Context(), t, http.MethodPatch, members+"/"+guest, nil, object{"role": "org:admin"}).ok(t)
	require.Equal(t, joined["id"], promoted["id"])
	require.Equal(t, "org:admin", p.list(t, members, lookup).Data[0]["role"])

	removed := p.call(t.Context(), t, http.MethodDelete, members+"/"+guest, nil, nil).ok(t)
	require.Equal(t, joined["id"], removed["id"])
	require.Zero(t, p.list(t, members, lookup).TotalCount)
	p.call(t.Context(), t, http.MethodDelete, members+"/"+guest, nil, nil).refused(t, http.StatusNotFound, "resource_not_found")
	again := p.call(t.Context(), t, http.MethodPost, members, nil, join).ok(t)
	require.NotEqual(t, joined["id"], again["id"], "a membership of its own")
}

func conformLastAdmin(t *testing.T, p peer) {
	t.Helper()
	admin := p.user(t)
	member := "/organizations/" + p.organization(t, admin) + "/memberships/" + admin
	const needed = "organization_minimum_permissions_needed"
	p.call(t.Context(), t, http.MethodDelete, member, nil, nil).refused(t, 0, needed)
	p.call(t.Context(), t, http.MethodPatch, member, nil, object{"role": "org:member"}).refused(t, 0, needed)
}

func conformInvitation(t *testing.T, p peer) {
	t.Helper()
	admin := p.user(t)
	invitations := "/organizations/" + p.organization(t, admin) + "/invitations"
	address := newAddress()
	wanted := object{"email_address": address, "role": "org:member", "inviter_user_id": admin, "notify": false}
	made := p.call(t.Context(), t, http.MethodPost, invitations, nil, wanted).ok(t)
	require.Equal(t, "pending", made["status"])
	require.Equal(t, address, made["email_address"])
	require.Equal(t, "org:member", made["role"])
	id, _ := made["id"].(string)
	p.call(t.Context(), t, http.MethodPost, invitations, nil, wanted).refused(t, 0, "organization_invitation_not_unique")
	require.Equal(t, []string{id}, ids(p.list(t, invitations, url.Values{"status": {"pending"}}).Data))
	listed := p.list(t, "/organization_invitations", url.Values{"query": {address}})
	require.Equal(t, []string{id}, ids(listed.Data), "the instance's list has it too")

	revoked := p.call(t.Context(), t, http.MethodPost, invitations+"/"+id+"/revoke", nil, object{"requesting_user_id": admin}).ok(t)
	require.Equal(t, "revoked", revoked["status"])
	p.call(t.Context(), t, http.MethodPost, invitations+"/"+id+"/revoke", nil, object{}).
		refused(t, 0, "organization_invitation_not_pending")
	require.Empty(t, p.list(t, invitations, url.Values{"status": {"pending"}}).Data)
	require.Equal(t, []string{id}, ids(p.list(t, invitations, url.Values{"status": {"revoked"}}).Data))
	again := p.call(t.Context(), t, http.MethodPost, invitations, nil, wanted).ok(t)
	require.NotEqual(t, id, again["id"], "the address is free again")
}
