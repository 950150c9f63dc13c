package sync

import "encoding/json"

// Organization is what the mirror knows of a Clerk organization. The API calls it a workspace.
type Organization struct {
	Reference
	Tombstone

	Name           Field[string]
	Slug           Field[*string] // null where slugs are off; "" is passed on as Clerk sends it
	ImageURL       Field[*string]
	RoleSetKey     Field[*string] // the set of roles that its members can have
	MaxMemberships Field[int64]   // how many memberships Clerk allows it; 0: any number
	CreatedBy      Field[*string] // user_…; absent if the Backend API made the organization, and in nested copies
	CreatedAt      Field[int64]   // epoch milliseconds
	PublicMetadata Field[json.RawMessage]
}

// Registers lists the organization's fields by name with their versions, as the store needs them.
func (o *Organization) Registers() []Register {
	return []Register{
		{"name", &o.Name.Version},
		{"slug", &o.Slug.Version},
		{"image_url", &o.ImageURL.Version},
		{"role_set_key", &o.RoleSetKey.Version},
		{"max_memberships", &o.MaxMemberships.Version},
		{"created_by", &o.CreatedBy.Version},
		{"created_at", &o.CreatedAt.Version},
		{"public_metadata", &o.PublicMetadata.Version},
	}
}

// Merge returns the least state that is at least as new as both: of each field the newer value.
func (o Organization) Merge(in Organization) Organization {
	return Organization{
		Reference: o.Reference.merge(in.Reference),
		Tombstone: o.Tombstone.merge(in.Tombstone),

		Name:           o.Name.merge(in.Name),
		Slug:           o.Slug.merge(in.Slug),
		ImageURL:       o.ImageURL.merge(in.ImageURL),
		RoleSetKey:     o.RoleSetKey.merge(in.RoleSetKey),
		MaxMemberships: o.MaxMemberships.merge(in.MaxMemberships),
		CreatedBy:      o.CreatedBy.merge(in.CreatedBy),
		CreatedAt:      o.CreatedAt.merge(in.CreatedAt),
		PublicMetadata: o.PublicMetadata.merge(in.PublicMetadata),
	}
}

// movesRoles reports whether the change to another state may give members other roles, as another
// role set does.
func (o Organization) movesRoles(after Organization) bool {
	return o.RoleSetKey.Written() && deref(o.RoleSetKey.Value) != deref(after.RoleSetKey.Value)
}

func organizationEvent(dec *decoder, data object) Facts {
	o := dec.organization(data)
	o.Tombstone = dec.tombstone()
	return Facts{Subject: o.ID, Organizations: []Organization{o}}
}

func (dec *decoder) organization(o object) Organization {
	org := Organization{
		Reference:      Reference{ID: dec.id(o, "id", OrganizationPrefix)},
		Name:           setNonNull(dec, o.text("name")),
		Slug:           set(dec, nullable(o.text("slug"))),
		ImageURL:       set(dec, nullable(o.text("image_url"))),
		RoleSetKey:     set(dec, nullable(o.text("role_set_key"))),
		MaxMemberships: setNonNull(dec, read[int64](o, "max_allowed_memberships")),
		CreatedBy:      set(dec, nullable(o.text("created_by"))),
		CreatedAt:      setCreated(dec, o),
		PublicMetadata: setNonNull(dec, o.raw("public_metadata")),
	}
	return org
}
