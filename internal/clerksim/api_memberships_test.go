package clerksim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// send makes one request with a body and returns the answer's status and body.
func send(t *testing.T, w *clerksim.World, method, path, body string) (int, object) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+w.SecretKey())
	recorder := httptest.NewRecorder()
	w.Handler().ServeHTTP(recorder, req)
	return recorder.Code, decode(t, recorder.Body.Bytes())
}

// team makes an organization of an admin and a member.
func team(t *testing.T, w *clerksim.World) (o clerksim.Organization, admin, member clerksim.User) {
	t.Helper()
	admin, member = createUser(t, w, clerksim.NewUser{}), createUser(t, w, clerksim.NewUser{})
	o = createOrganization(t, w, admin.ID)
	_, err := w.AddMember(o.ID, member.ID, clerksim.RoleMember)
	require.NoError(t, err)
	w.Drain()
	return o, admin, member
}

func TestAPI_ChangesRoles(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, _, member := team(t, w)
	c.advance(time.Second)
	status, answer := send(t, w, http.MethodPatch, "/v1/organizations/"+o.ID+"/memberships/"+member.ID, `{"role":"org:admin"}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, clerksim.RoleAdmin, answer["role"])
	require.Equal(t, c.Now().UnixMilli(), number(t, answer["updated_at"]))
	m, ok := w.Membership(o.ID, member.ID)
	require.True(t, ok)
	require.Equal(t, clerksim.RoleAdmin, m.Role)

	messages := w.Drain()
	require.Equal(t, []string{"organizationMembership.updated"}, types(messages))
	require.Equal(t, decode(t, messages[0].Body).at(t, "data"), answer, "answer and event say the same")
}

func TestAPI_RemovesMembers(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, _, member := team(t, w)
	before, _ := w.Membership(o.ID, member.ID)
	c.advance(time.Second)
	path := "/v1/organizations/" + o.ID + "/memberships/" + member.ID
	status, answer := send(t, w, http.MethodDelete, path, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, before.ID, answer["id"])
	require.Equal(t, before.UpdatedAt.UnixMilli(), number(t, answer["updated_at"]), "as it was")
	_, ok := w.Membership(o.ID, member.ID)
	require.False(t, ok)

	messages := w.Drain()
	require.Equal(t, []string{"organizationMembership.deleted"}, types(messages))
	require.Equal(t, decode(t, messages[0].Body).at(t, "data"), answer)

	status, _ = send(t, w, http.MethodDelete, path, "")
	require.Equal(t, http.StatusNotFound, status, "once")
	require.Empty(t, w.Drain())
}

func TestAPI_RefusesChangesOfMemberships(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	stranger := createUser(t, w, clerksim.NewUser{})
	w.Drain()
	members := "/v1/organizations/" + o.ID + "/memberships/"
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		code               clerksim.Code
	}{
		"remove the last admin":    {http.MethodDelete, members + admin.ID, "", 403, clerksim.ErrLastAdmin},
		"demote the last admin":    {http.MethodPatch, members + admin.ID, `{"role":"org:member"}`, 403, clerksim.ErrLastAdmin},
		"remove a stranger":        {http.MethodDelete, members + stranger.ID, "", 404, clerksim.ErrNotFound},
		"promote a stranger":       {http.MethodPatch, members + stranger.ID, `{"role":"org:admin"}`, 404, clerksim.ErrNotFound},
		"unknown organization":     {http.MethodDelete, "/v1/organizations/org_no/memberships/" + member.ID, "", 404, clerksim.ErrNotFound},
		"unknown role":             {http.MethodPatch, members + member.ID, `{"role":"org:king"}`, 404, clerksim.ErrNotFound},
		"no role":                  {http.MethodPatch, members + member.ID, `{}`, 422, clerksim.ErrMissing},
		"no body":                  {http.MethodPatch, members + member.ID, ``, 422, clerksim.ErrInvalid},
		"role of another kind":     {http.MethodPatch, members + member.ID, `{"role":1}`, 422, clerksim.ErrInvalid},
		"a field it doesn't know":  {http.MethodPatch, members + member.ID, `{"role":"org:admin","x":1}`, 422, clerksim.ErrUnsimulated},
		"a parameter":              {http.MethodDelete, members + member.ID + "?x=1", "", 422, clerksim.ErrUnsimulated},
		"a method it doesn't know": {http.MethodPut, members + member.ID, `{}`, 404, clerksim.ErrUnsimulatedCall},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := send(t, w, tc.method, tc.path, tc.body)
			require.Equal(t, tc.status, status)
			errs, ok := answer["errors"].([]any)
			require.True(t, ok)
			require.Len(t, errs, 1)
			require.Equal(t, string(tc.code), errs[0].(map[string]any)["code"])
			require.Empty(t, w.Drain(), "what is refused emits nothing")
		})
	}
}

func TestAPI_ChangesNeedTheKey(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, _, member := team(t, w)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/v1/organizations/"+o.ID+"/memberships/"+member.ID, nil)
	recorder := httptest.NewRecorder()
	w.Handler().ServeHTTP(recorder, req)
	require.Equal(t, http.StatusUnauthorized, recorder.Code)
	_, ok := w.Membership(o.ID, member.ID)
	require.True(t, ok)
}
