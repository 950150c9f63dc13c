package simulator

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// Mail is one invitation in somebody's mailbox.
type Mail struct {
	// To is the invited address.
	To string `json:"to"`
	// Subject is the mail's subject.
	Subject string `json:"subject"`
	// OrganizationID is the organization, and Organization its name now.
	OrganizationID string `json:"organization_id"`
	Organization   string `json:"organization"`
	// Inviter is the name of the user who invited, or "" for an invitation by the Backend API.
	Inviter string `json:"inviter"`
	// Role is the role's key, and RoleName what people call it.
	Role     string `json:"role"`
	RoleName string `json:"role_name"`
	// InvitationID is the invitation's id.
	InvitationID string `json:"invitation_id"`
	// Ticket is the secret in the link, for [clerksim.World.AcceptTicket].
	Ticket string `json:"ticket"`
	// At is when it was sent.
	At time.Time `json:"at"`
	// State is the invitation's status now: pending, accepted, revoked or expired.
	State clerksim.InvitationStatus `json:"state"`
	// UserID is the user who accepted it, or "".
	UserID string `json:"user_id,omitempty"`
}

// Mail returns the invitations to an address, newest first, and those to everybody if it is "". The
// case of the address doesn't matter. Mails of a deleted organization are gone.
func (s *Simulator) Mail(address string) []Mail {
	all := []Mail{}
	for _, invitation := range slices.Backward(s.world.Invitations()) {
		if address == "" || strings.EqualFold(address, invitation.Email) {
			all = append(all, s.mailOf(invitation))
		}
	}
	return all
}

func (s *Simulator) mailOf(invitation clerksim.Invitation) Mail {
	organization, _ := s.world.Organization(invitation.OrganizationID) // gone meanwhile: a mail without a name
	role, _ := s.world.Role(invitation.Role)
	inviter, _ := s.world.User(invitation.InviterID)
	mail := Mail{
		To: invitation.Email, OrganizationID: organization.ID, Organization: organization.Name, Inviter: inviter.Name(),
		Role: invitation.Role, RoleName: cmp.Or(role.Name, invitation.Role), InvitationID: invitation.ID,
		Ticket: invitation.Ticket, At: invitation.CreatedAt, State: invitation.Status, UserID: invitation.UserID,
	}
	mail.Subject = cmp.Or(mail.Inviter, organization.Name) + " invited you to " + organization.Name
	return mail
}
