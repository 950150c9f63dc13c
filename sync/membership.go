package sync

import (
	"encoding/json"
	"fmt"
)

// Membership is what the mirror knows of one Clerk membership. A member who leaves and returns gets
// a new id, so memberships are deleted by id and never by organization and user.
type Membership struct {
	Reference
	Tombstone
	Erased bool // the person asked for it: what Clerk says of names and addresses is left out

	Role           Field[string]   // canonical key at that time; the role's key may have changed since, see [Role]
	RoleName       Field[*string]  // for people
	Permissions    Field[[]string] // Clerk's snapshot of the role's permissions
	CreatedAt      Field[int64]    // epoch milliseconds
	PublicMetadata Field[json.RawMessage]
	AliveAt        int64 // newest instant at which a signed event showed it alive, epoch milliseconds; see Follows
}

// Registers lists the membership's fields by name with their versions, as the store needs them.
func (m *Membership) Registers() []Register {
	return []Register{
		{"role", &m.Role.Version},
		{"role_name", &m.RoleName.Version},
		{"permissions", &m.Permissions.Version},
		{"created_at", &m.CreatedAt.Version},
		{"public_metadata", &m.PublicMetadata.Version},
	}
}

// Merge returns the least state that is at least as new as both: of each field the newer value.
func (m Membership) Merge(in Membership) Membership {
	return Membership{
		Reference: m.Reference.merge(in.Reference),
		Tombstone: m.Tombstone.merge(in.Tombstone),

		Erased: m.Erased || in.Erased,

		Role:           m.Role.merge(in.Role),
		RoleName:       m.RoleName.merge(in.RoleName),
		Permissions:    m.Permissions.merge(in.Permissions),
		CreatedAt:      m.CreatedAt.merge(in.CreatedAt),
		PublicMetadata: m.PublicMetadata.merge(in.PublicMetadata),
		AliveAt:        max(m.AliveAt, in.AliveAt),
	}
}

func membershipEvent(dec *decoder, data object) Facts {
	id, tombstone := dec.id(data, "id", MembershipPrefix), dec.tombstone()
	rest := &decoder{version: dec.version, errs: new([]error)}
	facts := rest.membership(data)
	if len(*rest.errs) > 0 && tombstone.Dead() { // to end access, the id is enough
		facts = Facts{Memberships: []Membership{{}}}
	} else {
		*dec.errs = append(*dec.errs, *rest.errs...)
	}
	if dec.version.Kind == KindCreated || dec.version.Kind == KindUpdated {
		facts.Memberships[0].AliveAt = dec.version.OccurredAt
	}
	facts.Subject = id
	facts.Memberships[0].ID, facts.Memberships[0].Tombstone = id, tombstone
	return facts
}

func (dec *decoder) membership(data object) Facts {
	organization := dec.stub().organization(data.child("organization").value)
	user := dec.stub().publicUserData(data.child("public_user_data").value)
	m := Membership{
		Reference:      Reference{OrganizationID: organization.ID, UserID: user.ID},
		Role:           setStrict(dec, data.role()),
		RoleName:       set(dec, nullable(data.text("role_name"))),
		Permissions:    setStrict(dec, data.texts("permissions")),
		CreatedAt:      setCreated(dec, data),
		PublicMetadata: setNonNull(dec, data.raw("public_metadata")),
	}
	if m.Role.Value == "" {
		dec.check(fmt.Errorf("%w: membership without a role", ErrUndecodable))
	}
	return Facts{Memberships: []Membership{m}, Users: []User{user}, Organizations: []Organization{organization}}
}

// role reads the key of a role in its modern spelling.
func (o object) role() member[string] {
	m := o.text("role")
	m.value = CanonicalRole(m.value)
	return m
}
