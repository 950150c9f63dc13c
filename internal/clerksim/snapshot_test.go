package clerksim_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestSnapshot_ReadsAnswerFromAnEarlierState for all kinds of objects. Writes are answered from the
// world itself.
func TestSnapshot_ReadsAnswerFromAnEarlierState(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	directory := a.world.Directory()
	var org, user string
	for id, o := range directory.Organizations {
		if o.Members > 1 {
			org = id
		}
	}
	for _, m := range a.shown(t, "/v1/organizations/"+org+"/memberships?limit=100") {
		if m["role"] == clerksim.RoleMember {
			user = m["public_user_data"].(map[string]any)["user_id"].(string)
		}
	}
	paths := []string{
		"/v1/organizations?limit=100", "/v1/organizations/" + org, "/v1/organization_memberships?limit=100", "/v1/users?limit=100",
		"/v1/users/" + user, "/v1/organizations/" + org + "/memberships?user_id=" + user, "/v1/users/" + user + "/organization_memberships",
		"/v1/organization_invitations", "/v1/organization_domains", "/v1/organization_roles", "/v1/organization_permissions", "/v1/role_sets",
	}
	_, err := a.world.Invite(org, "", "kim@callmine.test", clerksim.RoleMember)
	require.NoError(t, err)
	_, err = a.world.AddDomain(org, "callmine.test")
	require.NoError(t, err)
	before := map[string]string{}
	for _, path := range paths {
		_, _, body := a.get(t, path)
		before[path] = string(body)
	}
	lift := a.faults.AnswerFrom(a.world.Snapshot(), nil)

	a.clock.advance(time.Second)
	name := "Renamed"
	_, err = a.world.UpdateOrganization(org, clerksim.OrganizationUpdate{Name: &name})
	require.NoError(t, err)
	require.NoError(t, a.world.RemoveMember(org, user))
	_, err = a.world.BanUser(user)
	require.NoError(t, err)
	_, err = a.world.CreatePermission("org:things:read", "")
	require.NoError(t, err)
	role, err := a.world.CreateRole(clerksim.NewRole{Key: "org:clerk", Permissions: []string{"org:things:read"}})
	require.NoError(t, err)
	for _, path := range paths {
		_, _, body := a.get(t, path)
		require.Equal(t, before[path], string(body), path)
	}
	lift()
	_, _, body := a.get(t, "/v1/organization_roles/"+role.ID)
	require.Contains(t, string(body), "org:things:read")
	require.Empty(t, a.shown(t, "/v1/organizations/"+org+"/memberships?user_id="+user))
}

// TestSnapshot_StandsAlone: its changes don't reach the world.
func TestSnapshot_StandsAlone(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	snapshot := a.world.Snapshot()
	for id := range a.world.Directory().Organizations {
		require.NoError(t, snapshot.DeleteOrganization(id))
	}
	require.Len(t, a.shown(t, "/v1/organizations"), 3)
	require.Empty(t, a.world.Drain())
}

// TestSnapshot_AnswersFlapAndAreEmpty if a fault says so.
func TestSnapshot_AnswersFlapAndAreEmpty(t *testing.T) {
	t.Parallel()
	a := newFaultyAPI(t, clerksim.Config{})
	a.faults.Empty(clerksim.EveryOther(clerksim.OnRoute(membershipRoute)))
	for _, want := range []int{0, 25, 0, 25} {
		require.Len(t, a.shown(t, "/v1/organization_memberships?limit=100"), want)
	}
	a.faults.Empty(nil)
	for id := range a.world.Directory().Organizations {
		status, _, _ := a.get(t, "/v1/organizations/"+id)
		require.Equal(t, http.StatusNotFound, status)
	}
	_, _, body := a.get(t, "/v1/users")
	require.JSONEq(t, "[]", string(body))
}

// TestSnapshot_ClocksOfMachinesDiffer, so that the dates of changes contradict their order.
func TestSnapshot_ClocksOfMachinesDiffer(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{Clocks: []time.Duration{0, 50 * time.Millisecond, -50 * time.Millisecond}})
	seen := map[time.Time]bool{}
	for range 20 {
		u, err := w.CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		seen[u.CreatedAt] = true
	}
	require.Len(t, seen, 3)
}

// shown returns the objects of one page.
func (a faultyAPI) shown(t *testing.T, path string) []map[string]any {
	t.Helper()
	status, _, body := a.get(t, path)
	require.Equal(t, http.StatusOK, status, "%s", body)
	var page struct {
		Data []map[string]any `json:"data"`
	}
	if body[0] == '[' {
		require.NoError(t, json.Unmarshal(body, &page.Data))
	} else {
		require.NoError(t, json.Unmarshal(body, &page))
	}
	return page.Data
}
