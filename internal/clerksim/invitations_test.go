package clerksim_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

const guest = "guest@callmine.test"

func invite(t *testing.T, w *clerksim.World, params clerksim.NewInvitation) clerksim.Invitation {
	t.Helper()
	if params.Email == "" {
		params.Email = guest
	}
	i, err := w.CreateInvitation(params)
	require.NoError(t, err)
	return i
}

func TestInvitation_AcceptedMakesAMember(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	i := invite(t, w, clerksim.NewInvitation{
		OrganizationID: o.ID, InviterID: admin.ID, Role: clerksim.RoleAdmin, PublicMetadata: json.RawMessage(`{"team":"a"}`),
	})
	require.Regexp(t, `^orginv_[0-9A-Za-z]{27}$`, i.ID)
	require.Equal(t, 30*24*time.Hour, i.ExpiresAt.Sub(c.Now()))
	messages := w.Drain()
	require.Equal(t, []string{"organizationInvitation.created"}, types(messages))
	require.Equal(t, i.ID, messages[0].ObjectID)
	data := decode(t, messages[0].Body).at(t, "data")
	for field, want := range map[string]any{
		"object": "organization_invitation", "id": i.ID, "email_address": guest, "role": clerksim.RoleAdmin,
		"role_name": "Admin", "organization_id": o.ID, "inviter_id": admin.ID, "status": "pending", "url": i.URL,
		"public_metadata": map[string]any{"team": "a"},
	} {
		require.Equal(t, want, data[field], field)
	}
	require.Equal(t, i.ExpiresAt.UnixMilli(), number(t, data["expires_at"]))
	require.Equal(t, admin.ID, data.at(t, "public_inviter_data")["user_id"])
	require.Regexp(t, `^https://.*\?ticket=[0-9A-Za-z]{40,}$`, i.URL)
	require.NotContains(t, data, "user_id")

	c.advance(time.Hour)
	newcomer := createUser(t, w, clerksim.NewUser{})
	w.Drain()
	m, err := w.Accept(i.ID, newcomer.ID)
	require.NoError(t, err)
	messages = w.Drain()
	require.Equal(t, []string{"organizationInvitation.accepted", "organizationMembership.created"}, types(messages))
	accepted, joined := decode(t, messages[0].Body).at(t, "data"), decode(t, messages[1].Body).at(t, "data")
	require.Equal(t, "accepted", accepted["status"])
	require.Equal(t, newcomer.ID, accepted["user_id"])
	require.Equal(t, i.CreatedAt.UnixMilli(), number(t, accepted["created_at"]))
	require.Equal(t, c.Now().UnixMilli(), number(t, accepted["updated_at"]))
	require.Equal(t, c.Now().UnixMilli(), number(t, joined["created_at"]))
	require.Equal(t, m.ID, joined["id"])
	require.Equal(t, clerksim.RoleAdmin, joined["role"])
	require.Equal(t, map[string]any{"team": "a"}, joined["public_metadata"])
	require.Zero(t, number(t, joined.at(t, "organization")["pending_invitations_count"]))

	truth := w.Directory()
	require.Equal(t, clerksim.RoleAdmin, truth.Role(o.ID, newcomer.ID))
	require.Equal(t, clerksim.InvitationAccepted, truth.Invitations[i.ID].Status)
	require.Equal(t, newcomer.ID, truth.Invitations[i.ID].UserID)
	require.JSONEq(t, `{"team":"a"}`, string(m.PublicMetadata))
}

func TestInvitation_RevokedIsOver(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, _, _ := team(t, w)
	i := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID})
	c.advance(time.Minute)
	revoked, err := w.Revoke(i.ID)
	require.NoError(t, err)
	require.Equal(t, clerksim.InvitationRevoked, revoked.Status)
	require.Equal(t, c.Now(), revoked.UpdatedAt)
	messages := w.Drain()
	require.Equal(t, "organizationInvitation.revoked", messages[1].Type)
	data := decode(t, messages[1].Body).at(t, "data")
	require.Equal(t, "revoked", data["status"])
	require.Equal(t, c.Now().UnixMilli(), number(t, data["updated_at"]))
	_, err = w.Revoke(i.ID)
	require.ErrorIs(t, err, clerksim.ErrInvitationNotPending)
	require.NotEqual(t, i.ID, invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID}).ID, "may be invited again")
}

