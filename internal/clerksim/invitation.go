package clerksim

import (
	"encoding/json"
	"net/mail"
	"time"
)

// invitationLife is how long an invitation is valid unless told otherwise (Backend API document, expires_in_days).
const invitationLife = 30 * 24 * time.Hour

// InvitationStatus is what became of an invitation.
type InvitationStatus string

// The statuses of an invitation. Clerk sends an event for each but the last, which only the clock brings about.
const (
	InvitationPending  InvitationStatus = "pending"
	InvitationAccepted InvitationStatus = "accepted"
	InvitationRevoked  InvitationStatus = "revoked"
	InvitationExpired  InvitationStatus = "expired"
)

// Invitation is a copy of one invitation to an organization as the world knows it.
type Invitation struct {
	// ID is "orginv_" and 27 characters. Who is invited again gets a new one.
	ID string
	// OrganizationID says where to.
	OrganizationID string
	// InviterID is the user who invited, or empty if the Backend API did without naming one. The user may be gone since.
	InviterID string
	// UserID is the user who accepted, or empty.
	UserID string
	// Email is the address invited, spelled as it was given.
	Email string
	// Role is the key of the role that accepting brings.
	Role string
	// Status is that of the moment of the copy: a pending invitation expires at ExpiresAt.
	Status InvitationStatus
	// URL is the link that accepts it: a secret. It is empty where Clerk says null, which is only for some of those
	// without an inviter, and in a legacy instance.
	URL string
	// PublicMetadata is a JSON object, which the membership inherits.
	PublicMetadata json.RawMessage
	// CreatedAt and UpdatedAt have a resolution of milliseconds. Expiring doesn't touch them.
	CreatedAt, UpdatedAt time.Time
	// ExpiresAt is when it expires, or zero for never.
	ExpiresAt time.Time
}

// NewInvitation says whom to invite.
type NewInvitation struct {
	// OrganizationID says where to.
	OrganizationID string
	// InviterID is a member who may manage the organization, or empty: then the Backend API invites.
	InviterID string
	// Email is the address to invite.
	Email string
	// Role is a role's key. Defaults to [RoleMember].
	Role string
	// Lifetime is how long it is valid. Defaults to 30 days; in a legacy instance to for ever.
	Lifetime time.Duration
	// PublicMetadata is a JSON object. Defaults to {}.
	PublicMetadata json.RawMessage
}

// invitation is the row behind an [Invitation]. The copy's Role and Status are not kept here.
type invitation struct {
	entry
	Invitation
	organization *organization
	role         *role
}

func (i *invitation) snapshot(now time.Time) Invitation {
	found := i.Invitation
	found.Role, found.Status = i.role.Key, i.statusAt(now)
	return found
}

// statusAt is the status at a moment: from ExpiresAt on, pending is expired.
func (i *invitation) statusAt(now time.Time) InvitationStatus {
	if i.Status == InvitationPending && !i.ExpiresAt.IsZero() && !now.Before(i.ExpiresAt) {
		return InvitationExpired
	}
	return i.Status
}

func (p NewInvitation) validate() error {
	address, err := mail.ParseAddress(p.Email)
	if err != nil || address.Address != p.Email {
		return refuseParam(ErrInvalid, "email_address", "%q is no e-mail address", p.Email)
	}
	if p.Lifetime < 0 {
		return refuseParam(ErrInvalid, "expires_in_days", "an invitation can't have expired before it was made")
	}
	return nil
}
