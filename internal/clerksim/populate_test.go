package clerksim_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func TestPopulate(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	w.Populate(3, 7)
	require.Empty(t, w.Drain(), "there are no messages of the past")
	d := w.Directory()
	require.Len(t, d.Organizations, 3)
	require.Len(t, d.Users, 7)
	require.Len(t, d.Memberships(), 7)
	for id, o := range d.Organizations {
		require.Equal(t, clerksim.RoleAdmin, d.Role(id, o.CreatedBy))
		require.InDelta(t, 7./3, o.Members, 1)
	}
	listed := callList(t, w, "/v1/organization_memberships", url.Values{"order_by": {"+created_at"}}).Data
	for i, m := range listed {
		require.Equal(t, c.Now().UnixMilli()-int64(7-i), int64(m["created_at"].(float64)))
	}
	_, err := w.AddMember(listed[0]["organization"].(map[string]any)["id"].(string), createUser(t, w, clerksim.NewUser{}).ID, "")
	require.NoError(t, err)
	require.Equal(t, []string{"user.created", "organizationMembership.created"}, types(w.Drain()))
}

func BenchmarkPopulate(b *testing.B) {
	for b.Loop() {
		w, err := clerksim.New(clerksim.Config{})
		require.NoError(b, err)
		w.Populate(5000, 100_000)
	}
}

// BenchmarkPage lists 500 memberships from the middle of 100,000.
func BenchmarkPage(b *testing.B) {
	for name, path := range map[string]string{
		"memberships": "/v1/organization_memberships?limit=500&offset=50000&order_by=%2Bcreated_at",
		"users":       "/v1/users?limit=500&offset=50000&order_by=%2Bcreated_at",
	} {
		b.Run(name, func(b *testing.B) {
			w, err := clerksim.New(clerksim.Config{})
			require.NoError(b, err)
			w.Populate(5000, 100_000)
			handler := w.Handler()
			for b.Loop() {
				req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
				req.Header.Set("Authorization", "Bearer "+w.SecretKey())
				recorder := httptest.NewRecorder()
				handler.ServeHTTP(recorder, req)
				require.Equal(b, http.StatusOK, recorder.Code)
			}
		})
	}
}
