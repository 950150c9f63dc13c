package clerksim_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func TestOrganization_CreatorBecomesAdmin(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{})
	w.Drain()
	o := createOrganization(t, w, u.ID)
	require.Equal(t, []string{"organization.created", "organizationMembership.created"}, types(w.Drain()))
	require.Equal(t, clerksim.RoleAdmin, w.Directory().Role(o.ID, u.ID))

	byBackend, err := w.CreateOrganization(clerksim.NewOrganization{})
	require.NoError(t, err)
	require.Zero(t, byBackend.Members)
	messages := w.Drain()
	require.Equal(t, []string{"organization.created"}, types(messages))
	require.NotContains(t, decode(t, messages[0].Body).at(t, "data"), "created_by")
}

func TestMembership_RejoiningMakesANewOne(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	admin, u := createUser(t, w, clerksim.NewUser{}), createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, admin.ID)
	first, err := w.AddMember(o.ID, u.ID, "")
	require.NoError(t, err)
	require.Equal(t, clerksim.RoleMember, first.Role)
	c.advance(time.Minute)
	promoted, err := w.SetRole(o.ID, u.ID, clerksim.RoleAdmin)
	require.NoError(t, err)
	c.advance(time.Minute)
	w.Drain()
	require.NoError(t, w.RemoveMember(o.ID, u.ID))

	deleted := w.Drain()
	require.Equal(t, []string{"organizationMembership.deleted"}, types(deleted))
	data := decode(t, deleted[0].Body).at(t, "data")
	require.Equal(t, promoted.UpdatedAt.UnixMilli(), number(t, data["updated_at"]), "a deletion repeats the old updated_at")
	require.Equal(t, clerksim.RoleAdmin, data["role"])
	require.Greater(t, deleted[0].OccurredAt, c.Now())
	require.Contains(t, data, "public_user_data")
	require.Contains(t, data, "organization")
	require.Empty(t, w.Directory().Role(o.ID, u.ID))

	second, err := w.AddMember(o.ID, u.ID, "")
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
}

func TestMembership_OutlivesBansAndDirectories(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, u.ID)
	w.Drain()
	steps := []struct {
		change                func(string) (clerksim.User, error)
		banned, deprovisioned bool
	}{
		{w.BanUser, true, false},
		{w.DeprovisionUser, true, true},
		{w.UnbanUser, false, true},
		{w.RestoreUser, false, false},
	}
	for _, step := range steps {
		_, err := step.change(u.ID)
		require.NoError(t, err)
		messages := w.Drain()
		require.Equal(t, []string{"user.updated"}, types(messages))
		data := decode(t, messages[0].Body).at(t, "data")
		require.Equal(t, step.banned, data["banned"])
		if step.deprovisioned {
			require.Equal(t, true, data["deprovisioned"])
		}
		d := w.Directory()
		_, member := d.Membership(o.ID, u.ID)
		require.True(t, member)
		require.Equal(t, !step.banned && !step.deprovisioned, d.Role(o.ID, u.ID) == clerksim.RoleAdmin)
	}
}

func TestMembership_EndsWithItsParent(t *testing.T) {
	t.Parallel()
	for name, perRow := range map[string]bool{"silently": false, "with an event each": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, clerksim.Config{MembershipEventsOnDelete: perRow})
			a, b := createUser(t, w, clerksim.NewUser{}), createUser(t, w, clerksim.NewUser{})
			first, second := createOrganization(t, w, a.ID), createOrganization(t, w, b.ID)
			_, err := w.AddMember(first.ID, b.ID, "")
			require.NoError(t, err)
			w.Drain()

			require.NoError(t, w.DeleteOrganization(first.ID))
			require.NoError(t, w.DeleteUser(b.ID), "also the last admin")
			want := []string{"organization.deleted", "user.deleted"}
			if perRow {
				row := "organizationMembership.deleted"
				want = []string{row, row, "organization.deleted", row, "user.deleted"}
			}
			require.Equal(t, want, types(w.Drain()))
			d := w.Directory()
			require.True(t, d.Organizations[first.ID].Deleted)
			require.True(t, d.Users[b.ID].Deleted)
			require.False(t, d.Organizations[second.ID].Deleted)
			require.Empty(t, d.Memberships())
		})
	}
}

func TestRole_ChangesSendNoEventsOfMembers(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, u.ID)
	for _, key := range []string{"org:invoices:create", "org:invoices:read"} {
		_, err := w.CreatePermission(key, "")
		require.NoError(t, err)
	}
	r, err := w.CreateRole(clerksim.NewRole{Key: "org:clerk", Permissions: []string{"org:invoices:read"}})
	require.NoError(t, err)
	other := createUser(t, w, clerksim.NewUser{})
	joined, err := w.AddMember(o.ID, other.ID, r.Key)
	require.NoError(t, err)
	w.Drain()
	c.advance(time.Minute)
	_, err = w.SetRolePermissions(r.ID, "org:invoices:create", "org:invoices:create")
	require.NoError(t, err)
	_, err = w.UpdateRole(r.ID, clerksim.RoleUpdate{Key: new("org:biller"), Name: new("Biller")})
	require.NoError(t, err)
	messages := w.Drain()
	require.Equal(t, []string{"role.updated", "role.updated"}, types(messages))
	data := decode(t, messages[1].Body).at(t, "data")
	require.Equal(t, "org:biller", data["key"])
	require.Len(t, data["permissions"], 1)
	now, ok := w.Membership(o.ID, other.ID)
	require.True(t, ok)
	require.Equal(t, "org:biller", now.Role)
	require.Equal(t, joined.UpdatedAt, now.UpdatedAt)

	require.NoError(t, w.RemoveMember(o.ID, other.ID))
	require.NoError(t, w.DeleteRole(r.ID))
	w.Drain()
	require.NotContains(t, w.Directory().Roles, "org:biller")
}

