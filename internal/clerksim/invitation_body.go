package clerksim

import "encoding/json"

// ticketHost is where invitations are accepted, up to the secret.
const ticketHost = "https://accounts.callmine.test/v1/tickets/accept?ticket="

// invitationBody is an invitation in its events and in the Backend API. Raw fields are those that
// may be null or absent.
type invitationBody struct {
	Object                 string                      `json:"object"`
	ID                     string                      `json:"id"`
	EmailAddress           string                      `json:"email_address"`
	Role                   string                      `json:"role"`
	RoleName               string                      `json:"role_name,omitempty"`
	OrganizationID         string                      `json:"organization_id"`
	InviterID              json.RawMessage             `json:"inviter_id,omitempty"`
	PublicInviterData      json.RawMessage             `json:"public_inviter_data,omitempty"`
	UserID                 string                      `json:"user_id,omitempty"`
	Status                 string                      `json:"status"`
	PublicMetadata         json.RawMessage             `json:"public_metadata,omitempty"`
	PrivateMetadata        json.RawMessage             `json:"private_metadata,omitempty"`
	URL                    json.RawMessage             `json:"url,omitempty"`
	PublicOrganizationData *publicOrganizationDataBody `json:"public_organization_data,omitempty"`
	Data                   *innerDataBody              `json:"data,omitempty"`
	ExpiresAt              *int64                      `json:"expires_at,omitempty"`
	CreatedAt              int64                       `json:"created_at"`
	UpdatedAt              int64                       `json:"updated_at"`
}

// innerDataBody is a second "data", in which the organization of an invitation may sit.
type innerDataBody struct {
	PublicOrganizationData publicOrganizationDataBody `json:"public_organization_data"`
}

// publicOrganizationDataBody is the organization in invitations and domains.
type publicOrganizationDataBody struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Slug     slugBody `json:"slug,omitzero"`
	ImageURL string   `json:"image_url"`
	HasImage bool     `json:"has_image"`
}

// publicInviterDataBody is the inviter in an invitation.
type publicInviterDataBody struct {
	UserID     string  `json:"user_id"`
	FirstName  *string `json:"first_name"`
	LastName   *string `json:"last_name"`
	ImageURL   string  `json:"image_url"`
	HasImage   bool    `json:"has_image"`
	Identifier *string `json:"identifier"`
}

// invitationBody has the members that events and the Backend API share. Only events have the
// accepting user.
func (w *World) invitationBody(i *invitation, status InvitationStatus) invitationBody {
	body := invitationBody{
		Object:         "organization_invitation",
		ID:             i.id,
		EmailAddress:   i.Email,
		Role:           w.wireRole(i.role.Key),
		OrganizationID: i.organization.id,
		Status:         string(status),
		CreatedAt:      i.CreatedAt.UnixMilli(),
		UpdatedAt:      i.UpdatedAt.UnixMilli(),
	}
	if !i.ExpiresAt.IsZero() {
		body.ExpiresAt = new(i.ExpiresAt.UnixMilli())
	}
	if w.cfg.Legacy { // bodies of 2022 had nothing else
		return body
	}
	body.RoleName = i.role.Name
	body.PublicMetadata, body.PrivateMetadata = i.PublicMetadata, i.PrivateMetadata
	body.URL = mustMarshal(nullable(i.URL))
	body.InviterID, body.PublicInviterData = mustMarshal(nullable(i.InviterID)), w.publicInviterData(i)
	return body
}

// currentInvitationBody is the invitation as the Backend API shows it in its organization.
func (w *World) currentInvitationBody(i *invitation) invitationBody {
	return w.invitationBody(i, i.statusAt(w.now()))
}

// listedInvitationBody is the invitation in the list of the whole instance: with its organization.
func (w *World) listedInvitationBody(i *invitation) invitationBody {
	body := w.currentInvitationBody(i)
	body.PublicOrganizationData = new(publicOrganizationDataOf(i.organization))
	return body
}

// invitationEventBody is the invitation in its events. Seen bodies differ in where the organization
// is, and in whether a missing user is null or absent.
func (w *World) invitationEventBody(i *invitation) invitationBody {
	body := w.invitationBody(i, i.Status)
	if w.cfg.Legacy {
		return body
	}
	if !w.cfg.InvitationsWithoutUser {
		body.UserID = i.UserID
	}
	if i.InviterID == "" && accident(i.id+" inviter", 2) == 0 {
		body.InviterID, body.PublicInviterData = nil, nil
	}
	switch accident(i.id+" organization", 3) {
	case 0:
		body.PublicOrganizationData = new(publicOrganizationDataOf(i.organization))
	case 1:
		body.Data = &innerDataBody{PublicOrganizationData: publicOrganizationDataOf(i.organization)}
	}
	return body
}

// publicInviterData is null for an invitation by the Backend API, and for a deleted inviter.
func (w *World) publicInviterData(i *invitation) json.RawMessage {
	inviter, alive := w.users.find(i.InviterID)
	if !alive {
		return json.RawMessage("null")
	}
	return mustMarshal(publicInviterDataBody{
		UserID:     inviter.id,
		FirstName:  inviter.FirstName,
		LastName:   inviter.LastName,
		ImageURL:   imageHost + inviter.id,
		Identifier: inviter.Identifier(),
	})
}

func publicOrganizationDataOf(o *organization) publicOrganizationDataBody {
	return publicOrganizationDataBody{ID: o.id, Name: o.Name, Slug: slugField(o), ImageURL: imageHost + o.id}
}
