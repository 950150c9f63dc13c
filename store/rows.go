package store

import (
	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// What turns rows of the mirror into objects of package sync, and back.

func tombstone(at int64, cause string) clerksync.Tombstone {
	return clerksync.Tombstone{OccurredAt: at, DeliveryID: cause}
}

func userOf(r dbsqlc.RolecallUser) (clerksync.User, error) {
	u := clerksync.User{ID: r.ID, Tombstone: tombstone(millis(r.DeletedAt), r.DeletedCause)}
	u.Identifier.Value, u.FirstName.Value, u.LastName.Value = r.Identifier, r.FirstName, r.LastName
	u.ImageURL.Value, u.Banned.Value, u.Deprovisioned.Value = r.ImageUrl, r.Banned, r.Deprovisioned
	u.CreatedAt.Value = millis(r.CreatedAt)
	return u, unpackVersions(u.Registers(), r.Version, r.FieldVersions)
}

func userRow(u clerksync.User) (dbsqlc.SaveUsersParams, error) {
	version, fieldVersions, err := packVersions(u.Registers())
	return dbsqlc.SaveUsersParams{
		ID: u.ID, Identifier: u.Identifier.Value, FirstName: u.FirstName.Value, LastName: u.LastName.Value,
		ImageUrl: u.ImageURL.Value, Banned: u.Banned.Value, Deprovisioned: u.Deprovisioned.Value,
		CreatedAt: instant(u.CreatedAt.Value), Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(u.Tombstone.OccurredAt), DeletedCause: u.Tombstone.DeliveryID,
	}, err
}

func membershipOf(r dbsqlc.RolecallMembership) (clerksync.Membership, error) {
	m := clerksync.Membership{
		ID: r.ID, OrganizationID: r.OrganizationID, UserID: r.UserID,
		Tombstone: tombstone(millis(r.DeletedAt), r.DeletedCause),
	}
	m.Role.Value, m.RoleName.Value, m.Permissions.Value = r.Role, r.RoleName, r.Permissions
	m.CreatedAt.Value, m.PublicMetadata.Value = millis(r.CreatedAt), r.PublicMetadata
	err := unpackVersions(m.Registers(), r.Version, r.FieldVersions)
	if !m.Permissions.Written() {
		m.Permissions.Value = nil // the column has no null
	}
	return m, err
}

func membershipRow(m clerksync.Membership) (dbsqlc.SaveMembershipsParams, error) {
	version, fieldVersions, err := packVersions(m.Registers())
	permissions := m.Permissions.Value
	if permissions == nil {
		permissions = []string{}
	}
	return dbsqlc.SaveMembershipsParams{
		ID: m.ID, OrganizationID: m.OrganizationID, UserID: m.UserID, Role: m.Role.Value, RoleName: m.RoleName.Value,
		Permissions: permissions, CreatedAt: instant(m.CreatedAt.Value), PublicMetadata: m.PublicMetadata.Value,
		Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(m.Tombstone.OccurredAt), DeletedCause: m.Tombstone.DeliveryID,
	}, err
}

func organizationOf(r dbsqlc.RolecallOrganization) (clerksync.Organization, error) {
	o := clerksync.Organization{ID: r.ID, Tombstone: tombstone(millis(r.DeletedAt), r.DeletedCause)}
	o.Name.Value, o.Slug.Value, o.ImageURL.Value, o.CreatedBy.Value = r.Name, r.Slug, r.ImageUrl, r.CreatedBy
	o.CreatedAt.Value, o.PublicMetadata.Value = millis(r.CreatedAt), r.PublicMetadata
	return o, unpackVersions(o.Registers(), r.Version, r.FieldVersions)
}

func organizationRow(o clerksync.Organization) (dbsqlc.SaveOrganizationsParams, error) {
	version, fieldVersions, err := packVersions(o.Registers())
	return dbsqlc.SaveOrganizationsParams{
		ID: o.ID, Name: o.Name.Value, Slug: o.Slug.Value, ImageUrl: o.ImageURL.Value, CreatedBy: o.CreatedBy.Value,
		CreatedAt: instant(o.CreatedAt.Value), PublicMetadata: o.PublicMetadata.Value,
		Version: version, FieldVersions: fieldVersions,
		DeletedAt: instant(o.Tombstone.OccurredAt), DeletedCause: o.Tombstone.DeliveryID,
	}, err
}
