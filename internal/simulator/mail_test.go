package simulator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
)

// TestMail_ShowsHowEachInvitationStands, newest first, whoever invited.
func TestMail_ShowsHowEachInvitationStands(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_790_000_000_000).UTC()
	s := start(t, simulator.Config{World: clerksim.Config{Now: func() time.Time { return now }}})
	world := s.World()
	user, err := world.CreateUser(clerksim.NewUser{FirstName: "Ada", Emails: []string{"ada@callmine.test"}})
	require.NoError(t, err)
	organization, err := world.CreateOrganization(clerksim.NewOrganization{Name: "Northwind", CreatedBy: user.ID})
	require.NoError(t, err)
	invite := func(inviter, address string, lifetime time.Duration) clerksim.Invitation {
		invitation, err := world.CreateInvitation(clerksim.NewInvitation{
			OrganizationID: organization.ID, InviterID: inviter, Email: address, Lifetime: lifetime,
		})
		require.NoError(t, err)
		return invitation
	}
	pending := invite(user.ID, "Ben@callmine.test", 0)
	expired := invite("", "clara@callmine.test", time.Second)
	revoked := invite("", "ben.other@callmine.test", 0)
	changed := s.Changed()
	_, err = world.Revoke(revoked.ID)
	require.NoError(t, err)
	<-changed
	now = now.Add(time.Minute)

	states := map[string]clerksim.InvitationStatus{}
	for _, mail := range s.Mail("") {
		states[mail.InvitationID] = mail.State
		require.NotEmpty(t, mail.Ticket, "also where Clerk shows no link")
	}
	require.Equal(t, map[string]clerksim.InvitationStatus{
		pending.ID: clerksim.InvitationPending, expired.ID: clerksim.InvitationExpired, revoked.ID: clerksim.InvitationRevoked,
	}, states)
	require.Equal(t, revoked.ID, s.Mail("")[0].InvitationID)
	require.Equal(t, []simulator.Mail{{
		To: "Ben@callmine.test", Subject: "Ada invited you to Northwind", OrganizationID: organization.ID, Organization: "Northwind",
		Inviter: "Ada", Role: clerksim.RoleMember, RoleName: "Member", InvitationID: pending.ID, Ticket: pending.Ticket,
		At: pending.CreatedAt, State: clerksim.InvitationPending,
	}}, s.Mail("ben@CALLMINE.test"))
	require.Equal(t, "Northwind invited you to Northwind", s.Mail("clara@callmine.test")[0].Subject)
	require.NoError(t, world.DeleteOrganization(organization.ID))
	require.Empty(t, s.Mail(""))
}
