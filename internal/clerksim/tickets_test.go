package clerksim_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestAcceptTicket_IsForTheInvitedAddress: its user joins, or a new one.
func TestAcceptTicket_IsForTheInvitedAddress(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	admin, err := w.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	o, err := w.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	known, err := w.CreateUser(clerksim.NewUser{Emails: []string{"old@callmine.test", "Known@callmine.test"}})
	require.NoError(t, err)

	toKnown, err := w.Invite(o.ID, admin.ID, "known@callmine.test", clerksim.RoleAdmin)
	require.NoError(t, err)
	user, membership, err := w.AcceptTicket(toKnown.Ticket, "Not", "Used")
	require.NoError(t, err)
	require.Equal(t, known, user)
	require.Equal(t, clerksim.RoleAdmin, membership.Role)

	toNew, err := w.Invite(o.ID, "", "new@callmine.test", "")
	require.NoError(t, err)
	w.Drain()
	user, membership, err = w.AcceptTicket(toNew.Ticket, "Nora", "Quist")
	require.NoError(t, err)
	require.Equal(t, "new@callmine.test", user.Emails[0].Value)
	require.Equal(t, "Nora", *user.FirstName)
	require.Equal(t, user.ID, membership.UserID)
	types := []string{}
	for _, message := range w.Drain() {
		types = append(types, message.Type)
	}
	require.Equal(t, []string{"user.created", "organizationInvitation.accepted", "organizationMembership.created"}, types)

	_, _, err = w.AcceptTicket(toNew.Ticket, "", "")
	require.ErrorIs(t, err, clerksim.ErrInvitationNotPending)
	_, _, err = w.AcceptTicket("", "", "")
	require.ErrorIs(t, err, clerksim.ErrNotFound)
	statuses := []clerksim.InvitationStatus{}
	for _, invitation := range w.Invitations() {
		statuses = append(statuses, invitation.Status)
	}
	require.Equal(t, []clerksim.InvitationStatus{clerksim.InvitationAccepted, clerksim.InvitationAccepted}, statuses)
}

// TestAcceptTicket_MakesNoUserInVain, when the organization became full meanwhile.
func TestAcceptTicket_MakesNoUserInVain(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	admin, err := w.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	o, err := w.CreateOrganization(clerksim.NewOrganization{CreatedBy: admin.ID})
	require.NoError(t, err)
	invitation, err := w.Invite(o.ID, "", "new@callmine.test", "")
	require.NoError(t, err)
	_, err = w.UpdateOrganization(o.ID, clerksim.OrganizationUpdate{MaxMembers: new(1)})
	require.NoError(t, err)
	w.Drain()
	_, _, err = w.AcceptTicket(invitation.Ticket, "", "")
	require.ErrorIs(t, err, clerksim.ErrQuota)
	require.Empty(t, w.Drain())
	require.False(t, slices.ContainsFunc(w.Invitations(), func(i clerksim.Invitation) bool { return i.Status != clerksim.InvitationPending }))
}
