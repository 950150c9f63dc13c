package clerksim

import "encoding/json"

// membershipBody is a membership in all three of its events and in the Backend API. Permissions are
// those of its role at this moment: a snapshot.
type membershipBody struct {
	Object          string             `json:"object"`
	ID              string             `json:"id"`
	Role            string             `json:"role"`
	RoleName        string             `json:"role_name,omitempty"`
	Permissions     []string           `json:"permissions"`
	PublicMetadata  json.RawMessage    `json:"public_metadata"`
	PrivateMetadata json.RawMessage    `json:"private_metadata,omitempty"`
	Organization    organizationBody   `json:"organization"`
	PublicUserData  publicUserDataBody `json:"public_user_data"`
	CreatedAt       int64              `json:"created_at"`
	UpdatedAt       int64              `json:"updated_at"`
}

// publicUserDataBody is the user in a membership.
type publicUserDataBody struct {
	UserID          string  `json:"user_id"`
	FirstName       *string `json:"first_name"`
	LastName        *string `json:"last_name"`
	ImageURL        string  `json:"image_url"`
	ProfileImageURL string  `json:"profile_image_url"` // legacy
	HasImage        bool    `json:"has_image"`
	Identifier      *string `json:"identifier"`
	Username        *string `json:"username"`
	Banned          *bool   `json:"banned,omitempty"`
	Deprovisioned   *bool   `json:"deprovisioned,omitempty"`
}

func (w *World) membershipBody(m *membership) membershipBody {
	body := membershipBody{
		Object:         "organization_membership",
		ID:             m.id,
		Role:           w.wireRole(m.role.Key),
		RoleName:       m.role.Name,
		Permissions:    m.role.permissionKeys(),
		PublicMetadata: m.metadata.public,
		Organization:   w.nestedOrganizationBody(m.organization),
		PublicUserData: publicUserDataBody{
			UserID:          m.user.id,
			FirstName:       m.user.FirstName,
			LastName:        m.user.LastName,
			ImageURL:        imageHost + m.user.id,
			ProfileImageURL: imageHost + "legacy/" + m.user.id,
			Identifier:      m.user.Identifier(),
			Username:        m.user.Username,
		},
		CreatedAt: m.createdAt.UnixMilli(),
		UpdatedAt: m.updatedAt.UnixMilli(),
	}
	newer := accident(m.id, 2) == 0 // bodies of both ages were seen
	if newer || string(m.metadata.private) != "{}" {
		body.PrivateMetadata = m.metadata.private
	}
	if newer {
		body.PublicUserData.Banned = new(m.user.Banned)
		body.PublicUserData.Deprovisioned = new(m.user.Deprovisioned)
	}
	return body
}
