package clerksim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// lastBody returns the envelope of the last message.
func lastBody(t *testing.T, w *clerksim.World) object {
	t.Helper()
	messages := w.Drain()
	require.NotEmpty(t, messages)
	return decode(t, messages[len(messages)-1].Body)
}

func requireKeys(t *testing.T, o object, keys ...string) {
	t.Helper()
	for _, key := range keys {
		require.Contains(t, o, key)
	}
}

func TestBody_Envelope(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{InstanceID: "ins_test"})
	createUser(t, w, clerksim.NewUser{})
	body := lastBody(t, w)
	require.Len(t, body, 6)
	require.Equal(t, "event", body["object"])
	require.Equal(t, "user.created", body["type"])
	require.Equal(t, "ins_test", body["instance_id"])
	requireKeys(t, body.at(t, "event_attributes").at(t, "http_request"), "client_ip", "user_agent")
	lag := number(t, body["timestamp"]) - c.Now().UnixMilli()
	require.True(t, lag >= 1 && lag <= 20, "lag %d", lag)
}

func TestBody_LegacyInstance(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{Legacy: true})
	admin, u := createUser(t, w, clerksim.NewUser{}), createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, admin.ID)
	body := lastBody(t, w)
	require.NotContains(t, body, "instance_id")
	require.Equal(t, "admin", body.at(t, "data")["role"])
	_, err := w.AddMember(o.ID, u.ID, clerksim.RoleMember)
	require.NoError(t, err)
	require.Equal(t, "basic_member", lastBody(t, w).at(t, "data")["role"])
	require.Equal(t, clerksim.RoleMember, w.Directory().Role(o.ID, u.ID))
}

func TestBody_Organization(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{})
	o, err := w.CreateOrganization(clerksim.NewOrganization{Name: "Quiet Harbour", Slug: "quiet-harbour"})
	require.NoError(t, err)
	c.advance(time.Second)
	_, err = w.CreateOrganization(clerksim.NewOrganization{CreatedBy: u.ID})
	require.NoError(t, err)
	messages := w.Drain()

	data := decode(t, messages[1].Body).at(t, "data")
	require.Equal(t, "organization", data["object"])
	require.Equal(t, o.ID, data["id"])
	require.Equal(t, "Quiet Harbour", data["name"])
	require.Equal(t, "quiet-harbour", data["slug"])
	require.Equal(t, o.CreatedAt.UnixMilli(), number(t, data["created_at"]))
	require.Zero(t, number(t, data["max_allowed_memberships"]))
	requireKeys(t, data, "image_url", "has_image", "logo_url", "admin_delete_enabled", "public_metadata", "private_metadata")
	require.NotContains(t, data, "created_by")
	require.NotContains(t, data, "members_count")
	require.Equal(t, u.ID, decode(t, messages[2].Body).at(t, "data")["created_by"])

	require.NoError(t, w.DeleteOrganization(o.ID))
	deleted := lastBody(t, w).at(t, "data")
	withoutUnknown(deleted)
	require.Equal(t, object{"object": "organization", "id": o.ID, "deleted": true, "slug": "quiet-harbour"}, deleted)
}

func withoutUnknown(o object) {
	for key := range o {
		if strings.HasPrefix(key, "simulated_") {
			delete(o, key)
		}
	}
}

func TestBody_SlugForms(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	slugOf := func(params clerksim.NewOrganization) (value any, present bool) {
		_, err := w.CreateOrganization(params)
		require.NoError(t, err)
		value, present = lastBody(t, w).at(t, "data")["slug"]
		return value, present
	}
	value, present := slugOf(clerksim.NewOrganization{})
	require.True(t, present)
	require.Nil(t, value)
	value, present = slugOf(clerksim.NewOrganization{SlugForm: clerksim.SlugEmpty})
	require.True(t, present)
	require.Empty(t, value)
	require.NotNil(t, value)
	_, present = slugOf(clerksim.NewOrganization{Slug: "hidden", SlugForm: clerksim.SlugAbsent})
	require.False(t, present)
}

func TestBody_Membership(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{FirstName: "Robin"})
	createOrganization(t, w, u.ID)
	data := lastBody(t, w).at(t, "data")
	require.Equal(t, "organization_membership", data["object"])
	require.Equal(t, clerksim.RoleAdmin, data["role"])
	require.Equal(t, "Admin", data["role_name"])
	require.Contains(t, data["permissions"], "org:sys_memberships:manage")
	requireKeys(t, data, "id", "public_metadata", "created_at", "updated_at")

	nested := data.at(t, "organization")
	require.NotContains(t, nested, "created_by")
	require.NotContains(t, nested, "private_metadata")
	requireKeys(t, nested, "id", "name", "slug", "members_count", "created_at", "updated_at")

	user := data.at(t, "public_user_data")
	require.Equal(t, u.ID, user["user_id"])
	require.Equal(t, "user-1@callmine.test", user["identifier"])
	require.Equal(t, "Robin", user["first_name"])
	require.Contains(t, user, "last_name")
	require.Nil(t, user["last_name"])
	requireKeys(t, user, "image_url", "profile_image_url", "has_image")
}

