package clerksim_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestAPI_Filters has two organizations, "Alpha" of Ann and Bob and "Beta" of Bob, and Cid in none.
func TestAPI_Filters(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	ann := createUser(t, w, clerksim.NewUser{FirstName: "Ann", Emails: []string{"z@callmine.test"}})
	bob := createUser(t, w, clerksim.NewUser{FirstName: "Bob", Emails: []string{"y@callmine.test", "Bob@callmine.test"}})
	cid := createUser(t, w, clerksim.NewUser{FirstName: "Cid", Username: "cid"})
	beta, err := w.CreateOrganization(clerksim.NewOrganization{Name: "Beta", Slug: "second", CreatedBy: bob.ID})
	require.NoError(t, err)
	alpha, err := w.CreateOrganization(clerksim.NewOrganization{Name: "Alpha", CreatedBy: ann.ID})
	require.NoError(t, err)
	_, err = w.AddMember(alpha.ID, bob.ID, "")
	require.NoError(t, err)
	d, err := w.AddDomain(alpha.ID, "alpha.test")
	require.NoError(t, err)
	_, err = w.AddDomain(beta.ID, "beta.test")
	require.NoError(t, err)
	member := func(o clerksim.Organization, u clerksim.User) string {
		m, ok := w.Membership(o.ID, u.ID)
		require.True(t, ok)
		return m.ID
	}
	const organizations, users = "/v1/organizations", "/v1/users"
	alphas := organizations + "/" + alpha.ID + "/memberships"
	for name, tc := range map[string]struct {
		path  string
		query url.Values
		want  []string
	}{
		"organizations of a user":         {organizations, url.Values{"user_id": {"+" + bob.ID}}, []string{alpha.ID, beta.ID}},
		"organizations of either":         {organizations, url.Values{"user_id": {ann.ID, cid.ID}}, []string{alpha.ID}},
		"organizations without a user":    {organizations, url.Values{"user_id": {"-" + ann.ID}}, []string{beta.ID}},
		"with and without":                {organizations, url.Values{"user_id": {bob.ID, "-" + ann.ID}}, []string{beta.ID}},
		"organizations by id":             {organizations, url.Values{"organization_id": {beta.ID, beta.ID, "org_no"}}, []string{beta.ID}},
		"all organizations but one":       {organizations, url.Values{"organization_id": {"-" + beta.ID}}, []string{alpha.ID}},
		"by id and without itself":        {organizations, url.Values{"organization_id": {beta.ID, "-" + beta.ID}}, nil},
		"organizations by part of a name": {organizations, url.Values{"query": {"ALPH"}}, []string{alpha.ID}},
		"organizations by part of a slug": {organizations, url.Values{"query": {"econ"}}, []string{beta.ID}},
		"organizations by whole id":       {organizations, url.Values{"query": {beta.ID}}, []string{beta.ID}},
		"organizations by part of an id":  {organizations, url.Values{"query": {beta.ID[:20]}}, nil},
		"organizations by name":           {organizations, url.Values{"order_by": {"name"}}, []string{alpha.ID, beta.ID}},
		"organizations by size":           {organizations, url.Values{"order_by": {"-members_count"}}, []string{alpha.ID, beta.ID}},
		"members by role":                 {alphas, url.Values{"role": {clerksim.RoleMember, "org:no"}}, []string{member(alpha, bob)}},
		"members by id":                   {alphas, url.Values{"user_id": {ann.ID}}, []string{member(alpha, ann)}},
		"members but one":                 {alphas, url.Values{"user_id": {"-" + ann.ID}}, []string{member(alpha, bob)}},
		"members by address":              {alphas, url.Values{"order_by": {"email_address"}}, []string{member(alpha, bob), member(alpha, ann)}},
		"members by first name":           {alphas, url.Values{"order_by": {"+first_name"}}, []string{member(alpha, ann), member(alpha, bob)}},
		"users of an organization":        {users, url.Values{"organization_id": {beta.ID}}, []string{bob.ID}},
		"users without an organization":   {users, url.Values{"organization_id": {"-" + alpha.ID}}, []string{cid.ID}},
		"users by address":                {users, url.Values{"email_address": {"bob@CALLMINE.test", "no@callmine.test"}}, []string{bob.ID}},
		"all users but one":               {users, url.Values{"user_id": {"-" + bob.ID}}, []string{cid.ID, ann.ID}},
		"users by id, in order":           {users, url.Values{"user_id": {cid.ID, ann.ID}, "order_by": {"+created_at"}}, []string{ann.ID, cid.ID}},
		"users by username, backwards":    {users, url.Values{"order_by": {"-username"}, "limit": {"1"}}, []string{cid.ID}},
		"domains of an organization":      {organizations + "/" + alpha.ID + "/domains", nil, []string{d.ID}},
		"domains by organization":         {"/v1/organization_domains", url.Values{"organization_id": {alpha.ID}}, []string{d.ID}},
		"verified domains":                {organizations + "/" + alpha.ID + "/domains", url.Values{"verified": {"true"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.path != users {
				found := callList(t, w, tc.path, tc.query)
				require.Equal(t, tc.want, ids(found.Data))
				require.Equal(t, len(tc.want), found.TotalCount)
				return
			}
			var found []object
			require.NoError(t, json.Unmarshal(callAPI(t, w, users, tc.query), &found))
			require.Equal(t, tc.want, ids(found))
			if !tc.query.Has("order_by") {
				count := decode(t, callAPI(t, w, users+"/count", tc.query))
				require.Equal(t, int64(len(tc.want)), number(t, count["total_count"]))
			}
		})
	}
}

func TestAPI_RolesPermissionsAndRoleSets(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	byKey := callList(t, w, "/v1/organization_roles", url.Values{"order_by": {"-key"}}).Data
	require.Equal(t, clerksim.RoleMember, byKey[0]["key"])
	for _, path := range []string{"/v1/organization_roles", "/v1/organization_permissions"} {
		listed := callList(t, w, path, url.Values{"order_by": {"name"}}).Data[0]
		id, _ := listed["id"].(string)
		require.Equal(t, listed["name"], decode(t, callAPI(t, w, path+"/"+id, nil))["name"])
	}
	sets := callList(t, w, "/v1/role_sets", nil)
	require.Equal(t, 1, sets.TotalCount)
	require.Equal(t, "role_set:default", sets.Data[0]["key"])
	require.Equal(t, clerksim.RoleMember, sets.Data[0].at(t, "default_role")["key"])
	require.Equal(t, clerksim.RoleAdmin, sets.Data[0].at(t, "creator_role")["key"])
	require.Len(t, sets.Data[0]["roles"], 2)

	legacy, _ := newWorld(t, clerksim.Config{Legacy: true})
	require.Zero(t, callList(t, legacy, "/v1/role_sets", nil).TotalCount)
	admin := createUser(t, legacy, clerksim.NewUser{})
	o := createOrganization(t, legacy, admin.ID)
	members := "/v1/organizations/" + o.ID + "/memberships"
	require.Equal(t, 1, callList(t, legacy, members, url.Values{"role": {"admin"}}).TotalCount)
	require.Zero(t, callList(t, legacy, members, url.Values{"role": {clerksim.RoleAdmin}}).TotalCount)
}