func TestWorld_InvalidMutationsChangeNothing(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	admin, u := createUser(t, w, clerksim.NewUser{}), createUser(t, w, clerksim.NewUser{})
	o, err := w.CreateOrganization(clerksim.NewOrganization{Slug: "first", CreatedBy: admin.ID, MaxMembers: 1})
	require.NoError(t, err)
	open := createOrganization(t, w, u.ID)
	adminRole, _ := w.Role(clerksim.RoleAdmin)
	_, err = w.CreatePermission("org:a:b", "")
	require.NoError(t, err)
	used, err := w.CreateRole(clerksim.NewRole{Key: "org:used", Permissions: []string{"org:a:b"}})
	require.NoError(t, err)
	_, err = w.AddMember(open.ID, admin.ID, used.Key)
	require.NoError(t, err)
	w.Drain()
	before := w.Directory()

	second := func(_ any, err error) error { return err }
	for name, refusal := range map[string]struct {
		err  error
		code clerksim.Code
	}{
		"unknown user":         {second(w.BanUser("user_no")), clerksim.ErrNotFound},
		"unknown organization": {w.DeleteOrganization("org_no"), clerksim.ErrNotFound},
		"unknown creator":      {second(w.CreateOrganization(clerksim.NewOrganization{CreatedBy: "user_no"})), clerksim.ErrNotFound},
		"unknown role":         {second(w.SetRole(o.ID, admin.ID, "org:no")), clerksim.ErrNotFound},
		"not a member":         {w.RemoveMember(o.ID, u.ID), clerksim.ErrNotFound},
		"member twice":         {second(w.AddMember(open.ID, admin.ID, "")), clerksim.ErrAlreadyMember},
		"full":                 {second(w.AddMember(o.ID, u.ID, "")), clerksim.ErrQuota},
		"demote last admin":    {second(w.SetRole(o.ID, admin.ID, clerksim.RoleMember)), clerksim.ErrLastAdmin},
		"remove last admin":    {w.RemoveMember(open.ID, u.ID), clerksim.ErrLastAdmin},
		"slug taken":           {second(w.UpdateOrganization(open.ID, clerksim.OrganizationUpdate{Slug: new("first")})), clerksim.ErrDuplicate},
		"metadata no object":   {second(w.CreateUser(clerksim.NewUser{PublicMetadata: json.RawMessage(`[1]`)})), clerksim.ErrInvalid},
		"metadata no JSON":     {second(w.UpdateUser(u.ID, clerksim.UserUpdate{PublicMetadata: json.RawMessage(`{`)})), clerksim.ErrInvalid},
		"empty address":        {second(w.UpdateUser(u.ID, clerksim.UserUpdate{Email: new("")})), clerksim.ErrInvalid},
		"primary out of range": {second(w.CreateUser(clerksim.NewUser{Emails: []string{"a@callmine.test"}, Primary: 1})), clerksim.ErrInvalid},
		"role key malformed":   {second(w.CreateRole(clerksim.NewRole{Key: "Org"})), clerksim.ErrInvalid},
		"role key taken":       {second(w.CreateRole(clerksim.NewRole{Key: clerksim.RoleAdmin})), clerksim.ErrDuplicate},
		"default role renamed": {second(w.UpdateRole(adminRole.ID, clerksim.RoleUpdate{Key: new("org:x")})), clerksim.ErrInvalid},
		"default role deleted": {w.DeleteRole(adminRole.ID), clerksim.ErrRoleInUse},
		"used role deleted":    {w.DeleteRole(used.ID), clerksim.ErrRoleInUse},
		"unknown permission":   {second(w.SetRolePermissions(used.ID, "org:no:no")), clerksim.ErrNotFound},
		"system permission":    {second(w.CreatePermission("org:sys_x:read", "")), clerksim.ErrInvalid},
		"permission taken":     {second(w.CreatePermission("org:a:b", "")), clerksim.ErrDuplicate},
	} {
		require.ErrorIs(t, refusal.err, refusal.code, name)
	}
	require.Empty(t, w.Drain())
	require.Equal(t, before, w.Directory())
}

func TestOrganization_SlugMovesToAnother(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	first, err := w.CreateOrganization(clerksim.NewOrganization{Slug: "moving"})
	require.NoError(t, err)
	_, err = w.UpdateOrganization(first.ID, clerksim.OrganizationUpdate{Slug: new("moved"), Name: new("New name")})
	require.NoError(t, err)
	second, err := w.CreateOrganization(clerksim.NewOrganization{Slug: "moving"})
	require.NoError(t, err)
	require.NoError(t, w.DeleteOrganization(second.ID))
	_, err = w.UpdateOrganization(first.ID, clerksim.OrganizationUpdate{Slug: new("moving")})
	require.NoError(t, err)
	require.Equal(t, "New name", w.Directory().Organizations[first.ID].Name)
}