func TestInvitation_ExpiresWithoutAnEvent(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	role, err := w.CreateRole(clerksim.NewRole{Key: "org:guest"})
	require.NoError(t, err)
	i := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, InviterID: admin.ID, Role: role.Key, Lifetime: time.Hour})
	w.Drain()
	status := func() clerksim.InvitationStatus {
		found, ok := w.Invitation(i.ID)
		require.True(t, ok)
		require.Equal(t, found, w.Directory().Invitations[i.ID])
		return found.Status
	}
	c.advance(time.Hour - time.Millisecond)
	require.Equal(t, clerksim.InvitationPending, status())
	require.ErrorIs(t, w.DeleteRole(role.ID), clerksim.ErrRoleInUse, "it is promised")
	c.advance(time.Millisecond)
	require.Equal(t, clerksim.InvitationExpired, status())
	_, err = w.Accept(i.ID, createUser(t, w, clerksim.NewUser{}).ID)
	require.ErrorIs(t, err, clerksim.ErrInvitationNotPending)
	_, err = w.Revoke(i.ID)
	require.ErrorIs(t, err, clerksim.ErrInvitationNotPending)
	require.Equal(t, []string{"user.created"}, types(w.Drain()), "there is no event when it expires")
	require.NoError(t, w.DeleteRole(role.ID))

	again := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID})
	require.NotEqual(t, i.ID, again.ID)
	require.Equal(t, clerksim.InvitationExpired, status(), "a new one doesn't bring it back")
}

// forms counts the different forms of the bodies of many equal invitations.
func forms(t *testing.T, w *clerksim.World, organizationID, inviterID string) map[string]int {
	t.Helper()
	for n := range 60 {
		invite(t, w, clerksim.NewInvitation{
			OrganizationID: organizationID, InviterID: inviterID, Email: fmt.Sprintf("guest-%d@callmine.test", n),
		})
	}
	seen := map[string]int{}
	for _, m := range w.Drain() {
		data := decode(t, m.Body).at(t, "data")
		require.Equal(t, organizationID, data["organization_id"])
		for _, field := range []string{"inviter_id", "public_inviter_data", "url", "public_organization_data"} {
			value, present := data[field]
			switch {
			case !present:
				seen[field+" absent"]++
			case value == nil:
				seen[field+" null"]++
			default:
				seen[field+" there"]++
			}
		}
		if data["data"] != nil {
			require.Equal(t, organizationID, data.at(t, "data").at(t, "public_organization_data")["id"])
			require.NotContains(t, data, "public_organization_data")
			seen["organization inside"]++
		}
	}
	return seen
}

func TestInvitation_ComesInEveryForm(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, _ := team(t, w)
	byNobody := forms(t, w, o.ID, "")
	for _, form := range []string{
		"inviter_id null", "inviter_id absent", "url null", "url there", "public_organization_data there",
		"public_organization_data absent", "organization inside",
	} {
		require.Positive(t, byNobody[form], form)
	}
	require.Greater(t, byNobody["public_organization_data absent"], byNobody["organization inside"], "some say neither")
	require.Equal(t, byNobody["inviter_id null"], byNobody["public_inviter_data null"])
	require.Zero(t, byNobody["inviter_id there"])

	other := createOrganization(t, w, admin.ID)
	w.Drain()
	bySomebody := forms(t, w, other.ID, admin.ID)
	require.Equal(t, 60, bySomebody["inviter_id there"])
	require.Equal(t, 60, bySomebody["public_inviter_data there"])
	require.Equal(t, 60, bySomebody["url there"])
}

func TestInvitation_OlderInstancesOmitTheAcceptor(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]clerksim.Config{
		"legacy": {Legacy: true}, "without user": {InvitationsWithoutUser: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := newWorld(t, cfg)
			o, admin, _ := team(t, w)
			i := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, InviterID: admin.ID})
			u := createUser(t, w, clerksim.NewUser{})
			w.Drain()
			_, err := w.Accept(i.ID, u.ID)
			require.NoError(t, err)
			data := decode(t, w.Drain()[0].Body).at(t, "data")
			require.Equal(t, "accepted", data["status"])
			require.NotContains(t, data, "user_id")
			require.Equal(t, u.ID, w.Directory().Invitations[i.ID].UserID, "the directory has it")
		})
	}
}

func TestInvitation_LegacyHasEightFields(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{Legacy: true})
	o, admin, _ := team(t, w)
	i := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, InviterID: admin.ID})
	data := lastBody(t, w).at(t, "data")
	withoutUnknown(data)
	require.Len(t, data, 8)
	requireKeys(t, data, "object", "id", "email_address", "role", "organization_id", "status", "created_at", "updated_at")
	require.Equal(t, "basic_member", data["role"])
	c.advance(10 * 365 * 24 * time.Hour)
	require.Equal(t, clerksim.InvitationPending, w.Directory().Invitations[i.ID].Status)
}