func TestBody_User(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{
		FirstName: "Kim", Emails: []string{"former@callmine.test", "kim@callmine.test"}, Primary: 1,
	})
	data := lastBody(t, w).at(t, "data")
	emails, ok := data["email_addresses"].([]any)
	require.True(t, ok)
	require.Len(t, emails, 2)
	second, ok := emails[1].(map[string]any)
	require.True(t, ok)
	require.Equal(t, data["primary_email_address_id"], second["id"])
	require.Equal(t, "kim@callmine.test", second["email_address"])
	require.Nil(t, data["last_name"])
	require.Equal(t, []any{}, data["phone_numbers"])
	requireKeys(t, data, "username", "primary_phone_number_id", "banned", "locked", "external_id", "saml_accounts",
		"profile_image_url", "public_metadata", "private_metadata", "unsafe_metadata", "last_sign_in_at", "passkeys")
	require.NotContains(t, data, "deprovisioned", "users of no directory don't have it")
	require.NotContains(t, data, "scim")
	require.NotContains(t, data, "organization_memberships")

	_, err := w.UpdateUser(u.ID, clerksim.UserUpdate{Email: new("new@callmine.test"), LastName: new("Lake")})
	require.NoError(t, err)
	data = lastBody(t, w).at(t, "data")
	require.Len(t, data["email_addresses"], 3)
	require.Equal(t, "Lake", data["last_name"])
	current, _ := w.User(u.ID)
	require.Equal(t, "new@callmine.test", *current.Identifier())

	_, err = w.DeprovisionUser(u.ID)
	require.NoError(t, err)
	requireKeys(t, lastBody(t, w).at(t, "data").at(t, "scim"), "directory_id", "external_id")
	require.NoError(t, w.DeleteUser(u.ID))
	deleted := lastBody(t, w).at(t, "data")
	withoutUnknown(deleted)
	require.Equal(t, object{"object": "user", "id": u.ID, "deleted": true}, deleted)
}

func TestBody_ThirdInventedUserHasAnOlderAddress(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	createUser(t, w, clerksim.NewUser{})
	createUser(t, w, clerksim.NewUser{})
	third := createUser(t, w, clerksim.NewUser{})
	require.Len(t, third.Emails, 2)
	require.Equal(t, third.Emails[1].ID, third.PrimaryEmailID)
	require.Equal(t, "user-3@callmine.test", *third.Identifier())
	require.NotNil(t, third.LastName)
	require.Nil(t, createUser(t, w, clerksim.NewUser{}).LastName, "every fourth has none")
}

func TestBody_PhoneOnlyUser(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{Phone: "+15555550107"})
	data := lastBody(t, w).at(t, "data")
	require.Equal(t, []any{}, data["email_addresses"])
	require.Contains(t, data, "primary_email_address_id")
	require.Nil(t, data["primary_email_address_id"])
	require.NotNil(t, data["primary_phone_number_id"])
	createOrganization(t, w, u.ID)
	require.Equal(t, "+15555550107", lastBody(t, w).at(t, "data").at(t, "public_user_data")["identifier"])
}

func TestBody_RoleAndPermission(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	p, err := w.CreatePermission("org:invoices:create", "Create invoices")
	require.NoError(t, err)
	data := lastBody(t, w).at(t, "data")
	require.Equal(t, "permission", data["object"])
	require.Contains(t, []any{"user", "custom"}, data["type"])
	r, err := w.CreateRole(clerksim.NewRole{Key: "org:biller", Permissions: []string{p.Key, "org:sys_billing:read"}})
	require.NoError(t, err)
	data = lastBody(t, w).at(t, "data")
	require.Equal(t, "org:biller", data["key"])
	requireKeys(t, data, "id", "name", "description", "is_creator_eligible", "created_at", "updated_at")
	permissions, ok := data["permissions"].([]any)
	require.True(t, ok)
	second, ok := permissions[1].(map[string]any)
	require.True(t, ok)
	require.Equal(t, "system", second["type"])
	require.ErrorIs(t, w.DeletePermission(p.ID), clerksim.ErrPermissionInUse)
	require.NoError(t, w.DeleteRole(r.ID))
	deleted := lastBody(t, w).at(t, "data")
	withoutUnknown(deleted)
	require.Equal(t, object{"object": "role", "id": r.ID, "deleted": true}, deleted)
	require.NoError(t, w.DeletePermission(p.ID))
	require.Equal(t, p.ID, lastBody(t, w).at(t, "data")["id"])
}

func TestBody_UnknownFieldsTurnUp(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	with := 0
	for range 40 {
		createUser(t, w, clerksim.NewUser{})
	}
	for _, m := range w.Drain() {
		data := decode(t, m.Body).at(t, "data")
		keys := make([]string, 0, len(data))
		for key := range data {
			keys = append(keys, key)
		}
		if slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, "simulated_") }) {
			with++
		}
	}
	require.Positive(t, with)
	require.Less(t, with, 40)
}
