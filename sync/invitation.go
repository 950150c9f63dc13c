package sync

// Statuses of an invitation. Clerk sends no event when one expires: a pending one whose expires_at
// has passed is expired.
const (
	InvitationPending     = "pending"
	InvitationWasAccepted = "accepted"
	InvitationWasRevoked  = "revoked"
	InvitationExpired     = "expired"
)

// Invitation is what the mirror knows of an invitation to join an organization. Its url lets every
// holder join, so it is never read.
type Invitation struct {
	Reference
	Tombstone      // Clerk has no event for it: only a sweep sets it
	Erased    bool // the person asked for it: what Clerk says of names and addresses is left out

	Email     Field[string]
	Role      Field[string] // canonical key
	Status    Field[string]
	InviterID Field[*string] // user_…; null if the Backend API made it without one
	UserID    Field[*string] // the accepting user (user_…); absent in events from before 2025-09
	CreatedAt Field[int64]   // epoch milliseconds
	ExpiresAt Field[*int64]  // epoch milliseconds
}

// Registers lists the invitation's fields by name with their versions, as the store needs them.
func (i *Invitation) Registers() []Register {
	return []Register{
		{"email", &i.Email.Version},
		{"role", &i.Role.Version},
		{"status", &i.Status.Version},
		{"inviter_id", &i.InviterID.Version},
		{"user_id", &i.UserID.Version},
		{"created_at", &i.CreatedAt.Version},
		{"expires_at", &i.ExpiresAt.Version},
	}
}

// Merge returns the least state that is at least as new as both: of each field the newer value.
func (i Invitation) Merge(in Invitation) Invitation {
	return Invitation{
		Reference: i.Reference.merge(in.Reference),
		Tombstone: i.Tombstone.merge(in.Tombstone),

		Erased: i.Erased || in.Erased,

		Email:     i.Email.merge(in.Email),
		Role:      i.Role.merge(in.Role),
		Status:    i.Status.merge(in.Status),
		InviterID: i.InviterID.merge(in.InviterID),
		UserID:    i.UserID.merge(in.UserID),
		CreatedAt: i.CreatedAt.merge(in.CreatedAt),
		ExpiresAt: i.ExpiresAt.merge(in.ExpiresAt),
	}
}

func invitationEvent(dec *decoder, data object) Facts {
	facts := Facts{Subject: dec.id(data, "id", InvitationPrefix)}
	i := Invitation{
		Reference: Reference{ID: facts.Subject},
		Email:     setNonNull(dec, data.text("email_address")),
		Role:      setStrict(dec, data.role()),
		Status:    setStrict(dec, data.text("status")),
		InviterID: set(dec, nullable(data.text("inviter_id"))),
		UserID:    set(dec, nullable(data.text("user_id"))),
		CreatedAt: setCreated(dec, data),
		ExpiresAt: set(dec, data.maybeMillis("expires_at")),
	}
	organization := dec.publicOrganizationData(data)
	i.OrganizationID = organization.ID
	facts.Invitations, facts.Organizations = []Invitation{i}, []Organization{organization}
	if inviter := data.child("public_inviter_data"); len(inviter.value) > 0 && inviter.value.text("user_id").value != "" {
		facts.Users = []User{dec.stub().publicUserData(inviter.value)}
	}
	return facts
}

// publicOrganizationData reads the stub of the organization that an invitation or domain belongs
// to. The nested copy is in data or in data.data. If it is missing, organization_id alone names the
// organization.
func (dec *decoder) publicOrganizationData(data object) Organization {
	nested, inner := data.child("public_organization_data"), data.child("data")
	if nested.value == nil && inner.value != nil {
		nested = inner.value.child("public_organization_data")
	}
	var organization Organization
	if nested.value != nil {
		organization = dec.stub().organization(nested.value)
	}
	if _, named := data.value("organization_id"); named || nested.value == nil {
		organization.ID = dec.id(data, "organization_id", OrganizationPrefix)
	}
	return organization
}