func TestInvitation_RefusedChangesNothing(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	full, err := w.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID, MaxMembers: 2})
	require.NoError(t, err)
	pending := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID})
	overtaken := invite(t, w, clerksim.NewInvitation{OrganizationID: full.ID})
	settled := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID, Email: "settled@callmine.test"})
	late := createUser(t, w, clerksim.NewUser{})
	_, err = w.Accept(settled.ID, late.ID)
	require.NoError(t, err)
	w.Drain()
	memberAddress := *member.Identifier()
	create := func(params clerksim.NewInvitation) error {
		if params.OrganizationID == "" {
			params.OrganizationID = o.ID
		}
		if params.Email == "" {
			params.Email = "new@callmine.test"
		}
		_, err := w.CreateInvitation(params)
		return err
	}
	second := func(_ any, err error) error { return err }
	before := w.Directory()
	for name, refusal := range map[string]struct {
		err  error
		code clerksim.Code
	}{
		"unknown organization": {create(clerksim.NewInvitation{OrganizationID: "org_no"}), clerksim.ErrNotFound},
		"unknown inviter":      {create(clerksim.NewInvitation{InviterID: "user_no"}), clerksim.ErrNotFound},
		"unknown role":         {create(clerksim.NewInvitation{Role: "org:no"}), clerksim.ErrNotFound},
		"invited by a member":  {create(clerksim.NewInvitation{InviterID: member.ID}), clerksim.ErrNotAdmin},
		"no address":           {create(clerksim.NewInvitation{Email: "Guest <guest@callmine.test>"}), clerksim.ErrFormat},
		"metadata no object":   {create(clerksim.NewInvitation{PublicMetadata: json.RawMessage(`1`)}), clerksim.ErrInvalid},
		"negative life":        {create(clerksim.NewInvitation{Lifetime: -time.Hour}), clerksim.ErrInvalid},
		"pending already":      {create(clerksim.NewInvitation{Email: "GUEST@callmine.test"}), clerksim.ErrInvitationNotUnique},
		"a member's address":   {create(clerksim.NewInvitation{Email: memberAddress}), clerksim.ErrAlreadyMember},
		"full by promises":     {create(clerksim.NewInvitation{OrganizationID: full.ID}), clerksim.ErrQuota},
		"accept twice":         {second(w.Accept(settled.ID, late.ID)), clerksim.ErrInvitationNotPending},
		"revoke accepted":      {second(w.Revoke(settled.ID)), clerksim.ErrInvitationNotPending},
		"accept as a member":   {second(w.Accept(pending.ID, member.ID)), clerksim.ErrAlreadyMember},
		"accept as nobody":     {second(w.Accept(pending.ID, "user_no")), clerksim.ErrNotFound},
		"accept nothing":       {second(w.Accept("orginv_no", member.ID)), clerksim.ErrNotFound},
		"revoke nothing":       {second(w.Revoke("orginv_no")), clerksim.ErrNotFound},
	} {
		require.ErrorIs(t, refusal.err, refusal.code, name)
	}
	require.Equal(t, before, w.Directory())
	require.Empty(t, w.Drain())

	_, err = w.AddMember(full.ID, member.ID, "")
	require.NoError(t, err)
	_, err = w.Accept(overtaken.ID, late.ID)
	require.ErrorIs(t, err, clerksim.ErrQuota, "another member took the place")
}

func TestOrganization_DeletionSilentlyEndsInvitationsAndDomains(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{MembershipEventsOnDelete: true})
	o, admin, _ := team(t, w)
	other := createOrganization(t, w, admin.ID)
	kept := invite(t, w, clerksim.NewInvitation{OrganizationID: other.ID})
	i := invite(t, w, clerksim.NewInvitation{OrganizationID: o.ID})
	d, err := w.AddDomain(o.ID, "callmine.test")
	require.NoError(t, err)
	w.Drain()
	require.NoError(t, w.DeleteOrganization(o.ID))
	require.Equal(t, []string{
		"organizationMembership.deleted", "organizationMembership.deleted", "organization.deleted",
	}, types(w.Drain()))
	truth := w.Directory()
	require.Len(t, truth.Invitations, 1)
	require.Contains(t, truth.Invitations, kept.ID)
	require.Empty(t, truth.Domains)
	_, err = w.Revoke(i.ID)
	require.ErrorIs(t, err, clerksim.ErrNotFound)
	require.ErrorIs(t, w.DeleteDomain(d.ID), clerksim.ErrNotFound)
}

func TestInvitation_OutlivesItsInviter(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	o, admin, member := team(t, w)
	i, err := w.Invite(o.ID, admin.ID, guest, "")
	require.NoError(t, err)
	require.NoError(t, w.DeleteUser(admin.ID))
	w.Drain()
	require.Equal(t, clerksim.InvitationPending, w.Directory().Invitations[i.ID].Status)
	require.NoError(t, w.RemoveMember(o.ID, member.ID))
	require.Equal(t, int64(1), number(t, lastBody(t, w).at(t, "data").at(t, "organization")["pending_invitations_count"]))
	_, err = w.Revoke(i.ID)
	require.NoError(t, err)
	data := lastBody(t, w).at(t, "data")
	require.Equal(t, admin.ID, data["inviter_id"])
	require.Contains(t, data, "public_inviter_data")
	require.Nil(t, data["public_inviter_data"])
}
