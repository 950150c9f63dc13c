package clerksim

import "encoding/json"

// imageHost is the host of the simulator's pictures, which don't exist.
const imageHost = "https://img.callmine.test/"

// organizationBody is an organization in events, in the Backend API and nested in a membership.
// Clerk leaves its pointers and omitzero fields out in some of these places.
type organizationBody struct {
	Object             string          `json:"object"`
	ID                 string          `json:"id"`
	Name               string          `json:"name"`
	Slug               slugBody        `json:"slug,omitzero"`
	ImageURL           string          `json:"image_url"`
	LogoURL            *string         `json:"logo_url"` // legacy, always null
	HasImage           bool            `json:"has_image"`
	MembersCount       *int            `json:"members_count,omitempty"`
	PendingInvitations *int            `json:"pending_invitations_count,omitempty"`
	MaxMembers         int             `json:"max_allowed_memberships"`
	AdminDeleteEnabled bool            `json:"admin_delete_enabled"`
	PublicMetadata     json.RawMessage `json:"public_metadata"`
	PrivateMetadata    json.RawMessage `json:"private_metadata,omitempty"`
	CreatedBy          string          `json:"created_by,omitempty"`
	RoleSetKey         string          `json:"role_set_key,omitempty"`
	CreatedAt          int64           `json:"created_at"`
	UpdatedAt          int64           `json:"updated_at"`
}

// slugBody is a slug that may be a string, null or absent. Its zero value is absent.
type slugBody struct {
	sent bool
	slug *string
}

// IsZero reports whether the field is to be left out, as encoding/json asks for omitzero.
func (s slugBody) IsZero() bool { return !s.sent }

// MarshalJSON returns the string or null.
func (s slugBody) MarshalJSON() ([]byte, error) { return json.Marshal(s.slug) }

// value is the slug as a string, or nil if it is null or absent.
func (s slugBody) value() *string { return s.slug }

func slugField(o *organization) slugBody {
	switch o.SlugForm {
	case SlugAbsent:
		return slugBody{}
	case SlugEmpty:
		return slugBody{sent: true, slug: new("")}
	default:
		return slugBody{sent: true, slug: nullable(o.Slug)}
	}
}

// organizationBody is the whole organization. It lacks members_count, as most bodies of Clerk's do.
func (w *World) organizationBody(o *organization) organizationBody {
	body := organizationBody{
		Object:             "organization",
		ID:                 o.id,
		Name:               o.Name,
		Slug:               slugField(o),
		ImageURL:           imageHost + o.id,
		MaxMembers:         o.MaxMembers,
		AdminDeleteEnabled: true,
		PublicMetadata:     o.PublicMetadata,
		PrivateMetadata:    o.PrivateMetadata,
		CreatedBy:          o.CreatedBy,
		CreatedAt:          o.CreatedAt.UnixMilli(),
		UpdatedAt:          o.UpdatedAt.UnixMilli(),
	}
	if !w.cfg.Legacy {
		body.RoleSetKey = defaultRoleSet
	}
	return body
}

// nestedOrganizationBody is the organization in a membership: without its creator and its private
// metadata, and with counts of this moment.
func (w *World) nestedOrganizationBody(o *organization) organizationBody {
	body := w.organizationBody(o)
	body.CreatedBy, body.PrivateMetadata = "", nil
	body.MembersCount, body.PendingInvitations = new(o.members.len()), new(o.pendingAt(w.now()))
	return body
}
