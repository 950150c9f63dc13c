package clerksim_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func TestAPI_MakesRolesOfPermissions(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	does := func(method, path, body, event string) object {
		t.Helper()
		status, answer := send(t, w, method, path, body)
		require.Equal(t, http.StatusOK, status, "%v", answer)
		messages := w.Drain()
		require.Equal(t, []string{event}, types(messages))
		told := decode(t, messages[0].Body).at(t, "data")
		if method == http.MethodDelete && answer["deleted"] == true {
			require.Equal(t, told["id"], answer["id"])
			return answer
		}
		require.Equal(t, told, answer, "answer and event say the same")
		return answer
	}
	const roles, permissions = "/v1/organization_roles", "/v1/organization_permissions"
	read := does(http.MethodPost, permissions, `{"name":"Read","key":"org:reports:read","description":"All"}`, "permission.created")
	write := does(http.MethodPost, permissions, `{"name":"Write","key":"org:reports:write"}`, "permission.created")
	require.Equal(t, []any{"All", "Write."}, []any{read["description"], write["description"]})
	readID, writeID := read["id"].(string), write["id"].(string)
	made := does(http.MethodPost, roles, `{"name":"Analyst","key":"org:analyst","permissions":["`+readID+`"],"include_in_initial_role_set":true}`, "role.created")
	role := roles + "/" + made["id"].(string)
	held := func(want ...string) {
		t.Helper()
		r, known := w.Role("org:analyst")
		require.True(t, known)
		require.Equal(t, want, r.Permissions)
	}
	held("org:reports:read")
	does(http.MethodPost, role+"/permissions/"+writeID, "", "role.updated")
	held("org:reports:read", "org:reports:write")
	does(http.MethodDelete, role+"/permissions/"+readID, "", "role.updated")
	held("org:reports:write")
	renamed := does(http.MethodPatch, role, `{"name":"Reader","description":"Reads"}`, "role.updated")
	require.Equal(t, []any{"Reader", "org:analyst", "Reads"}, []any{renamed["name"], renamed["key"], renamed["description"]})
	held("org:reports:write")

	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		code               clerksim.Code
	}{
		"role without a name":    {http.MethodPost, roles, `{"key":"org:a"}`, 422, clerksim.ErrMissing},
		"role without a key":     {http.MethodPost, roles, `{"name":"A"}`, 422, clerksim.ErrMissing},
		"role key taken":         {http.MethodPost, roles, `{"name":"A","key":"org:analyst"}`, 422, clerksim.ErrDuplicate},
		"of an unknown one":      {http.MethodPost, roles, `{"name":"A","key":"org:a","permissions":["perm_no"]}`, 404, clerksim.ErrNotFound},
		"permission by its key":  {http.MethodPatch, role, `{"permissions":["org:reports:read"]}`, 404, clerksim.ErrNotFound},
		"permission has no name": {http.MethodPost, permissions, `{"key":"org:a:b"}`, 422, clerksim.ErrMissing},
		"permission has no key":  {http.MethodPost, permissions, `{"name":"A"}`, 422, clerksim.ErrMissing},
		"permission of Clerk's":  {http.MethodPost, permissions, `{"name":"A","key":"org:sys_a:b"}`, 422, clerksim.ErrInvalid},
		"given twice":            {http.MethodPost, role + "/permissions/" + writeID, "", 409, clerksim.ErrPermissionAssigned},
		"taken twice":            {http.MethodDelete, role + "/permissions/" + readID, "", 404, clerksim.ErrNotFound},
		"to an unknown role":     {http.MethodPost, roles + "/role_no/permissions/" + readID, "", 404, clerksim.ErrNotFound},
		"unknown role changed":   {http.MethodPatch, roles + "/role_no", `{"name":"A"}`, 404, clerksim.ErrNotFound},
		"unknown role deleted":   {http.MethodDelete, roles + "/role_no", "", 404, clerksim.ErrNotFound},
		"permission in use":      {http.MethodDelete, permissions + "/" + writeID, "", 422, clerksim.ErrPermissionInUse},
	} {
		status, code, _ := refusal(t, w, tc.method, tc.path, tc.body)
		require.Equal(t, []any{tc.status, string(tc.code)}, []any{status, code}, name)
		require.Empty(t, w.Drain(), "what is refused emits nothing")
	}
	does(http.MethodPatch, role, `{"permissions":[]}`, "role.updated")
	held([]string{}...)
	does(http.MethodDelete, role, "", "role.deleted")
	does(http.MethodDelete, permissions+"/"+writeID, "", "permission.deleted")
}

func TestAPI_ChangesDomains(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	other := createOrganization(t, w, admin.ID)
	w.Drain()
	domains := "/v1/organizations/" + o.ID + "/domains"
	status, made := send(t, w, http.MethodPost, domains, `{"name":"harbour.test"}`)
	require.Equal(t, http.StatusOK, status, "%v", made)
	require.Equal(t, []any{"manual_invitation", "verified"}, []any{made["enrollment_mode"], made.at(t, "verification")["status"]})
	id, _ := made["id"].(string)
	status, changed := send(t, w, http.MethodPatch, domains+"/"+id, `{"verified":false,"enrollment_mode":"automatic_invitation"}`)
	require.Equal(t, http.StatusOK, status, "%v", changed)
	require.Equal(t, []any{"automatic_invitation", "unverified"}, []any{changed["enrollment_mode"], changed.at(t, "verification")["status"]})
	require.Equal(t, []string{"organizationDomain.created", "organizationDomain.updated"}, types(w.Drain()))

	for name, tc := range map[string]struct {
		method, path, body string
		code               clerksim.Code
	}{
		"no name":         {http.MethodPost, domains, `{}`, clerksim.ErrMissing},
		"unknown mode":    {http.MethodPost, domains, `{"name":"quay.test","enrollment_mode":"by_boat"}`, clerksim.ErrInvalid},
		"taken":           {http.MethodPost, domains, `{"name":"harbour.test"}`, clerksim.ErrDuplicate},
		"renamed":         {http.MethodPatch, domains + "/" + id, `{"name":"quay.test"}`, clerksim.ErrUnsimulated},
		"changed by mode": {http.MethodPatch, domains + "/" + id, `{"enrollment_mode":"by_boat"}`, clerksim.ErrInvalid},
		"elsewhere":       {http.MethodPatch, "/v1/organizations/" + other.ID + "/domains/" + id, `{}`, clerksim.ErrNotFound},
		"deleted there":   {http.MethodDelete, "/v1/organizations/" + other.ID + "/domains/" + id, "", clerksim.ErrNotFound},
		"of nothing":      {http.MethodDelete, "/v1/organizations/org_no/domains/" + id, "", clerksim.ErrNotFound},
	} {
		_, code, _ := refusal(t, w, tc.method, tc.path, tc.body)
		require.Equal(t, string(tc.code), code, name)
		require.Empty(t, w.Drain(), "what is refused emits nothing")
	}
	w.SetFeature(clerksim.FeatureDomains, false)
	_, code, _ := refusal(t, w, http.MethodDelete, domains+"/"+id, "")
	require.Equal(t, string(clerksim.ErrDomainsOff), code)
	w.SetFeature(clerksim.FeatureDomains, true)
	status, deleted := send(t, w, http.MethodDelete, domains+"/"+id, "")
	require.Equal(t, []any{http.StatusOK, object{"object": "organization_domain", "id": id, "deleted": true}}, []any{status, deleted})
	require.Equal(t, []string{"organizationDomain.deleted"}, types(w.Drain()))
}
