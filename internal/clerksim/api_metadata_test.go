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

func TestAPI_MergesAndReplacesMetadata(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	for path, event := range map[string]string{
		"/v1/users/" + admin.ID:                                   "user.updated",
		"/v1/organizations/" + o.ID:                               "organization.updated",
		"/v1/organizations/" + o.ID + "/memberships/" + member.ID: "organizationMembership.updated",
	} {
		c.advance(time.Second)
		change := func(method, body, wantPublic, wantPrivate string) {
			t.Helper()
			status, changed := send(t, w, method, path+"/metadata", body)
			require.Equal(t, http.StatusOK, status, "%v", changed)
			require.JSONEq(t, wantPublic, string(marshal(t, changed["public_metadata"])), "%s %s %s", method, path, body)
			require.JSONEq(t, wantPrivate, string(marshal(t, changed["private_metadata"])), "%s %s %s", method, path, body)
			require.Equal(t, c.Now().UnixMilli(), number(t, changed["updated_at"]))
			messages := w.Drain()
			require.Equal(t, []string{event}, types(messages))
			require.Equal(t, decode(t, messages[0].Body).at(t, "data"), changed, "answer and event say the same")
		}
		change(http.MethodPatch, `{"public_metadata":{"a":{"b":1,"c":[1]},"d":"<x>"},"private_metadata":{"k":1.50}}`,
			`{"a":{"b":1,"c":[1]},"d":"<x>"}`, `{"k":1.50}`)
		change(http.MethodPatch, `{"public_metadata":{"a":{"b":null,"c":[2],"e":{"f":null,"g":1}},"d":null,"h":{"i":null}}}`,
			`{"a":{"c":[2],"e":{"g":1}},"h":{}}`, `{"k":1.50}`)
		change(http.MethodPatch, `{"public_metadata":{"a":3},"private_metadata":null}`, `{"a":3,"h":{}}`, `{"k":1.50}`)
		change(http.MethodPatch, ``, `{"a":3,"h":{}}`, `{"k":1.50}`)
		status, code, param := refusal(t, w, http.MethodPatch, path+"/metadata", `{"public_metadata":{"z":1},"private_metadata":[]}`)
		require.Equal(t, []any{http.StatusUnprocessableEntity, string(clerksim.ErrInvalid), "private_metadata"}, []any{status, code, param})
		require.Empty(t, w.Drain())
		change(http.MethodPatch, `{}`, `{"a":3,"h":{}}`, `{"k":1.50}`)
		if event == "organizationMembership.updated" {
			continue // Clerk can't replace it
		}
		change(http.MethodPut, `{"public_metadata":{"z":1}}`, `{"z":1}`, `{"k":1.50}`)
		change(http.MethodPut, `{"private_metadata":null}`, `{"z":1}`, `null`)
		change(http.MethodPatch, `{"private_metadata":{"y":{"x":1}}}`, `{"z":1}`, `{"y":{"x":1}}`)
		status, _, _ = refusal(t, w, http.MethodPut, path+"/metadata", `{"public_metadata":"z"}`)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
	for _, path := range []string{"/v1/users/user_no", "/v1/organizations/org_no", "/v1/organizations/" + o.ID + "/memberships/user_no"} {
		status, _, _ := refusal(t, w, http.MethodPatch, path+"/metadata", `{}`)
		require.Equal(t, http.StatusNotFound, status, path)
	}
}

// TestAPI_TakesMetadataByPatchInEarlierVersions: it replaces the whole object. Today's clients have
// routes for it.
func TestAPI_TakesMetadataByPatchInEarlierVersions(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	for path, body := range map[string]string{
		"/v1/users/" + admin.ID:     `{"first_name":"Ada","public_metadata":{"a":1},"private_metadata":{"b":2},"unsafe_metadata":{"c":3}}`,
		"/v1/organizations/" + o.ID: `{"name":"A","public_metadata":{"a":1},"private_metadata":{"b":2}}`,
	} {
		patch := func(version string) (int, string) {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPatch, path, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+w.SecretKey())
			req.Header.Set("Clerk-API-Version", version)
			recorder := httptest.NewRecorder()
			w.Handler().ServeHTTP(recorder, req)
			return recorder.Code, recorder.Body.String()
		}
		status, answer := patch("2026-05-12")
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Contains(t, answer, "/metadata")
		require.Empty(t, w.Drain())
		status, answer = patch("2025-11-10")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, answer, `"public_metadata":{"a":1},"private_metadata":{"b":2}`)
		require.Len(t, w.Drain(), 1)
	}
	u, _ := w.User(admin.ID)
	require.JSONEq(t, `{"c":3}`, string(u.UnsafeMetadata))
}

func TestAPI_OnlyUsersHaveUnsafeMetadata(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	const unsafe = `{"unsafe_metadata":{"a":1}}`
	status, changed := send(t, w, http.MethodPatch, "/v1/users/"+admin.ID+"/metadata", unsafe)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"a":1}`, string(marshal(t, changed["unsafe_metadata"])))
	status, code, param := refusal(t, w, http.MethodPatch, "/v1/organizations/"+o.ID+"/metadata", unsafe)
	require.Equal(t, []any{http.StatusUnprocessableEntity, string(clerksim.ErrUnsimulated), "unsafe_metadata"}, []any{status, code, param})
}

// TestMetadata_GoesFromAnInvitationToTheMembership: both objects, and from creations too.
func TestMetadata_GoesFromAnInvitationToTheMembership(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, _, member := team(t, w)
	guest := createUser(t, w, clerksim.NewUser{})
	const both = `"public_metadata":{"a":1},"private_metadata":{"b":2}`
	_, invited := send(t, w, http.MethodPost, "/v1/organizations/"+o.ID+"/invitations", `{"email_address":"guest@callmine.test","role":"org:member",`+both+`}`)
	m, err := w.Accept(invited["id"].(string), guest.ID)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(m.PublicMetadata))
	require.JSONEq(t, `{"b":2}`, string(m.PrivateMetadata))

	_, made := send(t, w, http.MethodPost, "/v1/organizations", `{"name":"A",`+both+`}`)
	require.JSONEq(t, `{"b":2}`, string(marshal(t, made["private_metadata"])))
	_, joined := send(t, w, http.MethodPost, "/v1/organizations/"+made["id"].(string)+"/memberships", `{"user_id":"`+member.ID+`","role":"org:member",`+both+`}`)
	require.JSONEq(t, `{"b":2}`, string(marshal(t, joined["private_metadata"])))
	require.NotContains(t, joined.at(t, "organization"), "private_metadata", "Clerk doesn't nest it")
}
