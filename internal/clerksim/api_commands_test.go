package clerksim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func TestAPI_CreatesChangesAndDeletesOrganizations(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	admin := createUser(t, w, clerksim.NewUser{})
	w.Drain()
	status, made := send(t, w, http.MethodPost, "/v1/organizations",
		`{"name":"Quiet Harbour","created_by":"`+admin.ID+`","slug":"quiet","max_allowed_memberships":5,"public_metadata":{"a":1}}`)
	require.Equal(t, http.StatusOK, status, "%v", made)
	id, _ := made["id"].(string)
	messages := w.Drain()
	require.Equal(t, []string{"organization.created", "organizationMembership.created"}, types(messages))
	require.Equal(t, decode(t, messages[0].Body).at(t, "data"), made, "answer and event say the same")
	require.Equal(t, clerksim.RoleAdmin, w.Directory().Role(id, admin.ID))
	o, _ := w.Organization(id)
	require.Equal(t, []any{"Quiet Harbour", "quiet", 5, `{"a":1}`}, []any{o.Name, o.Slug, o.MaxMembers, string(o.PublicMetadata)})

	c.advance(time.Second)
	status, changed := send(t, w, http.MethodPatch, "/v1/organizations/"+id, `{"name":"Loud Harbour","max_allowed_memberships":0}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Loud Harbour", changed["name"])
	require.Equal(t, "quiet", changed["slug"], "what isn't named stays")
	require.Equal(t, c.Now().UnixMilli(), number(t, changed["updated_at"]))
	require.Zero(t, number(t, changed["max_allowed_memberships"]))
	require.Equal(t, []string{"organization.updated"}, types(w.Drain()))

	status, deleted := send(t, w, http.MethodDelete, "/v1/organizations/"+id, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, object{"object": "organization", "id": id, "slug": "quiet", "deleted": true}, deleted)
	require.Equal(t, []string{"organization.deleted"}, types(w.Drain()))
	status, _ = send(t, w, http.MethodDelete, "/v1/organizations/"+id, "")
	require.Equal(t, http.StatusNotFound, status)

	status, made = send(t, w, http.MethodPost, "/v1/organizations", `{"name":"By the backend","created_by":null,"slug":null}`)
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, made, "created_by")
}

func TestAPI_AddsMembers(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, _, _ := team(t, w)
	guest := createUser(t, w, clerksim.NewUser{})
	w.Drain()
	status, added := send(t, w, http.MethodPost, "/v1/organizations/"+o.ID+"/memberships",
		`{"user_id":"`+guest.ID+`","role":"org:admin","public_metadata":{"a":1}}`)
	require.Equal(t, http.StatusOK, status, "%v", added)
	m, ok := w.Membership(o.ID, guest.ID)
	require.True(t, ok)
	require.Equal(t, clerksim.RoleAdmin, m.Role)
	require.JSONEq(t, `{"a":1}`, string(m.PublicMetadata))
	messages := w.Drain()
	require.Equal(t, []string{"organizationMembership.created"}, types(messages))
	require.Equal(t, decode(t, messages[0].Body).at(t, "data"), added)

	plain := createUser(t, w, clerksim.NewUser{})
	status, added = send(t, w, http.MethodPost, "/v1/organizations/"+o.ID+"/memberships",
		`{"user_id":"`+plain.ID+`","role":"org:member","public_metadata":null}`)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, added.at(t, "public_metadata"), "{}, and not null")
}

func TestAPI_CreatesBansAndDeletesUsers(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	status, made := send(t, w, http.MethodPost, "/v1/users",
		`{"email_address":["robin@callmine.test"],"first_name":"Robin","skip_password_requirement":true}`)
	require.Equal(t, http.StatusOK, status)
	id, _ := made["id"].(string)
	for _, tc := range []struct {
		method, path string
		banned       any
		event        string
	}{
		{http.MethodPost, "/v1/users/" + id + "/ban", true, "user.updated"},
		{http.MethodPost, "/v1/users/" + id + "/unban", false, "user.updated"},
		{http.MethodDelete, "/v1/users/" + id, nil, "user.deleted"},
	} {
		w.Drain()
		status, answer := send(t, w, tc.method, tc.path, "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, tc.banned, answer["banned"])
		messages := w.Drain()
		require.Equal(t, []string{tc.event}, types(messages))
		require.Equal(t, decode(t, messages[0].Body).at(t, "data")["id"], answer["id"])
		status, _ = send(t, w, tc.method, "/v1/users/user_no"+strings.TrimPrefix(tc.path, "/v1/users/"+id), "")
		require.Equal(t, http.StatusNotFound, status)
	}
	_, exists := w.User(id)
	require.False(t, exists)
}

func TestAPI_DirectoryMembershipsCannotBeChanged(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	change := func(user clerksim.User) (int, any) {
		status, answer := send(t, w, http.MethodPatch, "/v1/organizations/"+o.ID+"/memberships/"+user.ID, `{"role":"org:admin"}`)
		if errs, refused := answer["errors"].([]any); refused {
			return status, errs[0].(map[string]any)["code"]
		}
		return status, nil
	}
	managed := func(wantStatus int, wantCode any, user clerksim.User) {
		t.Helper()
		status, code := change(user)
		require.Equal(t, []any{wantStatus, wantCode}, []any{status, code})
	}
	const scim = "organization_membership_managed_by_scim"
	require.NoError(t, w.ManageByDirectory(o.ID, member.ID, true))
	managed(http.StatusForbidden, scim, member)
	managed(http.StatusOK, nil, admin)
	require.NoError(t, w.ManageByDirectory(o.ID, member.ID, false))
	managed(http.StatusOK, nil, member)
	require.NoError(t, w.ManageByDirectory(o.ID, "", true))
	managed(http.StatusForbidden, scim, admin)
	status, _ := send(t, w, http.MethodDelete, "/v1/organizations/"+o.ID+"/memberships/"+member.ID, "")
	require.Equal(t, http.StatusForbidden, status)
	require.NoError(t, w.RemoveMember(o.ID, member.ID), "the directory may")
	require.ErrorIs(t, w.ManageByDirectory("org_no", "", true), clerksim.ErrNotFound)
	require.ErrorIs(t, w.ManageByDirectory(o.ID, member.ID, true), clerksim.ErrNotFound)
}

func TestAPI_RefusesCommands(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	full, err := w.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID, MaxMembers: 1, Slug: "taken"})
	require.NoError(t, err)
	w.Drain()
	const organizations = "/v1/organizations"
	members := func(organizationID string) string { return organizations + "/" + organizationID + "/memberships" }
	join := `{"user_id":"` + member.ID + `","role":"org:member"}`
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		code               clerksim.Code
	}{
		"no name":               {http.MethodPost, organizations, `{}`, 422, clerksim.ErrMissing},
		"an empty name":         {http.MethodPost, organizations, `{"name":""}`, 422, clerksim.ErrInvalid},
		"too long a name":       {http.MethodPatch, organizations + "/" + o.ID, `{"name":"` + strings.Repeat("a", 257) + `"}`, 422, clerksim.ErrInvalid},
		"unknown creator":       {http.MethodPost, organizations, `{"name":"A","created_by":"user_no"}`, 404, clerksim.ErrNotFound},
		"slug taken":            {http.MethodPost, organizations, `{"name":"A","slug":"taken"}`, 422, clerksim.ErrDuplicate},
		"a bad slug":            {http.MethodPatch, organizations + "/" + o.ID, `{"slug":"Big"}`, 422, clerksim.ErrInvalid},
		"less than nobody":      {http.MethodPatch, organizations + "/" + o.ID, `{"max_allowed_memberships":-1}`, 422, clerksim.ErrInvalid},
		"metadata no object":    {http.MethodPost, organizations, `{"name":"A","public_metadata":[]}`, 422, clerksim.ErrInvalid},
		"metadata in an update": {http.MethodPatch, organizations + "/" + o.ID, `{"public_metadata":{}}`, 422, clerksim.ErrUnsimulated},
		"update nothing":        {http.MethodPatch, organizations + "/org_no", `{"name":"A"}`, 404, clerksim.ErrNotFound},
		"member already":        {http.MethodPost, members(o.ID), join, 400, clerksim.ErrAlreadyMember},
		"full":                  {http.MethodPost, members(full.ID), join, 403, clerksim.ErrQuota},
		"join nothing":          {http.MethodPost, members("org_no"), join, 404, clerksim.ErrNotFound},
		"nobody joins":          {http.MethodPost, members(o.ID), `{"role":"org:member"}`, 422, clerksim.ErrMissing},
		"join without a role":   {http.MethodPost, members(o.ID), `{"user_id":"` + member.ID + `"}`, 422, clerksim.ErrMissing},
		"user without a sign":   {http.MethodPost, "/v1/users", `{"first_name":"Robin"}`, 422, clerksim.ErrMissing},
		"role by its key":       {http.MethodGet, "/v1/organization_roles/org:admin", "", 404, clerksim.ErrNotFound},
		"unknown permission":    {http.MethodGet, "/v1/organization_permissions/perm_no", "", 404, clerksim.ErrNotFound},
		"domains of nothing":    {http.MethodGet, organizations + "/org_no/domains", "", 404, clerksim.ErrNotFound},
		"order of a fixed list": {http.MethodGet, "/v1/users/" + admin.ID + "/organization_memberships?order_by=created_at", "", 422, clerksim.ErrUnsimulated},
		"order by anything":     {http.MethodGet, organizations + "?order_by=size", "", 422, clerksim.ErrInvalid},
		"cursor by name":        {http.MethodGet, "/v1/users?order_by=first_name&starting_after=" + admin.ID, "", 422, clerksim.ErrInvalid},
		"101 roles":             {http.MethodGet, members(o.ID) + "?" + strings.Repeat("role=a&", 101), "", 422, clerksim.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := send(t, w, tc.method, tc.path, tc.body)
			require.Equal(t, tc.status, status, "%v", answer)
			errs, ok := answer["errors"].([]any)
			require.True(t, ok)
			require.Equal(t, string(tc.code), errs[0].(map[string]any)["code"])
			require.Empty(t, w.Drain(), "what is refused emits nothing")
		})
	}
}
