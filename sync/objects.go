package sync

import "encoding/json"

// Organization is what the mirror knows of a Clerk organization, which callers of the API name a workspace.
type Organization struct {
	ID             string
	Name           Field[string]
	Slug           Field[*string] // null where slugs are off; "" is passed on as Clerk sends it
	ImageURL       Field[*string]
	CreatedBy      Field[*string] // user_…; absent if the Backend API made the organization, and in nested copies
	CreatedAt      Field[int64]   // epoch milliseconds
	PublicMetadata Field[json.RawMessage]
	Tombstone      Tombstone
}

// Registers lists the organization's fields by name, for those who store their versions.
func (o *Organization) Registers() []Register {
	return []Register{
		{"name", &o.Name.Version},
		{"slug", &o.Slug.Version},
		{"image_url", &o.ImageURL.Version},
		{"created_by", &o.CreatedBy.Version},
		{"created_at", &o.CreatedAt.Version},
		{"public_metadata", &o.PublicMetadata.Version},
	}
}

// Merge returns the least state that is at least as new as both.
func (o Organization) Merge(in Organization) Organization {
	return Organization{
		ID:             in.ID,
		Name:           o.Name.merge(in.Name),
		Slug:           o.Slug.merge(in.Slug),
		ImageURL:       o.ImageURL.merge(in.ImageURL),
		CreatedBy:      o.CreatedBy.merge(in.CreatedBy),
		CreatedAt:      o.CreatedAt.merge(in.CreatedAt),
		PublicMetadata: o.PublicMetadata.merge(in.PublicMetadata),
		Tombstone:      o.Tombstone.merge(in.Tombstone),
	}
}

// User is what the mirror knows of a Clerk user.
type User struct {
	ID            string
	Identifier    Field[*string] // e-mail, else phone number, else username; null if the user has none of them
	FirstName     Field[*string]
	LastName      Field[*string]
	ImageURL      Field[*string]
	Banned        Field[bool]
	Deprovisioned Field[bool]  // offboarded by directory sync
	CreatedAt     Field[int64] // epoch milliseconds
	Tombstone     Tombstone
}

// Registers lists the user's fields by name, for those who store their versions.
func (u *User) Registers() []Register {
	return []Register{
		{"identifier", &u.Identifier.Version},
		{"first_name", &u.FirstName.Version},
		{"last_name", &u.LastName.Version},
		{"image_url", &u.ImageURL.Version},
		{"banned", &u.Banned.Version},
		{"deprovisioned", &u.Deprovisioned.Version},
		{"created_at", &u.CreatedAt.Version},
	}
}

// Merge returns the least state that is at least as new as both.
func (u User) Merge(in User) User {
	return User{
		ID:            in.ID,
		Identifier:    u.Identifier.merge(in.Identifier),
		FirstName:     u.FirstName.merge(in.FirstName),
		LastName:      u.LastName.merge(in.LastName),
		ImageURL:      u.ImageURL.merge(in.ImageURL),
		Banned:        u.Banned.merge(in.Banned),
		Deprovisioned: u.Deprovisioned.merge(in.Deprovisioned),
		CreatedAt:     u.CreatedAt.merge(in.CreatedAt),
		Tombstone:     u.Tombstone.merge(in.Tombstone),
	}
}

// Membership is what the mirror knows of one Clerk membership. A member who leaves and returns has a new id,
// so memberships are deleted by id and never by (organization, user).
type Membership struct {
	ID             string
	OrganizationID string
	UserID         string
	Role           Field[string]   // as Clerk sends it; see [CanonicalRole]
	RoleName       Field[*string]  // for people
	Permissions    Field[[]string] // Clerk's snapshot of the role's permissions
	CreatedAt      Field[int64]    // epoch milliseconds
	PublicMetadata Field[json.RawMessage]
	Tombstone      Tombstone
}

// Registers lists the membership's fields by name, for those who store their versions.
func (m *Membership) Registers() []Register {
	return []Register{
		{"role", &m.Role.Version},
		{"role_name", &m.RoleName.Version},
		{"permissions", &m.Permissions.Version},
		{"created_at", &m.CreatedAt.Version},
		{"public_metadata", &m.PublicMetadata.Version},
	}
}

// Merge returns the least state that is at least as new as both. The organization and the user of a membership
// never change; whichever state names them does.
func (m Membership) Merge(in Membership) Membership {
	return Membership{
		ID:             in.ID,
		OrganizationID: max(m.OrganizationID, in.OrganizationID),
		UserID:         max(m.UserID, in.UserID),
		Role:           m.Role.merge(in.Role),
		RoleName:       m.RoleName.merge(in.RoleName),
		Permissions:    m.Permissions.merge(in.Permissions),
		CreatedAt:      m.CreatedAt.merge(in.CreatedAt),
		PublicMetadata: m.PublicMetadata.merge(in.PublicMetadata),
		Tombstone:      m.Tombstone.merge(in.Tombstone),
	}
}
